"""A real server: real HTTP, bad requests, a killed replica, metrics, and a clean end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib import error, request

import numpy as np
import pytest

pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
SCRIPT = Path(__file__).parents[2] / "scripts" / "serve.py"
SECONDS = float(os.environ.get("A2D_SOAK_SECONDS", "8"))
CLIENTS = 16
MODEL = "/v1/models/a2d"

pytestmark = pytest.mark.long


class Server:
    """serve.py in a process of its own."""

    def __init__(self, folder: Path, served: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.flags = [
            f"--detector={served}", f"--port={self.port}", "--replicas=2", "--max_body_mib=1",
            "--window=200",
        ]
        self.errors = open(folder / "errors.txt", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *self.flags], text=True, stdout=subprocess.PIPE,
            stderr=self.errors, env=os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])},
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line == f"http://127.0.0.1:{self.port}{MODEL}: serving\n", self.said()

    def said(self) -> str:
        self.errors.seek(0)
        return self.errors.read()

    def ask(
        self, path: str, body: Any = None, timeout: float = 60
    ) -> tuple[int, bytes]:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            with request.urlopen(f"http://127.0.0.1:{self.port}{path}", data, timeout) as answer:
                return answer.status, answer.read()
        except error.HTTPError as refused:
            return refused.code, refused.read()

    def rows(self, images: np.ndarray, **more: Any) -> list[Any]:
        status, body = self.ask(f"{MODEL}:predict", {"instances": images.tolist(), **more})
        assert status == 200, body
        rows: list[Any] = json.loads(body)["predictions"]
        return rows

    def metric(self, name: str) -> float:
        time.sleep(1)  # every replica reports twice a second
        status, text = self.ask("/metrics")
        assert status == 200
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text.decode(), re.MULTILINE)
        return sum(map(float, found))


@pytest.fixture(scope="module")
def server(saved: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server"), saved.served)
    yield running
    running.process.kill()


def test_answers_are_those_of_predict(server: Server, saved: Any, benign: np.ndarray) -> None:
    images = benign[100:400]  # more than one batch
    expected = saved.a2d.predict(images)
    rows = server.rows(images)
    for name in ("label", "score", "is_adversarial", "costs", "valid"):
        assert [row[name] for row in rows] == getattr(expected, name).tolist()
    verdicts = server.rows(images[:5], signature_name="classify")
    flags = expected.is_adversarial[:5].tolist()
    assert verdicts == [{"is_adversarial": flag, "valid": True} for flag in flags]
    whole = np.round(255 * images[:5]).astype(np.uint8)
    found = server.rows(whole, signature_name="serving_default_uint8")
    assert [row["score"] for row in found] == saved.a2d.predict(whole).score.tolist()
    status, body = server.ask(f"{MODEL}/versions/1:predict", {"inputs": images[:2].tolist()})
    assert status == 200
    assert json.loads(body)["outputs"]["score"] == expected.score[:2].tolist()
    assert server.metric("a2d_images_total") == 312
    flagged = server.metric("a2d_flagged_total") / server.metric("a2d_images_total")
    assert 0 < flagged < 0.3


def test_status_metadata_and_health(server: Server) -> None:
    state = json.loads(server.ask(MODEL)[1])["model_version_status"][0]
    assert state["state"] == "AVAILABLE" and state["version"] == "1"
    found = json.loads(server.ask(f"{MODEL}/metadata")[1])
    assert "classify" in found["metadata"]["signature_def"]["signature_def"]
    assert server.ask("/healthz")[0] == 200
    assert server.ask("/monitoring/prometheus/metrics")[0] == 200


def test_bad_requests_give_json(server: Server, benign: np.ndarray) -> None:
    image = benign[100].tolist()
    broken = benign[100].copy()
    broken[3, 3] = np.nan
    before = server.metric("a2d_requests_total")
    for path, body, status in (
        (f"{MODEL}:predict", b"{", 400),
        (f"{MODEL}:predict", {"instances": [image[1:]]}, 400),
        (f"{MODEL}:predict", {"instances": [broken.tolist()]}, 400),
        (f"{MODEL}:predict", {"instances": (benign[100:101] * 5).tolist()}, 400),
        (f"{MODEL}:predict", {"instances": [image], "signature_name": "x"}, 400),
        (f"{MODEL}:predict", b"1" * 3 * 2**20, 413),
        (f"{MODEL}:predict", None, 405),
        ("/v1/models/other:predict", {"instances": [image]}, 404),
        (f"{MODEL}/versions/9", None, 404),
        ("/", None, 404),
    ):
        found, answer = server.ask(path, body)
        assert found == status, (path, answer)
        message = json.loads(answer)["error"]
        assert message.startswith("expected") and "\n" not in message
    assert server.metric("a2d_requests_total") - before == 8


def memory(process: int) -> float:
    """MiB that a process holds."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[0]) / 1024


def test_a_killed_replica_loses_no_request_that_is_retried(
    server: Server, saved: Any, benign: np.ndarray, descendants: Callable[[int, str], list[int]]
) -> None:
    images = benign[100:200]
    expected = saved.a2d.predict(images).score.tolist()
    answered, failed, wrong = [0] * CLIENTS, [], []
    until = time.monotonic() + SECONDS

    def client(number: int) -> None:
        rng = np.random.default_rng(number)
        while time.monotonic() < until:
            rows = rng.choice(len(images), rng.integers(1, 5))
            asked = {"instances": images[rows].tolist()}
            for _ in range(30):
                try:
                    status, body = server.ask(f"{MODEL}:predict", asked)
                except (OSError, HTTPException) as problem:
                    status, body = 0, repr(problem).encode()
                if status == 200:
                    break
                failed.append((time.monotonic(), status, body))
                time.sleep(0.2)
            else:
                wrong.append((rows, status))
                return
            if [row["score"] for row in json.loads(body)["predictions"]] != [
                expected[row] for row in rows
            ]:
                wrong.append((rows, body))
            answered[number] += 1

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for one in clients:
        one.start()
    time.sleep(SECONDS / 3)
    replicas = descendants(server.process.pid, "ServeReplica:a2d:Detector")
    assert len(replicas) == 2
    before, killed = memory(replicas[1]), time.monotonic()
    os.kill(replicas[0], signal.SIGKILL)
    for one in clients:
        one.join()
    assert not wrong and min(answered) >= 1
    late = [one for one in failed if not killed - 0.1 <= one[0] <= killed + 15]
    assert not late and len(failed) <= 4 * CLIENTS, failed[:3]
    assert not any(b"Traceback" in body for _, _, body in failed), failed[:3]
    assert memory(replicas[1]) < 1.25 * before  # of the replica that lived on
    print(f"memory of the other replica: {before:.0f} MiB, then {memory(replicas[1]):.0f}")
    until = time.monotonic() + 120
    while len(descendants(server.process.pid, "ServeReplica:a2d:Detector")) < 2:
        assert time.monotonic() < until
        time.sleep(0.5)
    print(f"{sum(answered) / SECONDS:.1f} requests a second, {len(failed)} failed at the kill")


def test_drift_is_in_the_metrics_and_on_stderr(server: Server, benign: np.ndarray) -> None:
    assert server.metric("a2d_promised_rate") == 0.1
    dim = benign[100:500] * np.linspace(0.05, 0.5, 400, dtype=np.float32)[:, None, None, None]
    server.rows(dim)
    assert server.metric("a2d_window_images") == 200
    assert server.metric("a2d_drift_warning") + server.metric("a2d_flagged_warning") >= 1
    until = time.monotonic() + 60
    while "note: " not in server.said():
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_port_that_is_taken_gives_one_line(
    server: Server, run_script: Callable[..., Any], tmp_path: Path
) -> None:
    done = run_script("serve", *server.flags, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "expected a free port" in done.stderr


def test_sigterm_ends_all_processes(
    server: Server, descendants: Callable[[int, str], list[int]]
) -> None:
    running = descendants(server.process.pid, "ray")
    server.process.terminate()
    assert server.process.wait(timeout=60) == 0
    time.sleep(2)
    assert running and not [one for one in running if Path(f"/proc/{one}").exists()]
    said = [line for line in server.said().splitlines() if not line.startswith("note: ")]
    assert not said
