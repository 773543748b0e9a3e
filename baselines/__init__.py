"""Published detectors that A2D is compared with: each is a feature, one per file.

May import: a2d_tf, which never imports this package. Importing it registers all of its features, so
that they can be used by name. Those that need the logits alone are in `a2d_tf.features`, for they
stand in every table.
"""

import importlib
import pkgutil

from a2d_tf.features import MSP, Energy, Entropy, Margin
from .dissector import Dissector
from .kd import KD
from .lcr import LCR, SequentialVerdicts
from .lid import LID, LID5
from .magnet import MagNet
from .mahalanobis import Mahalanobis
from .sequential_test import SequentialTest
from .squeezing import FeatureSqueezing

for _module in pkgutil.iter_modules(__path__):  # a new baseline is a new file, and no more
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "Dissector", "Energy", "Entropy", "FeatureSqueezing", "KD", "LCR", "LID", "LID5", "MSP",
    "MagNet", "Mahalanobis", "Margin", "SequentialTest", "SequentialVerdicts",
]
