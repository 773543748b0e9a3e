"""Cost detectors: from attack costs to verdicts."""

from pathlib import Path

from a2d_tf.detectors import base
from a2d_tf.detectors.base import CostDetector
from a2d_tf.detectors.conformal import Conformal
from a2d_tf.detectors.knn import KNN
from a2d_tf.detectors.logistic import Logistic
from a2d_tf.detectors.svm import SVM
from a2d_tf.detectors.trees import Forest, Tree
from a2d_tf.detectors.zscore import ZScore

REGISTRY: dict[str, type[CostDetector]] = {
    kind.name: kind for kind in (ZScore, Conformal, KNN, SVM, Tree, Forest, Logistic)
}


def load(path: Path) -> CostDetector:
    """The cost detector that `CostDetector.save` wrote.

    Raises:
      InvalidInputError: the file is none of a cost detector.
    """
    return base.load_detector(path, REGISTRY)


__all__ = [
    "Conformal", "CostDetector", "Forest", "KNN", "Logistic", "REGISTRY", "SVM", "Tree", "ZScore",
    "load",
]
