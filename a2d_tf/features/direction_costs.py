"""First-order costs: what attacks in every direction would cost, from one gradient per class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf import checks
from a2d_tf.attacks.loop import are_finite, pixel_axes
from a2d_tf.classifiers import Classifier
from a2d_tf.features.base import Feature, Side
from a2d_tf.images.spec import Bounds

# Costs count steps of this length, as a fraction of the pixel range. A direction without a
# gradient costs MAX_STEPS.
STEP = 1e-4
MAX_STEPS = 1e6
DEFAULT_TOP_K = 10


class Gain(NamedTuple):
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

    in the L-infinity norm (as `BIM` moves) and in RMS (as `BIM2`). Two forward passes and a
    gradient for each of k classes give all of them, where an attack takes a gradient for every
    iteration. The classes are the label and the most likely others. Not in the paper.

    The columns are 2 (k-1) + 2 k costs in steps of 1/10000 of the pixel range. For each norm they
    are the costs of reaching a class and then those of raising one, each in increasing order.

    Attributes:
      top_k: k, at least 2; all classes if there are fewer, or with None.
      margins: whether k-1 margins follow, the label's lead over each other class, in increasing
        order.
    """

    name: ClassVar[str] = "directions"
    description: ClassVar[str] = "first-order costs in all directions"
    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "either"
    default_detector: ClassVar[tuple[str, Mapping[str, Any]]] = ("logistic", {})
    top_k: int | None = DEFAULT_TOP_K
    margins: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.top_k is not None:
            top_k = checks.integer(self.top_k, "DirectionCosts's top_k", minimum=2)
            object.__setattr__(self, "top_k", top_k)

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        logits = classifier(images)
        with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
            tape.watch(images)
            # A pass with gradients is compiled otherwise, and rounds otherwise: the leads are
            # those of the pass without, as they have always been.
            outputs = classifier(images)
        classes = tf.shape(logits)[1]
        count = classes if self.top_k is None else tf.minimum(classes, self.top_k)
        chosen = _label_first(logits, labels, count)

        def gradient(place: tf.Tensor) -> tf.Tensor:
            """The gradient [n,H,W,C] of the logit of each image's class at a place."""
            weights = tf.one_hot(tf.gather(chosen, place, axis=1), classes)
            return tape.gradient(outputs, images, output_gradients=weights)

        def gains_of(place: tf.Tensor) -> tuple[Gain, Gain]:
            raising = gradient(place)
            return gain(raising, classifier.bounds), gain(raising - own, classifier.bounds)

        own = gradient(tf.constant(0))
        # One class after the other. A vectorised Jacobian takes as long, and k times the memory.
        raising, reaching = tf.map_fn(
            gains_of, tf.range(1, count), parallel_iterations=1,
            fn_output_signature=(Gain(tf.float32, tf.float32),) * 2,
        )
        best = tf.reduce_max(logits, axis=1, keepdims=True)
        lead = best - tf.gather(logits, chosen[:, 1:], batch_dims=1)
        own_gains = gain(own, classifier.bounds)
        # Without any gradient, and where one is not finite, nothing is known of any direction.
        linf = tf.transpose(tf.concat([own_gains.linf[None], raising.linf], axis=0))
        known = are_finite(logits) & are_finite(linf) & tf.reduce_any(linf > 0, axis=1)
        parts = []
        for own_gain, raise_gain, reach_gain in zip(
            own_gains, raising, reaching, strict=True
        ):
            every = tf.concat([own_gain[None], raise_gain], axis=0)
            parts.append(tf.sort(steps(lead, tf.transpose(reach_gain)), axis=1))
            parts.append(tf.sort(steps(1.0, tf.transpose(every)), axis=1))
        columns = tf.concat(parts + [lead] * self.margins, axis=1)
        return tf.where(known[:, None], columns, np.float32(np.nan))

    def column_names(self, name: str, width: int) -> list[str]:
        classes = self._classes(width)
        names = [
            f"{name}_{what}_{norm}_{index}"
            for norm in Gain._fields
            for what, count in (("reach", classes - 1), ("raise", classes))
            for index in range(1, count + 1)
        ]
        return names + [f"{name}_margin_{index}" for index in range(1, classes)] * self.margins

    def sides(self, width: int) -> Sequence[Side]:
        # It is low costs of reaching a class, and low margins, that adversarial images have.
        return [
            "either" if "_raise_" in one else "low" for one in self.column_names("", width)
        ]

    def passes_of(self, width: int) -> tuple[int, int]:
        return 2, self._classes(width)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], learned: Mapping[str, NDArray[Any]] | None
    ) -> "DirectionCosts":
        # Before version 0.6 there was no such setting, and all classes were measured.
        return super().from_config({"top_k": None, **config}, learned)

    def _classes(self, width: int) -> int:
        """k, from the number of columns."""
        return (width + 3) // 5 if self.margins else (width + 2) // 4


def _label_first(logits: tf.Tensor, labels: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The label and the most likely other classes i32[n,count], of logits [n,K]."""
    is_label = tf.one_hot(labels, tf.shape(logits)[1], on_value=True, off_value=False)
    return tf.math.top_k(tf.where(is_label, logits.dtype.max, logits), count).indices


def gain(gradient: tf.Tensor, bounds: Bounds) -> Gain:
    """What a step of `STEP` along each gradient [n,H,W,C] gains."""
    step, axes = STEP * bounds.scale, pixel_axes(gradient)
    size = tf.cast(tf.reduce_prod(tf.shape(gradient)[1:]), tf.float32)
    squares = tf.reduce_sum(tf.square(gradient), axis=axes)
    along = tf.reduce_sum(tf.abs(gradient) * bounds.relative_range, axis=axes)
    return Gain(step * along, step * tf.sqrt(size * squares))


def steps(distance: tf.Tensor | float, gained: tf.Tensor) -> tf.Tensor:
    """The number of steps that cover a distance, at most `MAX_STEPS`."""
    return tf.minimum(distance / tf.maximum(gained, np.finfo(np.float32).tiny), MAX_STEPS)
