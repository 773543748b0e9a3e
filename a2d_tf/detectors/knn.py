"""The K-NN detector: benign and adversarial images (paper, section 4.1)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf import checks
from a2d_tf.detectors.base import Detector
from a2d_tf.detectors.columns import Columns, require_both, squared_distances


@dataclass(kw_only=True, eq=False)
class KNN(Detector):
    """The share of adversarial inputs among the K nearest ones.

    Costs are integers, so that many neighbours are at the same distance. The places that are left
    for neighbours at the K-th distance are shared evenly among them, so that the score does not
    depend on the order of the fit.

    Attributes:
      k: the number of neighbours; all inputs of the fit if they are fewer.
    """

    name: ClassVar[str] = "knn"
    rows_at_once: ClassVar[int] = 256
    k: int = 100

    def __post_init__(self) -> None:
        checks.integer(self.k, "KNN's k")

    @property
    def default_threshold(self) -> float:
        return 0.5

    def check_counts(self, benign: int, adversarial: int) -> None:
        require_both(benign, adversarial, "a K-NN")

    def _fit(self, columns: Columns, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        return {"costs": columns, "is_adversarial": is_adversarial}

    def _advice(self) -> str:
        return f"choose a k well below the {len(self.costs_)} inputs of the fit, or calibrate it"

    def _score(self, columns: tf.Tensor) -> tf.Tensor:
        k = min(self.k, len(self.costs_))
        distances = squared_distances(columns, self.costs_)
        farthest = tf.sort(distances, axis=1)[:, k - 1:k]
        nearer = tf.cast(distances < farthest, tf.float64)
        tied = tf.cast(distances == farthest, tf.float64)
        places = (k - tf.reduce_sum(nearer, axis=1)) / tf.reduce_sum(tied, axis=1)
        adversarial = tf.constant(self.is_adversarial_[:, None], tf.float64)
        return ((nearer @ adversarial)[:, 0] + places * (tied @ adversarial)[:, 0]) / k
