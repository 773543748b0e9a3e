"""The conformal detector: benign images only, and a false-positive rate that holds."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf import checks
from a2d_tf.detectors.base import Detector
from a2d_tf.detectors.calibration import calibrated, check_count, training_and_calibration
from a2d_tf.detectors.columns import Columns
from a2d_tf.errors import InvalidInputError

NO_COST = -1.0  # below every cost, with p-value 0
MIN_P_VALUE = 1e-12  # of a column that has no least value


@dataclass(kw_only=True, eq=False)
class Conformal(Detector):
    """Conformal p-values of the columns, combined.

    The p-value of a column is the share of benign values that are as low as the input's, the input
    itself among them (Vovk 2005, section 2.2). The negative sum of their logarithms is the score
    (Fisher 1932). Fisher's distribution of this sum would hold for independent columns only, so
    that the threshold is the split-conformal one, from benign images that gave no p-values. No
    distribution is assumed: the false-positive rate on fresh benign images is at most `fpr` on
    average, whatever the number of benign images in the fit.

    Attributes:
      fpr: the false-positive rate that `fit` sets; `calibrate` sets another.
    """

    name: ClassVar[str] = "conformal"
    learns_from_adversarial: ClassVar[bool] = False
    is_monotone: ClassVar[bool] = True
    calibrates_itself: ClassVar[bool] = True
    fpr: float = 0.1

    def __post_init__(self) -> None:
        checks.number(self.fpr, "Conformal's fpr", maximum=1)

    @property
    def default_threshold(self) -> float:
        return np.inf

    def check_counts(self, benign: int, adversarial: int) -> None:
        try:
            check_count(benign // 2, self.fpr)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"{error} ({benign} in all, of which at most half set the threshold)"
            ) from error

    def _fit(self, columns: Columns, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        """Some of the benign images, drawn at random, give p-values; the others the threshold."""
        table, fresh = training_and_calibration(columns[~is_adversarial], self.fpr)
        scores = _combined(table, tf.constant(fresh)).numpy().astype(np.float32)
        return {"benign": table} | calibrated(scores, self.fpr)

    def _score(self, columns: tf.Tensor) -> tf.Tensor:
        return _combined(self.benign_, columns)


def _combined(benign: Columns, columns: tf.Tensor) -> tf.Tensor:
    """The negative sum of the logarithms of the p-values, f64[n], of columns f64[n,D]."""
    p_values = [
        interpolate(column, *_p_value_steps(its))
        for column, its in zip(tf.unstack(columns, axis=1), benign.T, strict=True)
    ]
    return -tf.reduce_sum(tf.math.log(tf.stack(p_values)), axis=0)


def _p_value_steps(benign: Columns) -> tuple[Columns, Columns]:
    """Values and their p-values, between which `interpolate` draws straight lines.

    So values that are lower than all benign ones differ too.
    """
    values, counts = np.unique(benign, return_counts=True)
    as_low = (1 + np.cumsum(counts)) / (1 + len(benign))
    if values[0] >= 0:
        return np.array([NO_COST, *values]), np.array([0, *as_low])
    least = values[0] - (np.ptp(values) or 1.0)
    return np.array([least, *values]), np.array([MIN_P_VALUE, *as_low])


def interpolate(values: tf.Tensor, places: Columns, heights: Columns) -> tf.Tensor:
    """Heights at increasing places, with straight lines between and constant outside."""
    right = tf.searchsorted(tf.constant(places), values, side="right")
    left = tf.clip_by_value(right - 1, 0, len(places) - 2)
    low, high = tf.gather(places, left), tf.gather(places, left + 1)
    start, end = tf.gather(heights, left), tf.gather(heights, left + 1)
    between = (end - start) / (high - low) * (values - low) + start
    return tf.where(values >= places[-1], heights[-1], tf.maximum(between, heights[0]))
