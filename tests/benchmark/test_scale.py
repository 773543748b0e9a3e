"""The ratios of several processes to one, from a small run of real ones."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from a2d_tf import InvalidInputError
from a2d_tf.benchmark import measure_scale, scale, scale_table


def test_too_few_rows_are_refused(tmp_path: Any) -> None:
    with pytest.raises(InvalidInputError, match="at least 1024 rows to measure, got 1023"):
        measure_scale(tmp_path, np.zeros((4, 8, 8, 1), np.float32), rows=1023, repeats=1)


@pytest.fixture
def counted() -> Iterator[tuple[str, list[bytes]]]:
    """A server, and the bodies that it was asked with."""
    asked: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_client_asks_until_the_time_is_over(counted: tuple[str, list[bytes]]) -> None:
    url, asked = counted
    rate = scale._requests_a_second([url] * 3, [b"one", b"two"], 0.3)
    assert set(asked) == {b"one", b"two"}  # the third client takes the first body again
    assert 0.3 * rate <= len(asked)  # clients finish what they asked for


@pytest.mark.long
def test_all_ways_to_score_are_measured(saved: Any, benign: np.ndarray) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
    steps: list[int] = []
    report = measure_scale(
        saved.served, benign, rows=1024, repeats=1, on_finished=steps.append
    )
    run, = report["runs"]
    assert run.keys() == {"bare", "one", "two", "nodes"} and min(run.values()) > 0
    assert report["ratios"] == {
        "two actors to one": run["two"] / run["one"],
        "4 nodes to one actor": run["nodes"] / run["one"],
        "overhead of an actor": run["bare"] / run["one"] - 1,
    }
    assert sum(steps) == 4 + 1 and report["serving"] is None
    assert len(scale_table(report).rows) == 3
