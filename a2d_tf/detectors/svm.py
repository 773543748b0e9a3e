"""A support vector machine on costs (paper, section C)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.svm import SVC

from a2d_tf.detectors.base import CostDetector, Costs, require_both


@dataclass(kw_only=True)
class SVM(CostDetector):
    """scikit-learn's `SVC` with its default settings, as in the paper.

    The score is its decision function, from the support vectors that the fit keeps.
    """

    name: ClassVar[str] = "svm"

    @property
    def default_threshold(self) -> float:
        return 0.0

    def check_counts(self, benign: int, adversarial: int) -> None:
        require_both(benign, adversarial, "an SVM")

    def _fit(self, costs: Costs, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        spread = costs.var()
        gamma = 1 / (costs.shape[1] * spread) if spread > 0 else 1.0  # SVC's gamma="scale"
        machine = SVC(gamma=gamma).fit(costs, is_adversarial)
        return {
            "support": machine.support_vectors_,
            "weights": machine.dual_coef_[0],
            "bias": machine.intercept_[0],
            "gamma": gamma,
        }

    def _score(self, costs: Costs) -> Costs:
        learned = self._fitted
        distances = cdist(costs, learned["support"], "sqeuclidean")
        near = np.exp(-learned["gamma"] * distances)
        decision: Costs = near @ learned["weights"] + learned["bias"]
        return decision
