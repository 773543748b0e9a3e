"""The valid range of pixels: one for all channels, or one for each."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.errors import InvalidInputError

BRIGHTEST = 255  # the largest byte
# Pixels out of bounds by no more than this share of the range are clipped: normalising and
# resizing images leaves a few float32 roundings of the range.
TOLERANCE = 1e-5

Limit: TypeAlias = Any  # a number, or f32[C]


class Bounds(NamedTuple):
    """The valid range of the pixels. Step sizes and radii are fractions of `upper - lower`.

    Attributes:
      lower: the least value, a number; or f32[C], one for each channel (the last axis).
      upper: the largest value, likewise.
    """

    lower: Any = 0.0
    upper: Any = 1.0

    @property
    def range(self) -> Limit:
        """upper - lower: a number, or f32[C]."""
        return self.upper - self.lower

    @property
    def channels(self) -> int | None:
        """C, the number of channels that have a range of their own; None for one range."""
        return None if np.ndim(self.lower) == 0 else len(np.asarray(self.lower))

    @property
    def scale(self) -> float:
        """The range as one number: the root mean square over the channels."""
        return float(self.range if self.channels is None else np.sqrt(np.mean(self.range**2)))

    @property
    def relative_range(self) -> Any:
        """The range in units of `scale`: 1, or f32[C]."""
        return 1.0 if self.channels is None else np.float32(self.range / self.scale)

    @property
    def as_float32(self) -> tuple[Any, Any]:
        """Both limits in the precision of pixels."""
        return np.float32(self.lower), np.float32(self.upper)

    @property
    def with_tolerance(self) -> tuple[Any, Any]:
        """The limits beyond which a pixel is more out of bounds than rounding explains."""
        slack = TOLERANCE * np.asarray(self.range, np.float64)
        return np.float32(self.lower - slack), np.float32(self.upper + slack)

    def require_one_range(self, what: str) -> None:
        """Raises InvalidInputError if channels have ranges of their own."""
        if self.channels is not None:
            raise InvalidInputError(
                f"expected one range for all channels for {what}, got bounds {self}; scale the "
                "channels to one range, and give Classifier the way back as preprocess="
            )

    def from_bytes(self, images: ArrayLike) -> NDArray[np.float32]:
        """Bytes from 0 to 255 of any shape as pixels: lower + byte / 255 * (upper - lower).

        Raises:
          InvalidInputError: all bytes are 0 or 1, and so are the pixels of the classifier.
        """
        given = np.asarray(images)
        most = int(given.max()) if given.size else 0
        if 0 < most <= float(np.min(self.upper)) <= 1:
            raise InvalidInputError(
                f"expected uint8 pixels from 0 to {BRIGHTEST}, got at most {most}, within the "
                f"bounds {self} already; give them as float32"
            )
        return self.from_unit(given.astype(np.float32) / np.float32(BRIGHTEST))

    def from_unit(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pixels in [0, 1], scaled to the bounds."""
        if self == Bounds():
            return images
        lower, upper = self.as_float32
        # Clipped, since rounding can leave the bounds by a hair.
        wide: NDArray[np.float32] = lower + images * np.float32(self.range)
        return np.clip(wide, lower, upper)

    def to_lists(self) -> list[float | list[float]]:
        """[lower, upper] as JSON values, which `check_bounds` takes."""
        return [
            float(limit) if np.ndim(limit) == 0 else np.asarray(limit).tolist() for limit in self
        ]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple) or len(other) != 2:
            return NotImplemented
        return all(
            np.shape(mine) == np.shape(its) and bool(np.all(np.asarray(mine) == np.asarray(its)))
            for mine, its in zip(self, other)
        )

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __hash__(self) -> int:
        return hash(tuple(
            float(limit) if np.ndim(limit) == 0 else tuple(np.asarray(limit).tolist())
            for limit in self
        ))

    def __repr__(self) -> str:
        lower, upper = self.to_lists()
        return f"Bounds(lower={lower!r}, upper={upper!r})"

    def __str__(self) -> str:
        def text(limit: Any) -> str:
            if np.ndim(limit) == 0:
                return f"{limit:.9g}"
            return "(" + ", ".join(f"{one:.9g}" for one in limit) + ")"

        return f"[{text(self.lower)}, {text(self.upper)}]"


def check_bounds(bounds: Any) -> Bounds:
    """The bounds as `Bounds`.

    Args:
      bounds: (lower, upper), each a number, or a number for each channel.

    Raises:
      InvalidInputError: they are something else, or a lower limit is not below its upper one.
    """
    if isinstance(bounds, Bounds) and bounds.channels is None and type(bounds.lower) is float:
        pair: Any = bounds
    else:
        pair = _pair(bounds)
    lower, upper = pair
    if not (np.isfinite(lower).all() and np.isfinite(upper).all() and np.all(lower < upper)):
        raise InvalidInputError(
            f"expected bounds lower < upper, got {tuple(Bounds(*pair).to_lists())}; "
            "give the pixel range that the classifier was trained on"
        )
    return Bounds(lower, upper)


def _pair(bounds: Any) -> Sequence[Limit]:
    try:
        if isinstance(bounds, (str, bytes)):
            raise TypeError("text")
        lower, upper = bounds
        limits = [np.asarray(limit, np.float64) for limit in (lower, upper)]
        if max(limit.ndim for limit in limits) == 0:
            return [float(limit) for limit in limits]
        lower, upper = np.broadcast_arrays(*limits)
        if lower.ndim == 1 and lower.size:
            return [_frozen(lower), _frozen(upper)]
    except (TypeError, ValueError):
        pass
    raise InvalidInputError(
        "expected bounds (lower, upper) as two numbers, or as two arrays of one number for each "
        f"channel, got {bounds!r}; give the pixel range that the classifier was trained on"
    )


def _frozen(limit: NDArray[np.float64]) -> NDArray[np.float32]:
    own = limit.astype(np.float32)
    own.flags.writeable = False
    return own


def to_unit(images: NDArray[Any], bounds: Bounds) -> NDArray[np.float64]:
    """Pixels of images [...,C] as shares of their range, 0 to 1, as pictures are drawn."""
    return np.asarray((images.astype(np.float64) - bounds.lower) / bounds.range, np.float64)
