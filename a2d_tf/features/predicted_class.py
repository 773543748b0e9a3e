"""The class that the classifier predicts, so that a detector can judge each class by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import tensorflow as tf

from a2d_tf.classifiers import Classifier
from a2d_tf.features.base import Feature


@dataclass(frozen=True, kw_only=True)
class PredictedClass(Feature):
    """The number of the predicted class. It takes no pass beside the one that gives the label.

    It tells nothing of whether an image is adversarial. Beside another feature it makes the
    detector `Profile` choose a threshold for each class, so that no class has more false positives
    than another: `A2D(classifier, ["response", "predicted-class"])`.
    """

    name: ClassVar[str] = "predicted-class"
    description: ClassVar[str] = "the predicted class, for a threshold of its own"
    adversarial_is: ClassVar[Literal["low", "high", "either", "class"]] = "class"
    needs_logits: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = False
    passes: ClassVar[tuple[int, int]] = (0, 0)
    default_detector: ClassVar[tuple[str, Mapping[str, Any]]] = ("profile", {})

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        return tf.cast(labels, tf.float64)[:, None]
