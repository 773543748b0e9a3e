"""What the images of a classifier must be: their kind, their shape and their range."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.errors import InvalidInputError
from a2d_tf.images.bounds import BRIGHTEST, TOLERANCE, Bounds, check_bounds

Images = NDArray[np.float32]
Labels = NDArray[np.int64]
Shape = tuple[int | None, ...]
DEFAULT_RANK = 3  # of an image of which nothing is known: [H, W, C]

__all__ = ["Bounds", "Images", "InputSpec", "Labels", "Shape", "check_bounds"]


class InputSpec(NamedTuple):
    """What a classifier takes.

    Attributes:
      shape: (H, W, C), or another shape of at least one axis, with None where a size is free; None
        if nothing is known of the shape.
      bounds: the valid range of the pixels.
    """

    shape: Shape | None
    bounds: Bounds

    def check(self, images: ArrayLike) -> Images:
        """The images as f32[N,H,W,C] within the bounds.

        Images of uint8 are bytes from 0 to 255, and are scaled to the bounds; grey ones may leave
        out the channel, [N,H,W]. Other numbers are pixels. Those that are out of bounds by no more
        than `TOLERANCE` of the range, as rounding leaves them, are clipped.

        Raises:
          InvalidInputError: they are no real numbers, the shape is another one, or a pixel is not
            finite or out of bounds.
        """
        given = as_numbers(images)
        if given.dtype == np.uint8:
            given = given.reshape(self.with_channel(given.shape))
        self.check_shape(given.shape)
        if given.dtype == np.uint8:
            return self.bounds.from_bytes(given)
        with np.errstate(over="ignore"):  # what is too large for float32 is not finite
            checked = given.astype(np.float32, copy=False)
        self._check_finite(checked)
        return self._within_bounds(checked, given.dtype)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raises InvalidInputError unless images may have this shape [N,H,W,C]."""
        wanted = self.shape or (None,) * DEFAULT_RANK
        channels = self.bounds.channels
        if len(shape) == 1 + len(wanted) and _fits(wanted, shape[1:]):
            if channels in (None, shape[-1]):
                return
            raise InvalidInputError(
                f"expected images of {channels} channels, as many as there are bounds, got "
                f"{list(shape)}; give bounds for each channel of the last axis"
            )
        remedy = "resize or reshape them to the classifier's input"
        if self.shape is None:
            remedy = "give Classifier its input_shape if it takes others"
        elif shape == (shape[:1] + wanted[:-1]) and wanted[-1] == 1:
            remedy = "add the channel with images[..., None]"
        elif shape[-1:] == (1,) and shape[1:-1] == wanted:
            remedy = "leave out the channel with images[..., 0]"
        elif len(shape) == len(wanted) and wanted[-1] is not None and _fits(wanted, shape):
            remedy = "give a single image as image[None]"
        raise InvalidInputError(
            f"expected images of shape [N, {self.sizes}], got {list(shape)}; {remedy}"
        )

    @property
    def sizes(self) -> str:
        """The shape of an image for a message."""
        return ", ".join(
            letter if size is None else str(size) for letter, size in zip(
                "HWC" if len(self.shape or "HWC") == DEFAULT_RANK else "?" * len(self.shape or ""),
                self.shape or (None,) * DEFAULT_RANK,
            )
        )

    def with_channel(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of bytes, with the channel that grey ones [N,H,W] may leave out."""
        wanted = self.shape or (None,) * DEFAULT_RANK
        grey = len(shape) == len(wanted) == DEFAULT_RANK and wanted[-1] in (None, 1)
        return (*shape, 1) if grey else shape

    def _check_finite(self, images: Images) -> None:
        finite = np.isfinite(images)
        if not finite.all():
            broken = int((~finite.reshape(len(images), -1).all(axis=1)).sum())
            raise InvalidInputError(
                f"expected finite pixels, got NaN or infinity in {broken} of {len(images)} "
                "images; remove or repair them"
            )

    def _within_bounds(self, images: Images, given: np.dtype[Any]) -> Images:
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
        remedy = "scale the images or give their bounds"
        if given.kind in "iu" and images.min() >= 0 and images.max() <= BRIGHTEST:
            remedy = (
                f"give bytes from 0 to {BRIGHTEST} as images.astype(np.uint8), which are scaled to "
                "the bounds, or give the bounds of the pixels"
            )
        raise InvalidInputError(
            f"expected pixels in {self.bounds}, got [{images.min():.9g}, {images.max():.9g}]: "
            f"{int(outside.sum())} of {images.size} are out of bounds, by up to "
            f"{float(beyond.max()):.3g}, which is {share:.2g} of the range and more than the "
            f"{TOLERANCE:g} that rounding explains; {remedy}"
        )


def _fits(wanted: Shape, sizes: tuple[int, ...]) -> bool:
    """Whether sizes are those of an image; there are as many as are wanted."""
    return all(size is None or size == given for size, given in zip(wanted, sizes, strict=True))


def _has_fewer_axes(labels: Any, images: Any) -> bool:
    """Whether these are arrays that can be labels of images."""
    return getattr(labels, "ndim", DEFAULT_RANK) < getattr(images, "ndim", 0)


def as_numbers(images: ArrayLike) -> NDArray[Any]:
    """The images as an array of real numbers, of the type that they have.

    Raises:
      InvalidInputError: they are something else.
    """
    if np.ma.is_masked(images):
        raise InvalidInputError(
            "expected images without a mask, got a masked array; fill its masked pixels"
        )
    try:
        given = np.asarray(images)
    except (ValueError, TypeError) as error:
        remedy = "resize the images to one shape and stack them with np.stack"
        if isinstance(images, tuple) and len(images) == 2 and _has_fewer_axes(images[1], images[0]):
            remedy = "give the images alone, without their labels"
        raise InvalidInputError(
            f"expected images of one shape as an array, got a {type(images).__name__} that makes "
            f"none; {remedy}"
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
