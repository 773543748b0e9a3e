"""Images -> cost table: how many iterations each attack needs for each image."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.attacks.base import Attack, OnFinished
from a2d_tf.classifier import Classifier, Labels
from a2d_tf.errors import InvalidInputError


class CostTable(NamedTuple):
    """Attack costs, a row per image and a column per attack.

    Attributes:
      costs: i32[N,A], iterations; equal to the attack's `max_iterations` where it failed.
      success: bool[N,A]; a cost without success is censored, not measured.
      queries: i32[N,A], how often the classifier was asked besides once for its label; a gradient
        comes with its query.
      labels: i64[N], what the classifier makes of the untouched images.
    """

    costs: NDArray[np.int32]
    success: NDArray[np.bool_]
    queries: NDArray[np.int32]
    labels: Labels


def attack_costs(
    classifier: Classifier,
    images: ArrayLike,
    attacks: Mapping[str, Attack],
    *,
    batch_size: int = 128,
    on_finished: OnFinished | None = None,
) -> CostTable:
    """Attacks every image with every attack, each time to leave the classifier's own label.

    Args:
      classifier: the classifier whose inputs are judged.
      images: f32[N,H,W,C] within the classifier's bounds; N may be 0.
      attacks: the attacks by name, in the order of the columns.
      batch_size: examples under attack at once; bounds the memory, changes no cost.
      on_finished: called with the number of (image, attack) pairs that just finished.

    Raises:
      InvalidInputError: images of the wrong shape, not finite or out of bounds.
      UnsuitableClassifierError: the classifier fails its preflight.
    """
    if not attacks:
        raise InvalidInputError("expected at least one attack, got none")
    checked = classifier.check(images)
    classifier.preflight(
        checked, gradients=any(attack.needs_gradients for attack in attacks.values())
    )
    labels = classifier.predict(checked, batch_size)
    results = [
        attack.run(classifier, checked, labels, batch_size=batch_size, on_finished=on_finished)
        for attack in attacks.values()
    ]
    return CostTable(
        costs=np.stack([result.cost for result in results], axis=1),
        success=np.stack([result.success for result in results], axis=1),
        queries=np.stack([result.queries for result in results], axis=1),
        labels=labels,
    )
