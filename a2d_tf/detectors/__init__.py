"""Detectors: columns of numbers per image -> score and verdict, and the calibration of verdicts.

May import: errors, checks, storage.
"""

from pathlib import Path

from a2d_tf import deprecated
from a2d_tf.detectors import stored
from a2d_tf.detectors.base import Detector
from a2d_tf.detectors.conformal import Conformal
from a2d_tf.detectors.knn import KNN
from a2d_tf.detectors.logistic import Logistic
from a2d_tf.detectors.profile import Profile
from a2d_tf.detectors.svm import SVM
from a2d_tf.detectors.threshold import Threshold
from a2d_tf.detectors.trees import Forest, Tree
from a2d_tf.detectors.zscore import ZScore

REGISTRY: dict[str, type[Detector]] = {
    detector.name: detector
    for detector in (ZScore, Conformal, KNN, SVM, Tree, Forest, Logistic, Threshold, Profile)
}


def load(path: str | Path) -> Detector:
    """The detector that `Detector.save` wrote.

    Raises:
      InvalidInputError: the file does not hold a detector.
    """
    return stored.load_detector(path, REGISTRY)


__all__ = [
    "Conformal", "Detector", "Forest", "KNN", "Logistic", "Profile", "REGISTRY", "SVM",
    "Threshold", "Tree", "ZScore", "load",
]

__getattr__ = deprecated.names_of("detectors")
