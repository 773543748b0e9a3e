"""CLEVER (Weng et al. 2018): how far an image is from every other class, by extreme values.

Within a ball around an image, a margin cannot fall faster than its largest gradient. That is
estimated from gradients at random points: their maxima over batches follow a reverse Weibull
distribution, whose end is the estimate. Margin / end is the score.
"""

from a2d_tf.clever.sampling import CHEAP, PUBLISHED, RADII, Sampling
from a2d_tf.clever.scores import KINDS, Clever, clever, clever_table

__all__ = ["CHEAP", "KINDS", "PUBLISHED", "RADII", "Clever", "Sampling", "clever", "clever_table"]
