"""What the figures of sections 3 and 5.1 measure: robustness, and the time that attacks take."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.attacks import Attack
from a2d_tf.clever import CHEAP, KINDS, Sampling
from a2d_tf.experiments import robustness
from a2d_tf.experiments.evidence import BENIGN, TEST, Evidence
from a2d_tf.experiments.store import Arrays, machine

Floats = NDArray[np.float64]
# The published sampling looks at 512,000 points per image. All classes are looked at from 640 here,
# the second most likely class alone from 3,200. In the median, scores from 640 are 3 to 5 % higher
# (100 MNIST images of each kind) or 6 to 10 % (50 CIFAR-10 images of each kind).
FEW = Sampling(batches=20, samples=32, pool=None)
BATCH_SIZE = 128
ADVERSARIAL = "adversarial"


class Timed(NamedTuple):
    """What an attack took for each image by itself: seconds f64[N] and queries i32[N].

    The queries are the iterations made. Of an attack that is stuck the rest are counted as cost,
    but take no time.
    """

    seconds: Floats
    queries: NDArray[np.int32]


def clever_scores(evidence: Evidence, kind: str) -> dict[str, Floats]:
    """CLEVER scores f64[N] of the test inputs of a kind, for every kind of target."""
    return dict(zip(KINDS, _clever(evidence, kind, list(KINDS), FEW).T, strict=True))


def nearest_clever(evidence: Evidence, kind: str) -> Floats:
    """CLEVER scores f64[N] of the test inputs of a kind, for the second most likely class."""
    scores: Floats = _clever(evidence, kind, ["top2"], CHEAP)[:, 0]
    return scores


def _clever(evidence: Evidence, kind: str, targets: Sequence[str], sampling: Sampling) -> Floats:
    return robustness.run(
        evidence.classifier, evidence.inputs(kind, TEST).images, targets, sampling,
        evidence.store.folder, batch_size=BATCH_SIZE, progress=evidence.progress,
    ).score


def timed(
    evidence: Evidence, kind: str, name: str, attack: Attack, count: int | None = None
) -> Timed:
    """Times an attack on the first test inputs of a kind, or on all, one by one."""
    images = evidence.inputs(kind, TEST).images[:count]

    def measure() -> Arrays:
        # This traces the graph.
        attack.run(evidence.classifier, images[:1], max_cost=1 if attack.stops_early else None)
        seconds, queries = [], []
        with evidence.progress.stage(f"{name} time of {kind}", len(images)) as advance:
            for image in images:
                start = time.perf_counter()
                queries.append(attack.run(evidence.classifier, image[None]).queries[0])
                seconds.append(time.perf_counter() - start)
                advance(1)
        return {"seconds": np.array(seconds), "queries": np.array(queries)}

    made_from = evidence.origin(kind, TEST) | {
        "attack": repr(attack), "images": len(images), "machine": machine(),
    }
    return Timed(**evidence.store.arrays(f"times/{name}/{kind}", made_from, measure))


def pooled(evidences: Sequence[Evidence], measure: Callable[[Evidence], Floats]) -> Floats:
    """A measurement [N] of the images of all seeds."""
    return np.concatenate([measure(evidence) for evidence in evidences])


def kinds(evidence: Evidence) -> list[str]:
    """Benign and every threat."""
    return [BENIGN, *evidence.threats]
