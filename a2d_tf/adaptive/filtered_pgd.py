"""Projected gradient descent on a classifier and on what it says of filtered images."""

from dataclasses import dataclass

import tensorflow as tf

from a2d_tf.classifiers import Classifier
from a2d_tf.features import squeezers
from a2d_tf.threats.pgd import PGD
from a2d_tf.threats.projected import Look, is_misclassified


@dataclass(frozen=True, kw_only=True)
class FilteredPGD(PGD):
    """PGD against detectors that filter the image, such as `Response` and feature squeezing.

    The loss is that of the mean logits of the image and of its filtered versions, so that all of
    them move to the same wrong class, and a filter changes the answer little (He et al. 2017, arXiv
    1706.04701). The image counts as misclassified by its own logits.
    """

    def look(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor, aims: tf.Tensor
    ) -> Look:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            versions = [images, *squeezers.squeezed(images, classifier.bounds)]
            logits = [classifier(version) for version in versions]
            loss = self.loss_of(tf.add_n(logits) / len(logits), labels)
        wrong = is_misclassified(logits[0], labels)
        return Look(tape.gradient(loss, images), tf.cast(wrong, tf.int32), loss)
