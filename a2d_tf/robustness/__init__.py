"""CLEVER (Weng et al. 2018): how far an image is from every other class, by extreme value theory.

May import: errors, checks, images, classifiers, attacks.
"""

from a2d_tf.robustness.clever import TARGETS, Clever, clever_score, clever_table
from a2d_tf.robustness.sampling import CHEAP, PUBLISHED, RADII, Sampling

__all__ = [
    "CHEAP", "Clever", "PUBLISHED", "RADII", "Sampling", "TARGETS", "clever_score",
    "clever_table",
]
