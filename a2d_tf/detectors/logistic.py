"""Logistic regression on costs: several attacks, benign and adversarial images."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from a2d_tf.detectors.base import CostDetector, Costs, require_both


@dataclass(kw_only=True)
class Logistic(CostDetector):
    """A logistic regression on the logarithm and the square root of every cost.

    These are Box-Cox transforms of powers 0 and 1/2, between which the powers lie that make
    costs normal. Not in the paper, but what it compares itself with (KD, LID) weighs its
    features so; the ratio of an input's costs under different attacks tells more than any
    of them alone.
    """

    name: ClassVar[str] = "logistic"

    @property
    def default_threshold(self) -> float:
        return 0.0

    def check_counts(self, benign: int, adversarial: int) -> None:
        require_both(benign, adversarial, "a logistic regression")

    def _fit(self, costs: Costs, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        scaler = StandardScaler().fit(_features(costs))
        regression = LogisticRegression(max_iter=5000)
        regression.fit(scaler.transform(_features(costs)), is_adversarial)
        weights = regression.coef_[0] / scaler.scale_
        return {"weights": weights, "bias": regression.intercept_[0] - weights @ scaler.mean_}

    def _score(self, costs: Costs) -> Costs:
        log_odds: Costs = _features(costs) @ self._fitted["weights"] + self._fitted["bias"]
        return log_odds


def _features(costs: Costs) -> Costs:
    return np.concatenate([np.log1p(costs), np.sqrt(costs)], axis=1)
