"""The geometry of decision-based attacks: distances, segments and directions in each norm."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.images.spec import Images

MOST_PIXELS = 1000
Floats = NDArray[np.float64]


class Norm(NamedTuple):
    """What HopSkipJump does in one norm.

    Attributes:
      length: f32[n,H,W,C] -> f64[n].
      blend: originals, others and shares [n] -> images at that share of the distance.
      width: distances f64[n] and the number of pixels -> how far an estimate reaches: the
        Euclidean distance over the number of pixels (section 4), or over 1,000 if there are more,
        since single precision is too coarse for less.
      draw: a generator and a shape -> random directions.
      follow: an estimate -> the direction of a step, of length 1 in this norm.
    """

    length: Callable[[Images], Floats]
    blend: Callable[[Images, Images, Floats], Images]
    width: Callable[[Floats, int], Floats]
    draw: Callable[[np.random.Generator, tuple[int, ...]], Images]
    follow: Callable[[Floats], Floats]


def rows(values: NDArray[Any], images: NDArray[Any]) -> NDArray[Any]:
    """Numbers [n] that broadcast with images [n,H,W,C]."""
    return values.reshape(-1, *[1] * (images.ndim - 1))


def euclidean(away: Images) -> Floats:
    lengths: Floats = np.linalg.norm(away.reshape(len(away), -1).astype(np.float64), axis=1)
    return lengths


def _largest(away: Images) -> Floats:
    lengths: Floats = np.abs(away).reshape(len(away), -1).max(axis=1).astype(np.float64)
    return lengths


def _on_a_line(original: Images, other: Images, share: Floats) -> Images:
    part: Images = rows(share, original).astype(np.float32)
    blended: Images = (np.float32(1) - part) * original + part * other
    return blended


def _in_a_box(original: Images, other: Images, share: Floats) -> Images:
    reach = rows(share * _largest(other - original), original).astype(np.float32)
    clipped: Images = np.clip(other, original - reach, original + reach)
    return clipped


def _normal(numbers: np.random.Generator, shape: tuple[int, ...]) -> Images:
    return numbers.standard_normal(shape, np.float32)


def _uniform(numbers: np.random.Generator, shape: tuple[int, ...]) -> Images:
    drawn: Images = 2 * numbers.random(shape, np.float32) - 1
    return drawn


def _unit(estimate: Floats) -> Floats:
    scaled: Floats = estimate / (float(np.linalg.norm(estimate)) or 1.0)
    return scaled


def _reach(away: Floats, pixels: int) -> Floats:
    return away / min(pixels, MOST_PIXELS)


NORMS = {
    "l2": Norm(euclidean, _on_a_line, _reach, _normal, _unit),
    "linf": Norm(
        _largest, _in_a_box, lambda away, pixels: _reach(away * math.sqrt(pixels), pixels),
        _uniform, np.sign,
    ),
}
