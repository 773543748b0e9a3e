"""A goal against detectors that count the iterations of BIM; their scores have no gradient."""

import numpy as np
import tensorflow as tf

from a2d_tf.a2d import A2D
from a2d_tf.adaptive.goal import COMPARED, Excess, Goal
from a2d_tf.attacks import BIM
from a2d_tf.classifiers import Classifier
from a2d_tf.classifiers.margins import loss_to_climb
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import AttackCost
from a2d_tf.images.spec import Images
from a2d_tf.threats.projected import lead

STRIDES = 4  # in which the iterations are made
# More iterations than the detector asks for, by so much, since strides succeed a little later than
# single iterations.
HEADROOM = 1.25
SHARES = 100  # of the benign costs that are tried
SLACK = 1e-3  # logits, since those of an image differ a little from batch to batch


class KeptLabel(Goal):
    """By how much another class leads an image's own label after some iterations of BIM.

    An image whose label BIM has not changed by then costs more iterations than these. They are made
    in a few strides, and how far they move the image counts as a constant (BPDA; Athalye, Carlini
    and Wagner 2018), so that the image moves to where BIM takes longer.

    Args:
      classifier: the classifier under attack.
      attack: the attack whose cost is measured.
      iterations: how many of its iterations must not change the label.
    """

    def __init__(self, classifier: Classifier, attack: BIM, iterations: float):
        self._classifier = classifier
        self._attack = attack
        self._iterations = min(iterations, attack.max_iterations)

    @property
    def enough(self) -> float:
        return -SLACK

    def value(self, images: tf.Tensor, aims: tf.Tensor) -> tf.Tensor:
        # A label is -1 where it cannot be told; no such image counts as misclassified.
        labels = tf.maximum(self._classifier.decide(images), 0)
        return lead(self._classifier(images + self._movement(images, labels)), labels)

    def _movement(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """How far f32[n,H,W,C] the iterations move images, as a constant."""
        original = moved = tf.stop_gradient(images)
        for _ in range(STRIDES):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(moved)
                loss = loss_to_climb(self._classifier(moved), labels)
            direction = self._attack.direction(tape.gradient(loss, moved))
            moved = self._attack.move(
                self._classifier, {"images": moved, "original": original}, direction,
                self._iterations / STRIDES,
            )
        return tf.stop_gradient(moved - original)

    def __repr__(self) -> str:
        return f"KeptLabel({self._attack!r}, {self._iterations:g})"


def counts_bim(a2d: A2D) -> bool:
    """Whether a fitted A2D measures costs of BIM or BIM2, and nothing else."""
    return all(
        isinstance(feature, AttackCost) and isinstance(feature.attack, BIM)
        for feature in a2d.state.features.values()
    )


def kept_label(a2d: A2D, benign: Images) -> Goal:
    """What an attack on a fitted A2D lowers whose features are costs of BIM or BIM2.

    The costs to reach are the smallest share of the benign medians that the detector does not flag.

    Args:
      a2d: the fitted A2D; see `counts_bim`.
      benign: f32[N,H,W,C], benign images.

    Raises:
      InvalidInputError: the detector flags the benign medians, too.
    """
    state = a2d.state
    some = benign[:COMPARED]
    costs = np.concatenate([
        feature.measure(state.classifier, some) for feature in state.features.values()
    ], axis=1)
    medians = np.nanmedian(costs, axis=0)
    shares = np.linspace(0, 1, SHARES + 1)
    flagged = state.detector.predict(state.oriented(shares[:, None] * medians))
    if flagged.all():
        raise InvalidInputError(
            f"expected a detector that does not flag the benign median cost, got "
            f"{state.detector!r}, which does; calibrate it on benign images"
        )
    wanted = shares[~flagged][0] * medians
    goals = [
        KeptLabel(state.classifier, feature.attack, HEADROOM * iterations)
        for feature, iterations in zip(state.features.values(), wanted, strict=True)
        if isinstance(feature, AttackCost) and isinstance(feature.attack, BIM)
    ]
    return goals[0] if len(goals) == 1 else Excess(goals, benign)
