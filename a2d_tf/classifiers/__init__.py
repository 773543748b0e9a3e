"""A model of any kind as a differentiable function from images to logits, and its checks.

May import: errors, checks, storage, images.
"""

from a2d_tf.classifiers.classifier import Classifier

__all__ = ["Classifier"]
