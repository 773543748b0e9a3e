"""Warnings of images whose pixels use little of their range, as if the bounds were others."""

import warnings

import numpy as np

from a2d_tf.errors import DetectorWarning
from a2d_tf.images.bounds import BRIGHTEST, Bounds
from a2d_tf.images.spec import Images

MIN_SHARE_OF_RANGE = 0.05  # that the images of a fit use
FEW_IMAGES = 8  # of fewer, all may be dark
SLACK = 1.01


def warn_of_unused_range(benign: Images, bounds: Bounds) -> None:
    """Warns if the pixels of the benign images of a fit use a small part of their range only."""
    share = _share(benign, bounds)
    if benign.size and share < MIN_SHARE_OF_RANGE:
        warnings.warn(
            f"the pixels of the benign images are between {benign.min():g} and {benign.max():g}, "
            f"{share:.1%} of the bounds {tuple(bounds)}, and attacks take steps in fractions of "
            "these; give the bounds of the images that the classifier was trained on",
            DetectorWarning, stacklevel=4,
        )


def warn_of_other_range(images: Images, bounds: Bounds) -> None:
    """Warns if images to be judged seem to be scaled to 0 to 1 where the bounds are 0 to 255."""
    if len(images) >= FEW_IMAGES and _share(images, bounds) <= SLACK / BRIGHTEST:
        warnings.warn(
            f"the pixels of these images are between {images.min():g} and {images.max():g}, hardly "
            f"anything of the bounds {tuple(bounds)}; scale the images as those of the fit",
            DetectorWarning, stacklevel=6,
        )


def _share(images: Images, bounds: Bounds) -> float:
    """The part of the range of the bounds that the pixels use."""
    if not images.size:
        return 1.0
    used = float(images.max() - images.min())
    return used / float(np.max(bounds[1]) - np.min(bounds[0]))
