"""Attack as Defense for TensorFlow and Keras: judge inputs by the cost of attacking them."""

from a2d_tf import attacks, deprecated, detectors, features
from a2d_tf.a2d import A2D
from a2d_tf.classifiers import Classifier
from a2d_tf.detection import Detection
from a2d_tf.errors import (
    A2DError,
    DetectorWarning,
    InvalidInputError,
    NotFittedError,
    UnsuitableClassifierError,
)
from a2d_tf.features import CostTable, Feature, attack_costs
from a2d_tf.images import Bounds
from a2d_tf.version import __version__

__all__ = [
    "A2D",
    "A2DError",
    "Bounds",
    "Classifier",
    "CostTable",
    "Detection",
    "DetectorWarning",
    "Feature",
    "InvalidInputError",
    "NotFittedError",
    "UnsuitableClassifierError",
    "__version__",
    "attack_costs",
    "attacks",
    "detectors",
    "features",
]

__getattr__ = deprecated.names_of("")
deprecated.install()
