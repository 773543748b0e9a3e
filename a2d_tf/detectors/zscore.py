"""The Z-score detector: benign images only, after a Box-Cox transform (paper, section 4.2)."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf import checks
from a2d_tf.detectors.base import Detector
from a2d_tf.detectors.columns import MIN_INPUTS, Columns, is_cost_like
from a2d_tf.errors import InvalidInputError

# Box-Cox needs positive numbers, and costs contain 0. Costs that are all below 1 are no counts, and
# are shifted by the largest of them.
SHIFT = 1.0
# If most costs are at the maximum, the likeliest power grows without end, and costs overflow.
MAX_POWER = 5.0
NO_TRANSFORM = 1.0  # the power of columns that are constant, or have negative values


@dataclass(kw_only=True, eq=False)
class ZScore(Detector):
    """How many standard deviations a column lies below its benign mean.

    A power (Box-Cox) transforms each attack's costs to near normality. The power is the one that
    suits the benign costs best; mean and standard deviation are those of the transformed costs.
    With several columns, an input is benign if at least `votes` of them say so.

    Attributes:
      h: a column calls an input adversarial if its Z-score is below h. The published value
        -1.281552 is the 10 % quantile of the normal distribution. With several columns the
        false-positive rate is another: with two columns that must both call an input benign, up
        to twice as high. `A2D.fit(fpr=)` or `calibrate` sets a threshold for a wanted rate.
      votes: the number of columns that must call an input benign; all of them if there are fewer.
    """

    name: ClassVar[str] = "zscore"
    learns_from_adversarial: ClassVar[bool] = False
    is_monotone: ClassVar[bool] = True
    h: float = -1.281552
    votes: int = 2

    def __post_init__(self) -> None:
        checks.number(self.h, "ZScore's h", minimum=-np.inf)
        checks.integer(self.votes, "ZScore's votes")

    @property
    def default_threshold(self) -> float:
        return -self.h

    def check_counts(self, benign: int, adversarial: int) -> None:
        if benign < MIN_INPUTS:
            raise InvalidInputError(
                f"expected at least {MIN_INPUTS} benign images to fit a Z-score, got {benign}"
                "; give more"
            )

    def _fit(self, columns: Columns, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        benign = columns[~is_adversarial]
        largest = benign.max(axis=0)
        shift = np.where(largest > 0, np.minimum(largest, SHIFT), SHIFT)
        power = np.array([
            _box_cox_power(column + its) if cost_like else NO_TRANSFORM
            for column, its, cost_like in zip(benign.T, shift, is_cost_like(columns), strict=True)
        ])
        transformed = np.stack([
            _box_cox(column, its, one).numpy()
            for column, its, one in zip(benign.T, shift, power, strict=True)
        ], axis=1)
        deviation = transformed.std(axis=0)
        return {
            "power": power,
            "shift": shift,
            "mean": transformed.mean(axis=0),
            "deviation": np.where(deviation > 0, deviation, 1.0),  # of a constant column
        }

    def _score(self, columns: tf.Tensor) -> tf.Tensor:
        # A detector of a version before 0.6 shifted all columns alike.
        shift = getattr(self, "shift_", np.full(self.n_features_in_, SHIFT))
        transformed = tf.stack([
            _box_cox(column, its, power)
            for column, its, power in zip(
                tf.unstack(columns, axis=1), shift, self.power_, strict=True
            )
        ], axis=1)
        z = (transformed - self.mean_) / self.deviation_
        # At least `votes` columns call the input benign if the `votes`-th largest Z-score does.
        decisive = max(len(self.power_) - self.votes, 0)
        return -tf.sort(z, axis=1)[:, decisive]


def _box_cox(column: Any, shift: float, power: float) -> tf.Tensor:
    """The Box-Cox transform f64[n] of a column, shifted so that a cost of 0 is positive."""
    values = tf.convert_to_tensor(column, tf.float64)
    if power == NO_TRANSFORM:
        return values
    logarithm = tf.math.log(tf.maximum(values + shift, np.finfo(np.float64).tiny))
    if power == 0:
        return logarithm
    return tf.math.expm1(float(power) * logarithm) / float(power)


def _box_cox_power(shifted: Columns) -> float:
    if np.ptp(shifted) == 0:
        return NO_TRANSFORM
    search = functools.partial(
        scipy.optimize.minimize_scalar, bounds=(-MAX_POWER, MAX_POWER), method="bounded"
    )
    return float(scipy.stats.boxcox_normmax(shifted, method="mle", optimizer=search))
