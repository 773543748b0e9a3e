"""The margin: by how much the most likely class leads, from one forward pass."""

from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from a2d_tf.classifiers import Classifier
from a2d_tf.features.base import Feature


@dataclass(frozen=True, kw_only=True)
class Margin(Feature):
    """The difference of the two largest logits. Adversarial inputs lie near a boundary: it is low.

    It takes one forward pass and no attack, and so is the simplest baseline of a cost. Not in the
    paper.
    """

    name: ClassVar[str] = "margin"
    description: ClassVar[str] = "difference of the two largest logits"
    needs_gradients: ClassVar[bool] = False
    passes: ClassVar[tuple[int, int]] = (1, 0)

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        best = tf.math.top_k(classifier(images), 2).values
        return best[:, :1] - best[:, 1:]
