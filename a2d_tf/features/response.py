"""How a classifier responds to an image: its logits, and how fast they change with the pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf

from a2d_tf.attacks.loop import are_finite
from a2d_tf.classifiers import Classifier
from a2d_tf.features.base import Feature, Side
from a2d_tf.features.direction_costs import Gain, gain, steps
from a2d_tf.features.logits import Entropy, Margin

LEVELS = 10  # the most likely classes whose mean logit is a column
COLUMNS: Mapping[str, Side] = {
    "margin": "low", "entropy": "high", "largest": "either", "mean": "either",
    "raise_linf": "either", "raise_rms": "either",
}


@dataclass(frozen=True, kw_only=True)
class Response(Feature):
    """Six numbers of one forward pass and of `top_k` gradients; by default, of a single one.

    - "margin" and "entropy" are those of `Margin` and `Entropy`. An image near a boundary has a low
      margin and a high entropy.
    - "largest" and "mean" are the largest logit and the mean of the ten largest, both negated.
    - "raise_linf" and "raise_rms" are what it costs to raise a logit by one, to first order, as in
      `DirectionCosts`: in steps of 1/10000 of the pixel range in L-infinity, and in RMS. They are
      the geometric means over the `top_k` most likely classes. The two differ where few pixels
      carry the gradient.

    Of the last four it is not known on which side adversarial images lie. An image that was moved
    far across a boundary has larger logits than benign ones, or logits that change faster with
    the pixels. Not in the paper.

    Attributes:
      top_k: the number of gradients, at most one per class. With 0 there are only the columns of
        the logits.
    """

    name: ClassVar[str] = "response"
    description: ClassVar[str] = "logits and how fast they change with the pixels"
    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "either"
    needs_labels: ClassVar[bool] = False
    default_detector: ClassVar[tuple[str, Mapping[str, Any]]] = ("profile", {})
    top_k: int = field(default=1, metadata={"minimum": 0})

    @property
    def needs_gradients(self) -> bool:  # type: ignore[override]
        return self.top_k > 0

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
            tape.watch(images)
            logits = classifier(images)
        classes = tf.shape(logits)[1]
        levels, chosen = tf.math.top_k(logits, tf.minimum(classes, max(self.top_k, LEVELS)))

        def gain_of(place: tf.Tensor) -> Gain:
            weights = tf.one_hot(tf.gather(chosen, place, axis=1), classes)
            return gain(
                tape.gradient(logits, images, output_gradients=weights), classifier.bounds
            )

        known, costs = are_finite(logits), []
        if self.top_k:
            if self.top_k == 1:
                gains = Gain(*(one[None] for one in gain_of(tf.constant(0))))
            else:
                gains = tf.map_fn(
                    gain_of, tf.range(tf.minimum(classes, self.top_k)), parallel_iterations=1,
                    fn_output_signature=Gain(tf.float32, tf.float32),
                )
            known &= are_finite(tf.transpose(gains.linf)) & tf.reduce_any(gains.linf > 0, axis=0)
            costs = [
                tf.exp(tf.reduce_mean(tf.math.log(steps(1.0, one)), axis=0))[:, None]
                for one in gains
            ]
        columns = tf.concat([
            Margin().from_logits(logits),
            tf.cast(Entropy().from_logits(logits), tf.float32), -levels[:, :1],
            -tf.reduce_mean(levels[:, :LEVELS], axis=1, keepdims=True), *costs,
        ], axis=1)
        return tf.where(known[:, None], columns, np.float32(np.nan))

    def column_names(self, name: str, width: int) -> list[str]:
        return [f"{name}_{column}" for column in list(COLUMNS)[:width]]

    def sides(self, width: int) -> Sequence[Side]:
        return list(COLUMNS.values())[:width]

    def passes_of(self, width: int) -> tuple[int, int]:
        return 1, self.top_k
