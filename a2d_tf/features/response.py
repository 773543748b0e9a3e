"""How a classifier responds to an image: its logits, and how they change with the image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf

from a2d_tf.attacks.loop import are_finite
from a2d_tf.classifiers import Classifier
from a2d_tf.features import squeezers
from a2d_tf.features.base import Feature, Side
from a2d_tf.features.direction_costs import Gain, gain, steps
from a2d_tf.features.logits import Entropy, Margin

LEVELS = 10  # the most likely classes whose mean logit is a column
SIDES: Mapping[str, Side] = {
    "margin": "low", "entropy": "high", "bits": "high", "median": "high", "largest": "either",
    "mean": "either", "raise_linf": "either", "raise_rms": "either",
}


@dataclass(frozen=True, kw_only=True)
class Response(Feature):
    """Five numbers from three forward passes, and on request two more from gradients.

    - "margin" is that of `Margin`. An image near a boundary has a low one.
    - "bits" and "median" are how much two filters change the class probabilities, as L1 distances:
      a smaller colour depth, and a median of 2x2 pixels. They are the filters of feature squeezing
      (Xu et al. 2018, arXiv 1704.01155), and remove details on which the class of an adversarial
      image often depends. Inputs of another shape than [N,H,W,C] have no "median".
    - "largest" and "mean" are the largest logit and the mean of the ten largest, both negated.
    - "raise_linf" and "raise_rms" are what it costs to raise a logit by one, to first order, as in
      `DirectionCosts`: in steps of 1/10000 of the pixel range in L-infinity, and in RMS. They are
      the geometric means over the `top_k` most likely classes. The two differ where few pixels
      carry the gradient.

    Of the last four it is not known on which side adversarial images lie. An image that was moved
    far across a boundary has larger logits than benign ones, or logits that change faster with
    the pixels. Not in the paper.

    Attributes:
      top_k: the number of gradients, at most one per class. With 0 there are no "raise" columns,
        and the classifier needs no gradient.
      filters: whether the filters are applied. Without them, "entropy", that of `Entropy`, stands
        in their place, and a single forward pass is enough.
    """

    name: ClassVar[str] = "response"
    description: ClassVar[str] = "logits, and how they change with the image"
    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "either"
    needs_labels: ClassVar[bool] = False
    default_detector: ClassVar[tuple[str, Mapping[str, Any]]] = ("profile", {})
    top_k: int = field(default=0, metadata={"minimum": 0})
    filters: bool = True

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

        # The static shape of the logits may be unknown, but they always have two axes.
        known, costs = tf.reduce_all(tf.math.is_finite(logits), axis=1), []
        if self.filters:
            versions = squeezers.squeezed(images, classifier.bounds)
            answers = squeezers.distances(classifier, logits, versions)
            known &= tf.reduce_all(tf.math.is_finite(answers), axis=1)
        else:
            answers = Entropy().from_logits(logits)
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
            Margin().from_logits(logits), tf.cast(answers, tf.float32), -levels[:, :1],
            -tf.reduce_mean(levels[:, :LEVELS], axis=1, keepdims=True), *costs,
        ], axis=1)
        return tf.where(known[:, None], columns, np.float32(np.nan))

    def column_names(self, name: str, width: int) -> list[str]:
        return [f"{name}_{column}" for column in self._columns(width)]

    def sides(self, width: int) -> Sequence[Side]:
        return [SIDES[column] for column in self._columns(width)]

    def passes_of(self, width: int) -> tuple[int, int]:
        versions = sum(column in ("bits", "median") for column in self._columns(width))
        return 1 + versions, self.top_k

    def _columns(self, width: int) -> list[str]:
        """The names of `width` columns; inputs of another shape than [N,H,W,C] have no "median"."""
        costs = ["raise_linf", "raise_rms"] if self.top_k else []
        answers = ["bits", "median"] if self.filters else ["entropy"]
        answers = answers[:width - len(costs) - 3]
        return ["margin", *answers, "largest", "mean", *costs]
