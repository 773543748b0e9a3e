"""How much more several processes score than one, and what they cost beside the bare SavedModel."""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib import request

import keras
import numpy as np
import tensorflow as tf

from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Images
from a2d_tf.reports.tables import Table
from a2d_tf.scoring import Options, score_dataset
from a2d_tf.scoring.exported import Judge
from a2d_tf.scoring.ray_session import LOOPBACK, import_ray, session, silent_stderr
from a2d_tf.serving import ServeOptions, serving

NODES = 4
BATCH = 128
CLIENTS = 16
LEAST_PARTS = 8  # for each of the nodes, so that the last ones do not wait long
Report = dict[str, Any]


def measure_scale(
    served: str | Path, images: Images, *, rows: int, repeats: int,
    model: str | Path | None = None, seconds: float = 10, port: int = 8501,
    on_finished: Callable[[int], None] | None = None,
) -> Report:
    """Images a second of one process, of actors and of fake nodes; requests a second of a server.

    The figures of one repeat follow each other, so that a machine that changes its speed changes
    their ratios little. Starting Ray and loading the detector are not counted: the time goes from
    the first part that is finished to the last one.

    Args:
      served: the SavedModel of a detector.
      images: f32[N,H,W,C], which are repeated.
      rows: images of a run.
      repeats: of all runs.
      model: the .keras file of the classifier, which is served by itself beside the detector; None
        leaves out the servers.
      seconds: for which a server is asked.
      port: of the servers.
      on_finished: called with 1 after each of `repeats` x 4 + 1 measurements.

    Returns:
      `runs`, the images a second of each repeat; `ratios`, the medians of their ratios; `serving`.
    """
    advance = on_finished or (lambda count: None)
    parts = NODES * LEAST_PARTS
    if rows < parts * BATCH // 4:
        raise InvalidInputError(
            f"expected at least {parts * BATCH // 4} rows to measure, got {rows}; give more"
        )
    many = np.resize(images, (rows, *images.shape[1:]))
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "images.npz"
        np.savez(source, images=many)
        for repeat in range(repeats):
            def score(name: str, actors: int, address: str | None = None) -> float:
                output = Path(scratch) / f"{repeat}-{name}"
                return _rate(served, source, output, rows // parts, actors, address)

            found = {"bare": _bare(served, many)}
            advance(1)
            for name, actors in (("one", 1), ("two", 2)):
                found[name] = score(name, actors)
                advance(1)
            with _nodes() as address:
                found["nodes"] = score("nodes", NODES, address)
            advance(1)
            runs.append(found)
    requests = _serve(served, model, images, seconds, port) if model else None
    advance(1)

    def ratio(name: str, other: str) -> float:
        return statistics.median(run[name] / run[other] for run in runs)

    return {
        "rows": rows, "runs": runs, "serving": requests,
        "ratios": {
            "two actors to one": ratio("two", "one"),
            f"{NODES} nodes to one actor": ratio("nodes", "one"),
            "overhead of an actor": ratio("bare", "one") - 1,
        },
    }


def scale_table(report: Report) -> Table:
    """The report for a terminal."""
    lines = [(name, f"{value:.3f}") for name, value in report["ratios"].items()]
    if report["serving"]:
        lines += [(name, f"{value:.1f}") for name, value in report["serving"].items()]
    return Table(f"{report['rows']} images", ["figure", "value"], [list(line) for line in lines])


def _rate(
    served: str | Path, source: Path, output: Path, rows: int, actors: int, address: str | None
) -> float:
    """Images a second after the first part of each actor."""
    finished: list[tuple[float, int]] = []

    @contextmanager
    def planned(total: int) -> Iterator[Callable[[int], None]]:
        yield lambda count: finished.append((time.perf_counter(), count))

    options = Options(
        rows_per_part=rows, batch_size=BATCH, actors=actors, address=address,
        ray=() if address else (("num_cpus", actors),),
    )
    score_dataset(served, str(source), str(output), options, on_planned=planned)
    warm = finished[2 * actors - 1:]  # the first parts of an actor trace the graph
    return sum(count for _, count in warm[1:]) / (warm[-1][0] - warm[0][0])


def _bare(served: str | Path, images: Images) -> float:
    """Images a second of the SavedModel in a loop, in a process with one thread."""
    with session(None, num_cpus=1) as ray:
        def loop(folder: str, images: Images) -> float:
            judge = Judge(folder, threads=1)
            judge(images[:BATCH])
            started = time.perf_counter()
            for start in range(0, len(images), BATCH):
                judge(images[start:start + BATCH])
            return len(images) / (time.perf_counter() - started)

        found: float = ray.get(ray.remote(num_cpus=1)(loop).remote(str(served), images))
        return found


@contextmanager
def _nodes() -> Iterator[str]:
    """A cluster of nodes on this machine, of one core each."""
    cluster = import_ray("ray.cluster_utils").Cluster()
    try:
        for _ in range(NODES):
            cluster.add_node(num_cpus=1, include_dashboard=False)
        yield cluster.address
    finally:
        import_ray().shutdown()  # a cluster does not remove a node that this process uses
        cluster.shutdown()


def _serve(
    served: str | Path, model: str | Path, images: Images, seconds: float, port: int
) -> dict[str, float]:
    """Requests a second, of one image each, of a served detector and of the classifier alone."""
    body = [json.dumps({"instances": [image.tolist()]}).encode() for image in images[:CLIENTS]]
    options = ServeOptions(port=port, replicas=1)
    with serving(served, options) as running:
        url = f"{running.url}:predict"
        ours = _requests_a_second([url] * CLIENTS, body, seconds)
        signature = [json.dumps({**json.loads(one), "signature_name": "classify"}).encode()
                     for one in body]
        verdicts = _requests_a_second([url] * CLIENTS, signature, seconds)
    with session(None):
        serve = import_ray("ray.serve")

        class Bare:
            def __init__(self) -> None:
                self._classify = tf.function(keras.models.load_model(model))

            async def __call__(self, asked: Any) -> dict[str, Any]:
                images = np.asarray(json.loads(await asked.body())["instances"], np.float32)
                return {"predictions": self._classify(tf.constant(images)).numpy().tolist()}

        serve.start(http_options={"host": LOOPBACK, "port": port})
        serve.run(serve.deployment(Bare, max_ongoing_requests=CLIENTS).bind())
        bare = _requests_a_second([f"http://{LOOPBACK}:{port}/"] * CLIENTS, body, seconds)
        with silent_stderr():
            serve.shutdown()
    return {
        "requests a second": ours, "requests a second (classify)": verdicts,
        "requests a second of the classifier": bare,
    }


def _requests_a_second(urls: list[str], bodies: list[bytes], seconds: float) -> float:
    """Of as many clients at once as there are URLs."""
    counts = [0] * len(urls)
    end = time.perf_counter() + seconds

    def ask(client: int) -> None:
        while time.perf_counter() < end:
            with request.urlopen(urls[client], bodies[client % len(bodies)], 120) as answer:
                answer.read()
            counts[client] += 1

    clients = [Thread(target=ask, args=(number,)) for number in range(len(urls))]
    started = time.perf_counter()
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    return sum(counts) / (time.perf_counter() - started)
