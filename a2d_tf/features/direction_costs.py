"""First-order costs: what attacks in every direction would cost, from one gradient per class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import tensorflow as tf

from a2d_tf.attacks.loop import are_finite, pixel_axes
from a2d_tf.classifiers import Classifier
from a2d_tf.features.base import Feature
from a2d_tf.images.spec import Bounds

# Costs count steps of this length, as a fraction of the pixel range. A direction without a
# gradient costs MAX_STEPS.
STEP = 1e-4
MAX_STEPS = 1e6


class _Gain(NamedTuple):
    """What a step along a gradient gains, f32[n]: in L-infinity, and in RMS as `BIM2` moves."""

    linf: tf.Tensor
    rms: tf.Tensor


@dataclass(frozen=True, kw_only=True)
class DirectionCosts(Feature):
    """First-order costs of leaving an image in every direction, and not for one class only.

    An attack's cost measures one way across one boundary. If the logits were linear around the
    image, steps along the gradients would take

    - (label's logit - class's logit) / gain per step to reach each other class, and
    - 1 / gain per step to raise each class's logit by one,

    in the L-infinity norm (as `BIM` moves) and in RMS (as `BIM2`). A gradient for each of the K
    classes gives all of them, where an attack takes a gradient for every iteration. Not in the
    paper.

    The columns are 2 (K-1) + 2 K costs in steps of 1/10000 of the pixel range. For each norm they
    are the costs of reaching a class and then those of raising one, each in increasing order.
    """

    name: ClassVar[str] = "directions"
    description: ClassVar[str] = "first-order costs in all directions"
    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "either"
    default_detector: ClassVar[tuple[str, Mapping[str, Any]]] = ("logistic", {})

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        logits = classifier(images)
        classes = tf.shape(logits)[1]
        own = _gradient(classifier, images, tf.one_hot(labels, classes))

        def gains_of(k: tf.Tensor) -> tuple[_Gain, _Gain]:
            weights = tf.one_hot(tf.fill(tf.shape(labels), k), classes)
            raising = _gradient(classifier, images, weights)
            return _gain(raising, classifier.bounds), _gain(raising - own, classifier.bounds)

        gains = tf.map_fn(
            gains_of, tf.range(classes), parallel_iterations=1,
            fn_output_signature=(_Gain(tf.float32, tf.float32),) * 2,
        )
        lead = tf.reduce_max(logits, axis=1, keepdims=True) - logits
        raised = tf.transpose(gains[0].linf)
        # Without any gradient, and where one is not finite, nothing is known of any direction.
        known = are_finite(logits) & are_finite(raised) & tf.reduce_any(raised > 0, axis=1)
        # The label itself is reached at no cost, and comes first.
        costs = tf.concat([
            part for raise_gain, reach_gain in zip(*gains, strict=True)
            for part in (
                _sorted_steps(lead, tf.transpose(reach_gain))[:, 1:],
                _sorted_steps(1.0, tf.transpose(raise_gain)),
            )
        ], axis=1)
        return tf.where(known[:, None], costs, np.float32(np.nan))

    def column_names(self, name: str, width: int) -> list[str]:
        classes = (width + 2) // 4
        return [
            f"{name}_{what}_{norm}_{index}"
            for norm in _Gain._fields
            for what, count in (("reach", classes - 1), ("raise", classes))
            for index in range(1, count + 1)
        ]


def _gradient(classifier: Classifier, images: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """The gradient [n,H,W,C] of the sum of the logits with weights [n,K]."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        logits = classifier(images)
    return tape.gradient(logits, images, output_gradients=weights)


def _gain(gradient: tf.Tensor, bounds: Bounds) -> _Gain:
    step, axes = STEP * bounds.scale, pixel_axes(gradient)
    size = tf.cast(tf.reduce_prod(tf.shape(gradient)[1:]), tf.float32)
    squares = tf.reduce_sum(tf.square(gradient), axis=axes)
    along = tf.reduce_sum(tf.abs(gradient) * bounds.relative_range, axis=axes)
    return _Gain(step * along, step * tf.sqrt(size * squares))


def _sorted_steps(distance: tf.Tensor | float, gain: tf.Tensor) -> tf.Tensor:
    steps = distance / tf.maximum(gain, np.finfo(np.float32).tiny)
    return tf.sort(tf.minimum(steps, MAX_STEPS), axis=1)
