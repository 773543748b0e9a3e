"""The K-NN detector: benign and adversarial costs (paper, section 4.1)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from a2d_tf.detectors.base import CostDetector, Costs, require_both
from a2d_tf.errors import InvalidInputError

ROWS_AT_ONCE = 256  # bounds the table of distances


@dataclass(kw_only=True)
class KNN(CostDetector):
    """The share of adversarial inputs among the K nearest in costs.

    Costs are whole numbers, so that many neighbours are equally far: the places that are left
    for those at the K-th distance are shared among them evenly, which makes the score
    independent of the order of the fit.

    Attributes:
      k: neighbours that count; all there are if fewer.
    """

    name: ClassVar[str] = "knn"
    k: int = 100

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InvalidInputError(f"expected at least one neighbour, got k = {self.k}")
        super().__post_init__()

    @property
    def default_threshold(self) -> float:
        return 0.5

    def check_counts(self, benign: int, adversarial: int) -> None:
        require_both(benign, adversarial, "a K-NN")

    def _fit(self, costs: Costs, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        return {"costs": costs, "is_adversarial": is_adversarial}

    def _score(self, costs: Costs) -> Costs:
        blocks = range(0, len(costs), ROWS_AT_ONCE)
        shares = [self._share(costs[start:start + ROWS_AT_ONCE]) for start in blocks]
        return np.concatenate(shares) if shares else np.zeros(0)

    def _share(self, costs: Costs) -> Costs:
        distances: Costs = cdist(costs, self._fitted["costs"], "sqeuclidean")
        kinds = self._fitted["is_adversarial"].astype(np.float64)
        k = min(self.k, len(kinds))
        farthest = np.partition(distances, k - 1, axis=1)[:, k - 1:k]
        nearer, tied = distances < farthest, distances == farthest
        places = (k - nearer.sum(axis=1)) / tied.sum(axis=1)
        adversarial: Costs = nearer @ kinds + places * (tied @ kinds)
        return adversarial / k
