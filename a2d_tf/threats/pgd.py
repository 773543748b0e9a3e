"""Projected gradient descent, the attack of adversarial training."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.threats.projected import Look, ProjectedThreat, is_misclassified, lead

LOSSES = ("cross-entropy", "margin")


@dataclass(frozen=True, kw_only=True)
class PGD(ProjectedThreat):
    """Projected gradient descent from random starts (Madry 2018, section 2.1), untargeted.

    The image with the highest loss is kept, a misclassified one if there is any. On the margin
    the gradient does not vanish where the classifier is certain (Carlini 2017).

    Attributes:
      loss: "cross-entropy" of the true label, or "margin": the best other logit minus that of the
        true label.
    """

    loss: str = "cross-entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in LOSSES:
            raise InvalidInputError(
                f"expected PGD's loss out of {', '.join(LOSSES)}, got {self.loss!r}"
                "; take one of these"
            )

    @property
    def look_key(self) -> tuple[Any, ...]:
        return (type(self), self.loss)

    def loss_of(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The loss f32[n] of logits f32[n,K] and true labels i32[n]."""
        if self.loss == "margin":
            return lead(logits, labels)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)

    def look(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor, aims: tf.Tensor
    ) -> Look:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits = classifier(images)
            loss = self.loss_of(logits, labels)
        wrong = is_misclassified(logits, labels)
        return Look(tape.gradient(loss, images), tf.cast(wrong, tf.int32), loss)
