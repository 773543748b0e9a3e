"""One column by itself, as the paper's Table 2 judges the cost of a single attack."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf import checks
from a2d_tf.detectors.base import Detector
from a2d_tf.detectors.calibration import calibrated, check_count
from a2d_tf.detectors.columns import Columns
from a2d_tf.errors import InvalidInputError


@dataclass(kw_only=True, eq=False)
class Threshold(Detector):
    """The score is the negative of a single column: the lower the column, the more adversarial.

    Attributes:
      fpr: the false-positive rate that `fit` sets; `calibrate` sets another. As nothing is learned
        but the threshold, it holds for fresh benign images too.
    """

    name: ClassVar[str] = "threshold"
    learns_from_adversarial: ClassVar[bool] = False
    is_monotone: ClassVar[bool] = True
    scores_depend_on_fit: ClassVar[bool] = False
    calibrates_itself: ClassVar[bool] = True
    fpr: float = 0.1

    def __post_init__(self) -> None:
        checks.number(self.fpr, "Threshold's fpr", maximum=1)

    @property
    def default_threshold(self) -> float:
        return np.inf

    def check_counts(self, benign: int, adversarial: int) -> None:
        check_count(benign, self.fpr)

    def _fit(self, columns: Columns, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        if columns.shape[1] != 1:
            raise InvalidInputError(
                f"expected a single column for a threshold, got {columns.shape[1]}; choose a "
                "detector that combines columns, such as Conformal"
            )
        benign = columns[~is_adversarial, 0]
        return calibrated((-benign).astype(np.float32), self.fpr)

    def _score(self, columns: tf.Tensor) -> tf.Tensor:
        return -columns[:, 0]
