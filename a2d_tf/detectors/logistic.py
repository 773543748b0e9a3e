"""Logistic regression on all columns: benign and adversarial images."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from a2d_tf import checks
from a2d_tf.detectors.base import Detector
from a2d_tf.detectors.columns import Columns, is_cost_like, require_both

MAX_ITERATIONS = 5000


@dataclass(kw_only=True, eq=False)
class Logistic(Detector):
    """A logistic regression on the logarithm and the square root of every cost.

    These are Box-Cox transforms of powers 0 and 1/2. The powers that make costs normal lie between
    them. It is not in the paper, but KD and LID, with which the paper compares, weigh their
    features in this way. The ratio of an input's costs under different attacks says more than any
    of the costs alone. Columns that can be negative are taken as they are.

    Attributes:
      transform_costs: whether columns are transformed, or all of them taken as they are.
    """

    name: ClassVar[str] = "logistic"
    transform_costs: bool = True

    def __post_init__(self) -> None:
        checks.boolean(self.transform_costs, "Logistic's transform_costs")

    @property
    def default_threshold(self) -> float:
        return 0.0

    def check_counts(self, benign: int, adversarial: int) -> None:
        require_both(benign, adversarial, "a logistic regression")

    def _fit(self, columns: Columns, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        transformed = is_cost_like(columns) & self.transform_costs
        predictors = _predictors(tf.constant(columns), transformed).numpy()
        scaler = StandardScaler().fit(predictors)
        regression = LogisticRegression(max_iter=MAX_ITERATIONS)
        regression.fit(scaler.transform(predictors), is_adversarial)
        weights = regression.coef_[0] / scaler.scale_
        return {
            "weights": weights,
            "bias": regression.intercept_[0] - weights @ scaler.mean_,
            "transformed": transformed,
        }

    def _score(self, columns: tf.Tensor) -> tf.Tensor:
        # A detector of a version before 0.6 transformed all columns.
        transformed = getattr(self, "transformed_", np.ones(self.n_features_in_, np.bool_))
        predictors = _predictors(columns, transformed)
        return (predictors @ self.weights_[:, None])[:, 0] + self.bias_


def _predictors(columns: tf.Tensor, transformed: NDArray[np.bool_]) -> tf.Tensor:
    """Logarithm and square root of the columns that are transformed, and the others themselves."""
    costs = tf.maximum(tf.boolean_mask(columns, transformed, axis=1), 0.0)
    others = tf.boolean_mask(columns, ~transformed, axis=1)
    return tf.concat([tf.math.log1p(costs), tf.sqrt(costs), others], axis=1)
