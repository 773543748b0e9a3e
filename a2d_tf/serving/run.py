"""A detector behind HTTP, for as long as a block runs: Ray Serve's replicas of it."""

import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2d_tf import checks
from a2d_tf.errors import InvalidInputError
from a2d_tf.scoring.exported import describe, pack
from a2d_tf.scoring.ray_session import LOCAL, LOOPBACK, import_ray, session, share, silent_stderr
from a2d_tf.serving.replica import Replica, ReplicaOptions, Watch

APP = "a2d"
MIB = 2**20
WATCH_S = 5.0  # between two looks at the metrics
WAITING = 512  # requests that a replica holds at once, so that its batches can fill


@dataclass(frozen=True)
class ServeOptions:
    """How a detector is served.

    Attributes:
      name: of the model, in paths.
      host, port: where HTTP is listened for; the loopback address alone by default.
      replicas: the number of processes; None for one on each GPU, or on each core.
      batch_size: images that a replica judges at once; bounds the memory, changes no verdict.
      batch_wait_ms: for which a batch waits for more images.
      max_body_mib: of a request.
      window: the number of scores that are compared with the calibration.
      address: of a Ray cluster; None or "local" for this machine alone.
    """

    name: str = "a2d"
    host: str = LOOPBACK
    port: int = 8501
    replicas: int | None = None
    batch_size: int = 128
    batch_wait_ms: float = 5.0
    max_body_mib: float = 16.0
    window: int = 1000
    address: str | None = None

    def __post_init__(self) -> None:
        checks.integer(self.batch_size, "a batch size")
        checks.integer(self.window, "a window of scores")
        checks.integer(self.port, "a port", maximum=2**16 - 1)
        checks.number(self.max_body_mib, "the MiB of a request")
        if self.replicas is not None:
            checks.integer(self.replicas, "a number of replicas")
        if not self.name or set(self.name) & set("/:?#% "):
            raise InvalidInputError(
                f"expected a name of a model for a path, got {self.name!r}; leave out /:?#% and "
                "spaces"
            )


class Running:
    """A detector that is served.

    Attributes:
      url: of the model.
    """

    def __init__(self, url: str, watch: Any):
        self.url = url
        self._watch = watch

    def until_stopped(self) -> Iterator[str]:
        """Waits for SIGINT or SIGTERM, and meanwhile gives warnings of the metrics when they come.
        """
        stopped, said = threading.Event(), list[str]()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        while not stopped.wait(WATCH_S):
            found: list[str] = []
            with contextlib.suppress(Exception):  # it starts again by itself
                found = self._watch.messages.remote().result(timeout_s=WATCH_S)
            kinds = [line.partition(":")[2] for line in found]
            yield from (line for line, kind in zip(found, kinds) if kind not in said)
            said = kinds


@contextmanager
def serving(served: str | Path, options: ServeOptions = ServeOptions()) -> Iterator[Running]:
    """Serves an exported detector over HTTP while the block runs.

    Paths and bodies are those of TensorFlow Serving's REST interface: `POST
    /v1/models/NAME:predict`, `GET /v1/models/NAME` and `GET /v1/models/NAME/metadata`. `/healthz`
    and `/metrics` tell how it is. A replica that dies is started again.

    Args:
      served: the SavedModel that `A2D.export` wrote.
      options: see `ServeOptions`.

    Raises:
      InvalidInputError: Ray is missing, there is no such detector, or the port is taken.
    """
    exported = describe(served)
    is_local = options.address in (None, LOCAL)
    if is_local:
        _check_port(options.host, options.port)
    # A cluster need not see this disk.
    model: str | bytes = str(Path(served).absolute()) if is_local else pack(served)
    serve = import_ray("ray.serve")
    with contextlib.ExitStack() as ending, session(options.address) as ray:
        for name in ("ray.serve", "ray.serve.api", "ray.serve._private"):
            logging.getLogger(name).setLevel(logging.ERROR)
        count, reserved = share(ray, options.replicas, "replicas")
        threads = None if "num_gpus" in reserved else max(
            1, int(ray.cluster_resources().get("CPU", 1)) // count
        )
        version = Path(served).name if Path(served).name.isdigit() else "1"
        settings = ReplicaOptions(
            options.name, version, options.batch_size, options.batch_wait_ms / 1000,
            round(options.max_body_mib * MIB), threads,
        )
        quiet = {"log_level": "ERROR", "enable_access_log": False}
        watch = serve.deployment(
            Watch, name="Watch", num_replicas=1, ray_actor_options={"num_cpus": 0},
            max_ongoing_requests=WAITING, logging_config=quiet,
        ).bind(dict(exported.settings), options.window)
        app = serve.deployment(
            Replica, name="Detector", num_replicas=count, ray_actor_options=dict(reserved),
            max_ongoing_requests=WAITING, logging_config=quiet,
        ).bind(model, settings, watch)
        try:
            serve.start(
                proxy_location="HeadOnly" if is_local else "EveryNode",
                http_options={"host": options.host, "port": options.port}, logging_config=quiet,
            )
            serve.run(app, name=APP, route_prefix="/", logging_config=quiet)
            yield Running(
                f"http://{options.host}:{options.port}/v1/models/{options.name}",
                serve.get_deployment_handle("Watch", APP),
            )
        finally:
            # What Ray says of actors that it ends comes late, until the session has ended too.
            ending.enter_context(silent_stderr())
            serve.shutdown()


def _check_port(host: str, port: int) -> None:
    try:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError as error:
        raise InvalidInputError(
            f"expected a free port at {host}:{port}, got {error.strerror or error}; choose another "
            "--port or --host"
        ) from error
