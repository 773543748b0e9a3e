"""Columns that look like those of benign images: surrogate costs, and feature matching."""

from typing import Literal

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf.adaptive.goal import Goal
from a2d_tf.adaptive.score import columns_of
from a2d_tf.checks import lookup
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import AttackCost, DirectionCosts, Feature
from a2d_tf.images.spec import Images, Labels

MEASURED_AT_ONCE = 32
MATCHES = {"median": "one for all", "image": "one for each"}


class BenignColumns(Goal):
    """The distance of an image's columns to those of benign images.

    With first-order costs it stands in for the counted cost of any attack, which has no gradient.
    Costs are compared by their logarithm, in units of its standard deviation over benign images,
    and the goal is their mean squared difference.

    Args:
      classifier: the classifier to attack.
      benign: f32[N,H,W,C], benign images that the attacker has.
      feature: what is compared; first-order costs in all directions by default.
      match: "median" to aim at the benign medians (surrogate costs), or "image" to aim at one
        benign image (feature matching; Sabour 2016): the nearest of another class.

    Raises:
      InvalidInputError: fewer than two benign images that can be measured, or a feature without a
        gradient.
    """

    def __init__(
        self,
        classifier: Classifier,
        benign: ArrayLike,
        feature: Feature | None = None,
        *,
        match: Literal["median", "image"] = "median",
    ):
        self._classifier = classifier
        self._feature = feature or DirectionCosts()
        lookup(MATCHES, match, "what is matched")
        self._match = match
        if isinstance(self._feature, AttackCost) or not self._feature.in_graph:
            raise InvalidInputError(
                f"expected a feature with a gradient, got {self._feature.name}; give another, "
                "such as DirectionCosts()"
            )
        images = classifier.check(benign)
        if len(images) < 2:
            raise InvalidInputError(
                f"expected at least 2 benign images to aim at, got {len(images)}; give more"
            )
        self._labels = classifier.predict(images)
        raw = self._feature.measure(classifier, images, batch_size=MEASURED_AT_ONCE)
        measured = np.isfinite(raw).all(axis=1)
        if measured.sum() < 2:
            raise InvalidInputError(
                f"expected at least 2 benign images with finite columns, got {measured.sum()} of "
                f"{len(images)}; give others"
            )
        raw, self._labels = raw[measured], self._labels[measured]
        self._is_cost = (raw >= 0).all(axis=0)
        columns = self._transformed(tf.constant(raw)).numpy()
        spread = columns.std(axis=0)
        self._spread: NDArray[np.float64] = np.where(spread > 0, spread, 1.0)
        self._columns: NDArray[np.float64] = columns

    def aims(self, images: Images, labels: Labels) -> NDArray[np.float64]:
        if self._match == "median":
            return np.tile(np.median(self._columns, axis=0), (len(images), 1))
        classes = np.unique(self._labels)
        if len(classes) == 1 and classes[0] in labels:
            raise InvalidInputError(
                f"expected benign images of two classes at least, got those of class {classes[0]} "
                "alone; give others"
            )
        raw = self._feature.measure(self._classifier, images, batch_size=MEASURED_AT_ONCE)
        own = self._transformed(tf.constant(raw)).numpy()
        away = np.square((own[:, None] - self._columns) / self._spread).mean(axis=2)
        away = np.nan_to_num(away)  # an image that cannot be measured may aim at any of them
        # A benign image of the true class may be the image itself.
        away[labels[:, None] == self._labels] += away.max() + 1
        return np.asarray(self._columns[away.argmin(axis=1)])

    def value(self, images: tf.Tensor, aims: tf.Tensor) -> tf.Tensor:
        labels = self._classifier.decide(images)
        raw = columns_of(self._feature, self._classifier, images, labels)
        away = (self._transformed(raw) - aims) / self._spread
        return tf.cast(tf.reduce_mean(tf.square(away), axis=1), tf.float32)

    def _transformed(self, columns: tf.Tensor) -> tf.Tensor:
        """The logarithm of costs; other columns as they are."""
        logarithm = tf.math.log1p(tf.maximum(columns, 0.0))
        return tf.where(self._is_cost, logarithm, columns)

    def __repr__(self) -> str:
        return (
            f"BenignColumns({len(self._columns)} images, {self._feature!r}, match={self._match!r})"
        )
