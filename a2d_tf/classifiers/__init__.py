"""A model of any kind as a differentiable function from images to logits, and its checks.

May import: errors, checks, storage, images.
"""

from a2d_tf.classifiers.classifier import Classifier
from a2d_tf.classifiers.wrapping import as_classifier

__all__ = ["Classifier", "as_classifier"]
