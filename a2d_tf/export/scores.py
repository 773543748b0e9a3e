"""The scores of fitted cost detectors as TensorFlow operations."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf.detectors import KNN, SVM, Conformal, CostDetector, Forest, Logistic, Tree, ZScore
from a2d_tf.detectors.conformal import steps_of
from a2d_tf.detectors.trees import LEAF, depth
from a2d_tf.detectors.zscore import SHIFT
from a2d_tf.errors import InvalidInputError

Score = Callable[[tf.Tensor], tf.Tensor]


@functools.singledispatch
def scorer(detector: CostDetector) -> Score:
    """A fitted detector's `score` as a function of costs f64[N,A] that gives f64[N].

    Raises:
      InvalidInputError: a detector of a class that is not known here.
    """
    raise InvalidInputError(
        f"expected a detector out of {', '.join(kind.name for kind in KNOWN)} to export, got "
        f"{detector.name}; register its score in a2d_tf.export.scores"
    )


@scorer.register
def _(detector: ZScore) -> Score:
    learned = detector.learned
    decisive = max(len(learned["mean"]) - detector.votes, 0)

    def score(costs: tf.Tensor) -> tf.Tensor:
        transformed = tf.stack([
            _box_cox(column + SHIFT, float(power))
            for column, power in zip(tf.unstack(costs, axis=1), learned["power"], strict=True)
        ], axis=1)
        z = (transformed - learned["mean"]) / learned["deviation"]
        return -tf.sort(z, axis=1)[:, decisive]

    return score


@scorer.register
def _(detector: Conformal) -> Score:
    tables = [steps_of(column) for column in detector.learned["benign"].T]

    def score(costs: tf.Tensor) -> tf.Tensor:
        p_values = [
            _interpolated(column, *table)
            for column, table in zip(tf.unstack(costs, axis=1), tables, strict=True)
        ]
        return -tf.reduce_sum(tf.math.log(tf.stack(p_values)), axis=0)

    return score


@scorer.register
def _(detector: KNN) -> Score:
    known = detector.learned["costs"]
    kinds = tf.constant(detector.learned["is_adversarial"][:, None], tf.float64)
    k = min(detector.k, len(known))

    def score(costs: tf.Tensor) -> tf.Tensor:
        distances = _squared_distances(costs, known)
        farthest = tf.sort(distances, axis=1)[:, k - 1:k]
        nearer = tf.cast(distances < farthest, tf.float64)
        tied = tf.cast(distances == farthest, tf.float64)
        places = (k - tf.reduce_sum(nearer, axis=1)) / tf.reduce_sum(tied, axis=1)
        return ((nearer @ kinds)[:, 0] + places * (tied @ kinds)[:, 0]) / k

    return score


@scorer.register
def _(detector: SVM) -> Score:
    learned = detector.learned

    def score(costs: tf.Tensor) -> tf.Tensor:
        near = tf.exp(-learned["gamma"] * _squared_distances(costs, learned["support"]))
        return (near @ learned["weights"][:, None])[:, 0] + learned["bias"]

    return score


@scorer.register(Tree)
@scorer.register(Forest)
def _(detector: Any) -> Score:
    nodes = {name: tf.constant(values) for name, values in detector.learned.items()}
    levels = depth(detector.learned)

    def score(costs: tf.Tensor) -> tf.Tensor:
        values = tf.cast(tf.cast(costs, tf.float32), tf.float64)
        node = tf.tile(nodes["roots"][None], [tf.shape(costs)[0], 1])
        for _ in range(levels):
            value = tf.gather(values, tf.gather(nodes["column"], node), batch_dims=1)
            left = tf.gather(nodes["left"], node)
            goes_left = value <= tf.gather(nodes["split"], node)
            below = tf.where(goes_left, left, tf.gather(nodes["right"], node))
            node = tf.where(left == LEAF, node, below)
        return tf.reduce_mean(tf.gather(nodes["share"], node), axis=1)

    return score


@scorer.register
def _(detector: Logistic) -> Score:
    learned = detector.learned

    def score(costs: tf.Tensor) -> tf.Tensor:
        features = tf.concat([tf.math.log1p(costs), tf.sqrt(costs)], axis=1)
        return (features @ learned["weights"][:, None])[:, 0] + learned["bias"]

    return score


KNOWN = [kind for kind in scorer.registry if kind is not object]


def _box_cox(values: tf.Tensor, power: float) -> tf.Tensor:
    if power == 0:
        return tf.math.log(values)
    return tf.math.expm1(power * tf.math.log(values)) / power


def _interpolated(
    values: tf.Tensor, places: NDArray[np.float64], heights: NDArray[np.float64]
) -> tf.Tensor:
    """As `numpy.interp`: heights at increasing places, straight lines between, flat outside."""
    right = tf.searchsorted(tf.constant(places), values, side="right")
    left = tf.clip_by_value(right - 1, 0, len(places) - 2)
    low, high = tf.gather(places, left), tf.gather(places, left + 1)
    start, end = tf.gather(heights, left), tf.gather(heights, left + 1)
    between = (end - start) / (high - low) * (values - low) + start
    return tf.where(values >= places[-1], heights[-1], tf.maximum(between, heights[0]))


def _squared_distances(costs: tf.Tensor, known: NDArray[np.float64]) -> tf.Tensor:
    """Between costs f64[N,A] and known ones f64[M,A], as f64[N,M]."""
    # Column by column: |a|^2 + |b|^2 - 2ab would lose the small ones among large.
    return tf.add_n([
        tf.math.squared_difference(column[:, None], its)
        for column, its in zip(tf.unstack(costs, axis=1), known.T, strict=True)
    ])
