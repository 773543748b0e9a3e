"""Attack as Defense for TensorFlow and Keras: judge inputs by the cost of attacking them."""

from a2d_tf import attacks, detectors
from a2d_tf.classifier import Classifier
from a2d_tf.costs import CostTable, attack_costs
from a2d_tf.errors import (
    A2DError,
    InvalidInputError,
    NotFittedError,
    UnsuitableClassifierError,
)
from a2d_tf.pipeline import A2D, Detection
from a2d_tf.pixels import Bounds
from a2d_tf.version import __version__

__all__ = [
    "A2D",
    "A2DError",
    "Bounds",
    "Classifier",
    "CostTable",
    "Detection",
    "InvalidInputError",
    "NotFittedError",
    "UnsuitableClassifierError",
    "__version__",
    "attack_costs",
    "attacks",
    "detectors",
]
