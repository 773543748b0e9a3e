"""The Z-score detector: benign costs only (paper, section 4.2)."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
from numpy.typing import NDArray

from a2d_tf.detectors.base import MIN_INPUTS, CostDetector, Costs
from a2d_tf.errors import InvalidInputError

# Box-Cox needs positive numbers and costs contain 0.
SHIFT = 1.0
# Where most costs are at the cap the likeliest power grows without end, and costs overflow.
MAX_POWER = 5.0


@dataclass(kw_only=True)
class ZScore(CostDetector):
    """How many deviations a cost lies below the benign mean, after a Box-Cox transform.

    Each attack's costs are transformed to near normality by the power that suits the benign
    costs best; mean and deviation are those of the transformed costs. With several attacks, an
    input is benign if at least `votes` of them say so.

    Attributes:
      h: an attack calls an input adversarial if its Z-score is below h. The published
        -1.281552 is the normal distribution's 10 % quantile.
      votes: attacks that must call an input benign; all of them if there are fewer.
    """

    name: ClassVar[str] = "zscore"
    learns_from_adversarial: ClassVar[bool] = False
    falls_with_cost: ClassVar[bool] = True
    h: float = -1.281552
    votes: int = 2

    def __post_init__(self) -> None:
        if self.votes < 1:
            raise InvalidInputError(f"expected at least one vote, got {self.votes}")
        super().__post_init__()

    @property
    def default_threshold(self) -> float:
        return -self.h

    def check_counts(self, benign: int, adversarial: int) -> None:
        if benign < MIN_INPUTS:
            raise InvalidInputError(
                f"expected at least {MIN_INPUTS} benign images to fit a Z-score, got {benign}"
            )

    def _fit(self, costs: Costs, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        benign = costs[~is_adversarial]
        power = np.array([_box_cox_power(column) for column in benign.T])
        transformed = scipy.special.boxcox(benign + SHIFT, power)
        deviation = transformed.std(axis=0)
        return {
            "power": power,
            "mean": transformed.mean(axis=0),
            "deviation": np.where(deviation > 0, deviation, 1.0),  # all benign costs are equal
        }

    def _score(self, costs: Costs) -> Costs:
        learned = self._fitted
        transformed = scipy.special.boxcox(costs + SHIFT, learned["power"])
        z = (transformed - learned["mean"]) / learned["deviation"]
        # At least `votes` of them are benign if the `votes`-th largest Z-score is.
        decisive = max(z.shape[1] - self.votes, 0)
        return -np.sort(z, axis=1)[:, decisive]


def _box_cox_power(costs: Costs) -> float:
    if np.ptp(costs) == 0:
        return 1.0  # no power makes a constant normal
    search = functools.partial(
        scipy.optimize.minimize_scalar, bounds=(-MAX_POWER, MAX_POWER), method="bounded"
    )
    return float(scipy.stats.boxcox_normmax(costs + SHIFT, method="mle", optimizer=search))
