"""What a classifier's inputs must be: images of a shape, with pixels within bounds."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.errors import InvalidInputError

Images = NDArray[np.float32]
Shape = tuple[int | None, ...]


class Bounds(NamedTuple):
    """The valid pixel range; step sizes and radii are fractions of `upper - lower`."""

    lower: float = 0.0
    upper: float = 1.0

    @property
    def range(self) -> float:
        return self.upper - self.lower


def check_bounds(bounds: tuple[float, float]) -> Bounds:
    """The bounds as such.

    Raises:
      InvalidInputError: they are no range.
    """
    checked = Bounds(*map(float, bounds))
    if not (np.isfinite(checked).all() and checked.lower < checked.upper):
        raise InvalidInputError(
            f"expected bounds lower < upper, got {tuple(checked)}; "
            "give the pixel range that the classifier was trained on"
        )
    return checked


def check_images(images: ArrayLike, shape: Shape | None, bounds: Bounds) -> Images:
    """The images as f32[N,H,W,C], of a shape (H, W, C) where it says so.

    Raises:
      InvalidInputError: shape, finiteness or bounds are off.
    """
    checked = np.asarray(images, np.float32)
    if checked.ndim != 4 or not _fits(checked.shape[1:], shape):
        height, width, channels = shape or ("H", "W", "C")
        raise InvalidInputError(
            f"expected images of shape [N, {height}, {width}, {channels}], "
            f"got {list(checked.shape)}; resize or reshape them to the classifier's input"
        )
    if not np.isfinite(checked).all():
        broken = int((~np.isfinite(checked).all(axis=(1, 2, 3))).sum())
        raise InvalidInputError(
            f"expected finite pixels, got NaN or infinity in {broken} of {len(checked)} "
            "images; remove or repair them"
        )
    lower, upper = bounds
    if checked.size and (checked.min() < lower or checked.max() > upper):
        raise InvalidInputError(
            f"expected pixels in [{lower:g}, {upper:g}], got "
            f"[{checked.min():g}, {checked.max():g}]; scale the images or give their bounds"
        )
    return checked


def _fits(shape: tuple[int, ...], wanted: Shape | None) -> bool:
    if wanted is None:
        return True
    return len(wanted) == len(shape) and all(w in (None, s) for w, s in zip(wanted, shape))
