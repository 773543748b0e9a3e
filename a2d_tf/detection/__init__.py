"""From features to verdicts: what a fitted A2D consists of, its fit, early stopping, saving.

May import: errors, checks, storage, images, classifiers, attacks, features, detectors.
"""

from a2d_tf.detection.result import Detection, Verdicts
from a2d_tf.detection.state import DetectorState

__all__ = ["Detection", "DetectorState", "Verdicts"]
