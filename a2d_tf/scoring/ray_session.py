"""Ray, which is an optional extra: started on this machine alone, or joined by its address."""

import importlib
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from a2d_tf.errors import InvalidInputError

LOOPBACK = "127.0.0.1"
LOCAL = "local"  # the address that starts Ray on this machine
ANSWER_S = 10.0  # for which an address is asked; Ray itself would go on for minutes
LIBRARY = Path(__file__).parents[1]
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # what Ray mends by itself is no news
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def import_ray(module: str = "ray") -> Any:
    """A module of Ray.

    Raises:
      InvalidInputError: Ray is not installed.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InvalidInputError(
            f"expected Ray to be installed, got no module {error.name}; pip install "
            "'a2d_tf[ray]', or pip install --use-pep517 -e '.[ray]' in the project's folder"
        ) from error


@contextmanager
def session(address: str | None = None, **settings: Any) -> Iterator[Any]:
    """Ray, running: on this machine alone, or the cluster at an address. It ends with the block.

    Nothing but the loopback address is used on one machine. A cluster gets this library from here.

    Args:
      address: of a running cluster, such as "auto", "HOST:6379" or "ray://HOST:10001"; None or
        "local" starts Ray on this machine.
      settings: others of `ray.init`, for one machine.

    Raises:
      InvalidInputError: Ray is not installed, it runs in this process already, or there is no
        cluster at the address.
    """
    ray = import_ray()
    if ray.is_initialized():
        raise InvalidInputError(
            "expected a process in which Ray does not run yet, got one where it does; call "
            "ray.shutdown() first"
        )
    common = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address in (None, LOCAL):
            local = {"include_dashboard": False, "_node_ip_address": LOOPBACK}
            with silent_stderr():
                ray.init(**common, **(local | settings))
        else:
            _check_answer(str(address))
            shipped = {"py_modules": [str(LIBRARY)], "env_vars": SETTINGS}
            with silent_stderr():
                ray.init(address=address, runtime_env=shipped, **common)
    except Exception as error:  # Ray raises a bare Exception if a process does not start in time
        ray.shutdown()
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if address in (None, LOCAL):
            raise InvalidInputError(
                f"expected Ray to start on this machine, got none ({reason}); try again when the "
                "machine is less busy, or start a cluster with ray start --head and give its "
                "address"
            ) from error
        raise InvalidInputError(
            f"expected Ray to start or a cluster at {address}, got none ({reason}); check the "
            "address, and that ray start --head ran there"
        ) from error
    try:
        yield ray
    finally:
        with silent_stderr():
            ray.shutdown()


def _check_answer(address: str) -> None:
    """Raises OSError if nothing answers at HOST:PORT."""
    if found := re.fullmatch(r"(?:ray://)?\[?([^/]+?)\]?:(\d+)", address):
        with socket.create_connection((found[1], int(found[2])), ANSWER_S):
            pass


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Ray says on the raw stderr, at its start and its end, what it mends by itself."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def share(
    ray: Any, actors: int | None, what: str = "actors"
) -> tuple[int, dict[str, float]]:
    """How many actors there are, and what each reserves: a GPU where there are any, else a core.

    Args:
      ray: the running Ray.
      actors: the wanted number; None takes one for each GPU, or for each core.
      what: they are, for messages.

    Raises:
      InvalidInputError: there are fewer cores or GPUs.
    """
    resources = ray.cluster_resources()
    kind = "GPU" if resources.get("GPU", 0) >= 1 else "CPU"
    available = int(resources.get(kind, 0))
    count = available if actors is None else actors
    if not 1 <= count <= available:
        raise InvalidInputError(
            f"expected from 1 to {available} {what}, one for each {kind} that Ray has, got "
            f"{count}; lower their number, or add nodes"
        )
    return count, {"num_gpus": 1, "num_cpus": 1} if kind == "GPU" else {"num_cpus": 1}
