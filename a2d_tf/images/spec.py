"""What the images of a classifier must be: their shape, and the range of their pixels."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.errors import InvalidInputError

Images = NDArray[np.float32]
Labels = NDArray[np.int64]
Shape = tuple[int | None, ...]


class Bounds(NamedTuple):
    """The valid range of the pixels. Step sizes and radii are fractions of `upper - lower`."""

    lower: float = 0.0
    upper: float = 1.0

    @property
    def range(self) -> float:
        return self.upper - self.lower


def check_bounds(bounds: tuple[float, float]) -> Bounds:
    """The bounds as `Bounds`.

    Raises:
      InvalidInputError: they are not two numbers, the lower one first.
    """
    try:
        checked = Bounds(*map(float, bounds))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"expected bounds (lower, upper) as two numbers, got {bounds!r}; give the pixel range "
            "that the classifier was trained on"
        ) from error
    if not (np.isfinite(checked).all() and checked.lower < checked.upper):
        raise InvalidInputError(
            f"expected bounds lower < upper, got {tuple(checked)}; "
            "give the pixel range that the classifier was trained on"
        )
    return checked


class InputSpec(NamedTuple):
    """What a classifier takes.

    Attributes:
      shape: (H, W, C), with None where a size is free; None if nothing is known of the shape.
      bounds: the valid range of the pixels.
    """

    shape: Shape | None
    bounds: Bounds

    def check(self, images: ArrayLike) -> Images:
        """The images as f32[N,H,W,C].

        Raises:
          InvalidInputError: the shape is another one, or a pixel is not finite or out of bounds.
        """
        checked = np.asarray(images, np.float32)
        self.check_shape(checked.shape)
        if not np.isfinite(checked).all():
            broken = int((~np.isfinite(checked).all(axis=(1, 2, 3))).sum())
            raise InvalidInputError(
                f"expected finite pixels, got NaN or infinity in {broken} of {len(checked)} "
                "images; remove or repair them"
            )
        lower, upper = self.bounds
        if checked.size and (checked.min() < lower or checked.max() > upper):
            raise InvalidInputError(
                f"expected pixels in [{lower:g}, {upper:g}], got "
                f"[{checked.min():g}, {checked.max():g}]; scale the images or give their bounds"
            )
        return checked

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raises InvalidInputError unless images may have this shape [N,H,W,C]."""
        wanted = self.shape or (None, None, None)
        fits = len(shape) == 4 and all(
            size is None or size == given for size, given in zip(wanted, shape[1:])
        )
        if not fits:
            height, width, channels = self.shape or ("H", "W", "C")
            raise InvalidInputError(
                f"expected images of shape [N, {height}, {width}, {channels}], "
                f"got {list(shape)}; resize or reshape them to the classifier's input"
            )
