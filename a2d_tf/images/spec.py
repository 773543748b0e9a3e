"""What the images of a classifier must be: their kind, their shape and their range."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.errors import InvalidInputError
from a2d_tf.images.bounds import BRIGHTEST, TOLERANCE, Bounds, check_bounds

Images = NDArray[np.float32]
Labels = NDArray[np.int64]
Shape = tuple[int | None, ...]

__all__ = ["Bounds", "Images", "InputSpec", "Labels", "Shape", "check_bounds"]


class InputSpec(NamedTuple):
    """What a classifier takes.

    Attributes:
      shape: (H, W, C), with None where a size is free; None if nothing is known of the shape.
      bounds: the valid range of the pixels.
    """

    shape: Shape | None
    bounds: Bounds

    def check(self, images: ArrayLike) -> Images:
        """The images as f32[N,H,W,C] within the bounds.

        Images of uint8 are bytes from 0 to 255, and are scaled to the bounds. Other numbers are
        pixels. Those that are out of bounds by no more than `TOLERANCE` of the range, as rounding
        leaves them, are clipped.

        Raises:
          InvalidInputError: they are no real numbers, the shape is another one, or a pixel is not
            finite or out of bounds.
        """
        given = as_numbers(images)
        self.check_shape(given.shape)
        if given.dtype == np.uint8:
            return self.bounds.from_bytes(given)
        with np.errstate(over="ignore"):  # what is too large for float32 is not finite
            checked = given.astype(np.float32, copy=False)
        self._check_finite(checked)
        return self._within_bounds(checked)

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

    def _check_finite(self, images: Images) -> None:
        finite = np.isfinite(images)
        if not finite.all():
            broken = int((~finite.reshape(len(images), -1).all(axis=1)).sum())
            raise InvalidInputError(
                f"expected finite pixels, got NaN or infinity in {broken} of {len(images)} "
                "images; remove or repair them"
            )

    def _within_bounds(self, images: Images) -> Images:
        lower, upper = self.bounds.as_float32
        low, high = images < lower, images > upper
        if not (low.any() or high.any()):
            return images
        least, most = self.bounds.with_tolerance
        outside = (images < least) | (images > most)
        if not outside.any():
            clipped: Images = np.clip(images, lower, upper)
            return clipped
        beyond = np.maximum(lower - images, images - upper)
        share = float((beyond / np.float32(self.bounds.range)).max())
        raise InvalidInputError(
            f"expected pixels in {self.bounds}, got [{images.min():.9g}, {images.max():.9g}]: "
            f"{int(outside.sum())} of {images.size} are out of bounds, by up to "
            f"{float(beyond.max()):.3g}, which is {share:.2g} of the range and more than the "
            f"{TOLERANCE:g} that rounding explains; scale the images or give their bounds"
        )


def as_numbers(images: ArrayLike) -> NDArray[Any]:
    """The images as an array of real numbers, of the type that they have.

    Raises:
      InvalidInputError: they are something else.
    """
    try:
        given = np.asarray(images)
    except (ValueError, TypeError) as error:
        raise InvalidInputError(
            f"expected images of one shape as an array, got a {type(images).__name__} that makes "
            "none; resize the images to one shape and stack them with np.stack"
        ) from error
    check_dtype(given.dtype)
    return given


def check_dtype(dtype: Any) -> None:
    """Raises InvalidInputError unless images may be of this type: floats, or integers."""
    if dtype.kind not in "fiu":
        kind = {"b": "booleans", "c": "complex numbers", "O": "Python objects"}
        raise InvalidInputError(
            f"expected images of floats, or of uint8 from 0 to {BRIGHTEST}, got "
            f"{kind.get(dtype.kind, dtype.name)}; convert them to float32 within the bounds"
        )
