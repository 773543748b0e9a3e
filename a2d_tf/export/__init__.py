"""A fitted A2D as a SavedModel that any TensorFlow runtime serves.

May import: errors, checks, storage, images, classifiers, attacks, features, detectors, detection.
"""

from a2d_tf.export.saved_model import export

__all__ = ["export"]
