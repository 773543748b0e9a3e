"""Attack as Defense for TensorFlow and Keras: judge inputs by the cost of attacking them."""

from a2d_tf.checks import check_keras_backend

check_keras_backend()  # before any module imports Keras

from a2d_tf import attacks, deprecated, detectors, features  # noqa: E402
from a2d_tf.a2d import A2D  # noqa: E402
from a2d_tf.classifiers import Classifier  # noqa: E402
from a2d_tf.detection import Detection  # noqa: E402
from a2d_tf.errors import (  # noqa: E402
    A2DError,
    DetectorWarning,
    InvalidInputError,
    NotFittedError,
    UnsuitableClassifierError,
)
from a2d_tf.features import CostTable, Feature, attack_costs  # noqa: E402
from a2d_tf.images import Bounds  # noqa: E402
from a2d_tf.version import __version__  # noqa: E402

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
