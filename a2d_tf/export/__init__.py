"""A2D as a SavedModel that any TensorFlow runtime serves."""

from a2d_tf.export.saved_model import export

__all__ = ["export"]
