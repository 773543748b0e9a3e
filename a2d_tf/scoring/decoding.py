"""Rows as images that fit the classifier, by the same checks as elsewhere in the library."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError
from a2d_tf.images.image_files import decode_image
from a2d_tf.images.spec import Images, InputSpec
from a2d_tf.scoring.rows import Row, Unreadable


class Decoded(NamedTuple):
    """The rows of a few that are images, and why the others are none.

    Attributes:
      images: f32[n,H,W,C] within the bounds.
      rows: the places of these images among the rows.
      problems: the reason, by place, for each other row.
    """

    images: Images
    rows: list[int]
    problems: Mapping[int, str]


def decode(rows: list[Row], spec: InputSpec, shape: tuple[int, int, int]) -> Decoded:
    """Rows as images.

    Args:
      rows: bytes of pictures, which are resized; pixels, of the image's shape or flat; or what
        could not be read.
      spec: what the classifier takes.
      shape: (H, W, C).
    """
    images = np.zeros((len(rows), *shape), np.float32)
    problems: dict[int, str] = {}
    bytes_or_pixels: dict[bool, dict[int, NDArray[Any]]] = {True: {}, False: {}}
    for place, row in enumerate(rows):
        try:
            if isinstance(row, Unreadable):
                problems[place] = row.reason
            elif isinstance(row, bytes):
                images[place] = spec.bounds.from_unit(decode_image(row, shape, "this row"))
            else:
                whole = row.reshape(_shape(row.shape, shape))
                bytes_or_pixels[row.dtype == np.uint8][place] = whole
        except InvalidInputError as error:
            problems[place] = str(error)
    for given in bytes_or_pixels.values():
        _check(given, spec, images, problems)
    good = [place for place in range(len(rows)) if place not in problems]
    return Decoded(images[good], good, problems)


def _check(
    given: Mapping[int, NDArray[Any]], spec: InputSpec, images: Images, problems: dict[int, str]
) -> None:
    """Puts pixels among the images: together, or one by one if something is wrong with some."""
    try:
        if given:
            images[list(given)] = spec.check(np.stack(list(given.values())))
    except InvalidInputError as error:
        if len(given) == 1:
            problems[next(iter(given))] = str(error)
            return
        for place, pixels in given.items():
            _check({place: pixels}, spec, images, problems)


def _shape(given: tuple[int, ...], shape: tuple[int, int, int]) -> tuple[int, ...]:
    """The shape of pixels that may be flat, or grey without their channel."""
    is_grey = shape[2] == 1 and given == shape[:2]
    if given == shape or is_grey or given == (math.prod(shape),):
        return shape
    raise InvalidInputError(
        f"expected pixels of shape {list(shape)}, or flat, got {list(given)}; resize them"
    )
