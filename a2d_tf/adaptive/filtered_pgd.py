"""Projected gradient descent on a classifier and on what it says of filtered images."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from a2d_tf.attacks.runner import OnFinished
from a2d_tf.classifiers import Classifier
from a2d_tf.features import squeezers
from a2d_tf.images.spec import Images, Labels
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


@dataclass(frozen=True, kw_only=True)
class SharedStart(FilteredPGD):
    """`FilteredPGD` for several attacks that begin at its images: each image is made once.

    Attributes:
      made: what was made, by the classifier, the settings, the image and its label; a dictionary
        that several of these threats may share.
      most_bytes: of images in it; beyond that they are made anew each time.
    """

    made: dict[Any, Images] = field(default_factory=dict, repr=False, compare=False)
    most_bytes: int = field(default=2**28, repr=False, compare=False)

    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        settings = repr(self)
        keys = [
            (classifier, settings, hashlib.sha256(image.tobytes()).digest(), int(label))
            for image, label in zip(images, labels, strict=True)
        ]
        # The whole batch, so that rounding does not depend on what was made before.
        if not all(key in self.made for key in keys):
            found = super().perturb(classifier, images, labels, lambda done: None)
            if images.nbytes + sum(one.nbytes for one in self.made.values()) <= self.most_bytes:
                self.made.update(zip(keys, found, strict=True))
        else:
            found = np.stack([self.made[key] for key in keys])
        on_finished(len(images))
        return found
