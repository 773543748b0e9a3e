"""Published detectors that A2D is compared with: each is a feature, one per file.

May import: a2d_tf, which never imports this package. Importing it registers all of its features, so
that they can be used by name.
"""

import importlib
import pkgutil

from baselines.kd import KD
from baselines.lid import LID, LID5
from baselines.magnet import MagNet

for _module in pkgutil.iter_modules(__path__):  # a new baseline is a new file, and no more
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["KD", "LID", "LID5", "MagNet"]
