"""What the figures of sections 3 and 5.1 measure: robustness, and the time of attacks."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.attacks import Attack
from a2d_tf.evaluation.cache_keys import settings_key
from a2d_tf.evaluation.clever_cache import cached_clever
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.splits import TEST
from a2d_tf.robustness import CHEAP, TARGETS, Sampling
from a2d_tf.storage.stages import Arrays, machine

Floats = NDArray[np.float64]
# The published sampling takes 512,000 points per image. Here all classes take 640 points, and the
# second most likely class alone takes 3,200. In the median, scores from 640 points are 3 to 5 %
# higher (100 MNIST images of each type) or 6 to 10 % (50 CIFAR-10 images of each type).
FEW_POINTS = Sampling(batches=20, samples=32, pool=None)
BATCH_SIZE = 128
ADVERSARIAL = "adversarial"


class Timed(NamedTuple):
    """The price of an attack for each image by itself: seconds f64[N] and queries i32[N].

    The queries are the iterations that were made. If an attack is stuck, its other iterations count
    as cost, but take no time.
    """

    seconds: Floats
    queries: NDArray[np.int32]


def clever_scores(data: ExperimentData, input_type: str) -> dict[str, Floats]:
    """CLEVER scores f64[N] of the test images of a type, for every target."""
    return dict(zip(TARGETS, _clever(data, input_type, list(TARGETS), FEW_POINTS).T, strict=True))


def nearest_clever(data: ExperimentData, input_type: str) -> Floats:
    """CLEVER scores f64[N] of the test images of a type, for the second most likely class."""
    scores: Floats = _clever(data, input_type, ["top2"], CHEAP)[:, 0]
    return scores


def _clever(
    data: ExperimentData, input_type: str, targets: Sequence[str], sampling: Sampling
) -> Floats:
    return cached_clever(
        data.classifier, data.samples(input_type, TEST).images, targets, sampling,
        data.stages.folder, batch_size=BATCH_SIZE, progress=data.progress,
    ).score


def timed(
    data: ExperimentData, input_type: str, name: str, attack: Attack, count: int | None = None
) -> Timed:
    """Times an attack on the first test images of a type, or on all, one by one."""
    images = data.samples(input_type, TEST).images[:count]

    def measure() -> Arrays:
        # This traces the graph.
        attack.run(data.classifier, images[:1], max_cost=1 if attack.stops_early else None)
        seconds, queries = [], []
        with data.progress.stage(f"{name} time of {input_type}", len(images)) as advance:
            for image in images:
                start = time.perf_counter()
                queries.append(attack.run(data.classifier, image[None]).queries[0])
                seconds.append(time.perf_counter() - start)
                advance(1)
        return {"seconds": np.array(seconds), "queries": np.array(queries)}

    key = data.sample_key(input_type, TEST) | {
        "attack": settings_key(attack), "images": len(images), "machine": machine(),
    }
    return Timed(**data.stages.arrays(f"times/{name}/{input_type}", key, measure))


def pooled(
    every: Sequence[ExperimentData], measure: Callable[[ExperimentData], Floats]
) -> Floats:
    """A measurement [N] of the images of all seeds."""
    return np.concatenate([measure(data) for data in every])
