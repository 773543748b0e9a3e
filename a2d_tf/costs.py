"""Images -> cost table: how many iterations each attack needs for each image."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.attacks.base import Attack, preflight
from a2d_tf.attacks.running import OnFinished
from a2d_tf.classifier import Classifier, Labels
from a2d_tf.errors import InvalidInputError
from a2d_tf.streams import ImageSource, batches


class CostTable(NamedTuple):
    """Attack costs, a row per image and a column per attack.

    Attributes:
      costs: i32[N,A], iterations; equal to the attack's `max_iterations` where it failed.
      success: bool[N,A]; a cost without success is censored, not measured.
      queries: i32[N,A], how often the classifier was asked besides once for its label.
      gradients: i32[N,A], how many of these queries were asked for a gradient too.
      labels: i64[N], what the classifier makes of the untouched images.
    """

    costs: NDArray[np.int32]
    success: NDArray[np.bool_]
    queries: NDArray[np.int32]
    gradients: NDArray[np.int32]
    labels: Labels


def attack_costs(
    classifier: Classifier,
    images: ImageSource,
    attacks: Mapping[str, Attack],
    *,
    batch_size: int = 128,
    on_finished: OnFinished | None = None,
) -> CostTable:
    """Attacks every image with every attack, each time to leave the classifier's own label.

    Args:
      classifier: the classifier whose inputs are judged.
      images: f32[N,H,W,C] within the classifier's bounds, N may be 0; or a dataset of them,
        which is read once and never held as a whole. See `streams.batches`.
      attacks: the attacks by name, in the order of the columns.
      batch_size: examples under attack at once; bounds the memory, changes no cost.
      on_finished: called with the number of (image, attack) pairs that just finished.

    Raises:
      InvalidInputError: images of the wrong shape, not finite or out of bounds.
      UnsuitableClassifierError: the classifier fails its preflight.
    """
    if not attacks:
        raise InvalidInputError("expected at least one attack, got none")
    runs = [
        attack.begin(classifier, batch_size=batch_size, on_finished=on_finished)
        for attack in attacks.values()
    ]
    labels = [np.zeros(0, np.int64)]
    for batch in batches(classifier, images, batch_size):
        preflight(classifier, batch.images, attacks.values())
        labels.append(classifier.predict(batch.images, batch_size))
        for run in runs:
            run.feed(batch.images, labels=labels[-1], last=batch.last)
    results = [run.result() for run in runs]
    return CostTable(
        costs=np.stack([result.cost for result in results], axis=1),
        success=np.stack([result.success for result in results], axis=1),
        queries=np.stack([result.queries for result in results], axis=1),
        gradients=np.stack([result.gradients for result in results], axis=1),
        labels=np.concatenate(labels),
    )
