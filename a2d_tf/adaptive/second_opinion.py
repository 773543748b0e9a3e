"""A detector on a second classifier, which must agree with the first."""

import numpy as np
import tensorflow as tf

from a2d_tf.a2d import A2D
from a2d_tf.adaptive.defences import Flagged, score_of
from a2d_tf.adaptive.goal import LOGIT_SLACK, Excess, Goal, own_labels
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Images
from a2d_tf.threats.projected import lead


class SecondOpinion:
    """Flags what a second classifier labels otherwise, and what a detector on it flags.

    An attacker must fool both classifiers towards the same class, and both geometries.

    Args:
      classifier: the classifier under attack.
      a2d: a fitted detector of the second classifier, which takes the same images.
      images: f32[n,H,W,C], with which that is tried.

    Raises:
      InvalidInputError: the second classifier takes other images, or has other classes.
    """

    def __init__(self, classifier: Classifier, a2d: A2D, images: Images):
        self.classifier = classifier
        self._a2d = a2d
        other = a2d.classifier
        if other.bounds != classifier.bounds:
            raise InvalidInputError(
                f"expected a second classifier of images in {tuple(classifier.bounds)}, got one "
                f"of images in {tuple(other.bounds)}; give one for the same images"
            )
        widths = [one.logits(images[:1]).shape[1] for one in (classifier, other)]
        if widths[0] != widths[1]:
            raise InvalidInputError(
                f"expected a second classifier of {widths[0]} classes, got one of {widths[1]}; "
                "give one of the same classes"
            )

    def predict(self, images: Images) -> Flagged:
        """The first classifier's labels of images f32[N,H,W,C], and the verdicts."""
        labels = self.classifier.predict(images)
        found = self._a2d.predict(images)
        return Flagged(labels, found.is_adversarial | (found.label != labels))

    def goal(self, benign: Images) -> Goal:
        """What an attack lowers: the detector's score, and the second classifier's disagreement.

        Raises:
          InvalidInputError: the score has no gradient.
        """
        disagreement = Disagreement(self.classifier, self._a2d.classifier)
        return Excess([score_of(self._a2d, benign), disagreement], benign)


class Disagreement(Goal):
    """By how many logits a second classifier prefers another class than the first decides for."""

    def __init__(self, first: Classifier, second: Classifier):
        self._first = first
        self._second = second

    @property
    def enough(self) -> float:
        return -LOGIT_SLACK

    def value(self, images: tf.Tensor, aims: tf.Tensor) -> tf.Tensor:
        labels, is_known = own_labels(self._first, images)
        return tf.where(is_known, lead(self._second(images), labels), np.float32(np.inf))

    def __repr__(self) -> str:
        return "Disagreement()"
