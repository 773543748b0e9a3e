"""A feature of a user: how much the logits change under a blur. It learns their usual size."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import tensorflow as tf

from a2d_tf import Classifier, Feature
from a2d_tf.features import FitData


@dataclass(frozen=True, kw_only=True)
class Blur(Feature):
    """The change of the logits under a mean filter, in units of that of benign images."""

    name: ClassVar[str] = "blur"
    description: ClassVar[str] = "change of the logits under a blur"
    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "high"
    needs_fit: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = False
    passes: ClassVar[tuple[int, int]] = (2, 0)
    size: int = 3

    def fit(self, classifier: Classifier, data: FitData) -> "Blur":
        change = self._change(classifier, tf.constant(data.benign))
        return replace(self, learned={"usual": np.median(change)})

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        usual = tf.cast(self.learned_tensor("usual"), tf.float32)
        return self._change(classifier, images) / usual

    def _change(self, classifier: Classifier, images: tf.Tensor) -> tf.Tensor:
        blurred = tf.nn.avg_pool2d(images, self.size, 1, "SAME")
        return tf.reduce_max(tf.abs(classifier(blurred) - classifier(images)), axis=1)
