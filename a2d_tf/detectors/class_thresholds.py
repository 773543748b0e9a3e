"""A threshold for each predicted class, so that the false-positive rate holds in each of them."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf.detectors import calibration
from a2d_tf.detectors.calibration import least_count, threshold_at
from a2d_tf.errors import DetectorWarning

NAMED = 10  # classes in a message


def training_and_calibration(
    benign: NDArray[np.float64], classes: NDArray[np.float64], fpr: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two parts of benign columns, see `calibration.training_and_calibration`, class by class.

    Classes that are too rare for a threshold of their own are divided together.

    Args:
      benign: f64[N,D], in rising order.
      classes: f64[N], the predicted class of each row.
      fpr: the wanted false-positive rate.
    """
    least = 2 * least_count(fpr)
    numbers, places, counts = np.unique(classes, return_inverse=True, return_counts=True)
    is_rare = (counts < least)[places]
    groups = [classes == number for number in numbers[counts >= least]]
    learned, fresh = [benign[is_rare]], []
    if is_rare.sum() >= least:
        learned, groups = [], [*groups, is_rare]
    for group in groups:
        parts = calibration.training_and_calibration(benign[group], fpr)
        learned.append(parts[0])
        fresh.append(parts[1])
    return np.concatenate(learned), np.concatenate([*fresh, benign[:0]])


def thresholds_by_class(
    scores: NDArray[np.float64], classes: NDArray[np.float64], fpr: float,
    known: NDArray[np.float64] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """The split-conformal threshold of each class (Vovk 2005, section 4.5: Mondrian predictors).

    Args:
      scores: f64[N], of benign images that took no part in the fit.
      classes: f64[N], the predicted class of each.
      fpr: the wanted false-positive rate.
      known: f64[M], other classes that are known, to be named as they have no scores.

    Returns:
      `class_numbers` f64[C], rising, and `class_thresholds` f64[C], of all classes that are known;
      and `other_threshold` f64[], that of all scores, for every other class, and for those with too
      few scores for that rate. A DetectorWarning names these.

    Raises:
      InvalidInputError: too few scores, whatever their class.
    """
    numbers = np.unique(np.concatenate([classes, [] if known is None else known]))
    counts = (classes[:, None] == numbers).sum(axis=0)
    has_enough = counts >= least_count(fpr)
    if rare := [f"{number:.0f}" for number in numbers[~has_enough]]:
        warnings.warn(
            "predicted classes with too few benign images share one threshold: "
            f"{', '.join(rare[:NAMED])}{', ...' if len(rare) > NAMED else ''} (a false-positive "
            f"rate of {fpr:g} takes {least_count(fpr)} of a class that nothing is learned from, "
            f"{2 * least_count(fpr)} in all); give more images, or a higher rate",
            DetectorWarning, stacklevel=3,
        )
    other = threshold_at(scores, fpr)
    own = [
        threshold_at(scores[classes == number], fpr) if enough else other
        for number, enough in zip(numbers, has_enough, strict=True)
    ]
    return {
        "class_numbers": numbers, "class_thresholds": np.array(own),
        "other_threshold": np.array(other),
    }


def thresholds_of(classes: tf.Tensor, learned: Mapping[str, NDArray[Any]]) -> tf.Tensor:
    """The threshold f64[n] of each predicted class f64[n]; see `thresholds_by_class`."""
    is_class = classes[:, None] == learned["class_numbers"]
    own = tf.reduce_sum(tf.where(is_class, learned["class_thresholds"], 0.0), axis=1)
    return tf.where(tf.reduce_any(is_class, axis=1), own, learned["other_threshold"])
