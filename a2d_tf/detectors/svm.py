"""A support vector machine: benign and adversarial images (paper, section C)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.svm import SVC

from a2d_tf.detectors.base import Detector
from a2d_tf.detectors.columns import Columns, require_both, squared_distances


@dataclass(kw_only=True, eq=False)
class SVM(Detector):
    """scikit-learn's `SVC` with its default settings, as in the paper.

    The score is its decision function, computed from the support vectors of the fit.
    """

    name: ClassVar[str] = "svm"

    @property
    def default_threshold(self) -> float:
        return 0.0

    def check_counts(self, benign: int, adversarial: int) -> None:
        require_both(benign, adversarial, "an SVM")

    def _fit(self, columns: Columns, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        spread = columns.var()
        gamma = 1 / (columns.shape[1] * spread) if spread > 0 else 1.0  # SVC's gamma="scale"
        machine = SVC(gamma=gamma).fit(columns, is_adversarial)
        return {
            "support": machine.support_vectors_,
            "weights": machine.dual_coef_[0],
            "bias": machine.intercept_[0],
            "gamma": gamma,
        }

    def _score(self, columns: tf.Tensor) -> tf.Tensor:
        near = tf.exp(-self.gamma_ * squared_distances(columns, self.support_))
        return (near @ self.weights_[:, None])[:, 0] + self.bias_
