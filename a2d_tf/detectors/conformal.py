"""The conformal detector: benign costs only, and a false-positive rate that holds."""

import zlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from a2d_tf.calibration import check_count, threshold_at
from a2d_tf.detectors.base import Calibration, CostDetector, Costs
from a2d_tf.errors import InvalidInputError


@dataclass(kw_only=True)
class Conformal(CostDetector):
    """Conformal p-values of each attack's cost, combined over the attacks.

    An attack's p-value is the share of benign costs that are as low as the input's, itself
    counted among them (Vovk 2005, section 2.2). Their logarithms add up to the score (Fisher
    1932). Fisher's distribution of that sum would hold for independent attacks only; its
    threshold is therefore the split-conformal one, out of benign inputs that gave no p-values.
    No distribution is assumed: the false-positive rate on fresh benign inputs is at most `fpr`
    on average, whatever the number of benign inputs in the fit.

    Attributes:
      fpr: the false-positive rate that `fit` sets; `calibrate` sets another.
    """

    name: ClassVar[str] = "conformal"
    learns_from_adversarial: ClassVar[bool] = False
    falls_with_cost: ClassVar[bool] = True
    fpr: float = 0.1

    @property
    def default_threshold(self) -> float:
        return float(self._fitted["threshold"]) if self._fitted else np.inf

    def check_counts(self, benign: int, adversarial: int) -> None:
        try:
            check_count(benign // 2, self.fpr)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"{error} ({benign} in all, of which half set the threshold)"
            ) from error

    def _fit(self, costs: Costs, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        """Half of the benign inputs, drawn at random, give p-values, the others the threshold."""
        benign = costs[~is_adversarial]
        # The costs themselves seed the draw: it is the same for them in any order, yet no rank
        # is always in the same half, which would bias every detector alike.
        benign = np.random.default_rng(zlib.crc32(benign.tobytes())).permutation(benign)
        table = benign[::2]
        scores = _combined(table, benign[1::2]).astype(np.float32)
        return {
            "benign": table,
            "threshold": threshold_at(scores, self.fpr),
            **Calibration(self.fpr, len(scores)).arrays(),
        }

    def _score(self, costs: Costs) -> Costs:
        return _combined(self._fitted["benign"], costs)


def _combined(table: Costs, costs: Costs) -> Costs:
    """Minus the sum of the logarithms of the p-values [N] of costs [N, A]."""
    p_values = [_p_value(*columns) for columns in zip(table.T, costs.T, strict=True)]
    scores: Costs = -np.log(p_values).sum(axis=0)
    return scores


def _p_value(benign: Costs, costs: Costs) -> Costs:
    p_values: Costs = np.interp(costs, *steps_of(benign))
    return p_values


def steps_of(benign: Costs) -> tuple[Costs, Costs]:
    """Costs and their p-values, to be interpolated: even those below all benign costs differ."""
    values, counts = np.unique(benign, return_counts=True)
    as_low = (1 + np.cumsum(counts)) / (1 + len(benign))
    return np.array([-1, *values]), np.array([0, *as_low])
