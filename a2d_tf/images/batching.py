"""Images of any source in checked and labelled batches, or as one array."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from a2d_tf import checks
from a2d_tf.images.sources import (
    ImageSource,
    ImageStream,
    checked_parts,
    image_shape,
    is_array,
)
from a2d_tf.images.spec import Images, InputSpec, Labels

__all__ = ["Batch", "ImageSource", "ImageStream", "iter_batches", "to_array"]

MIN_BATCH = 32  # the preflight check of a classifier looks at so many images
ARRAY_BATCH = 256


class Batch(NamedTuple):
    """Images that were checked once, when they came in.

    Attributes:
      images: f32[n,H,W,C], n >= 1.
      labels: i64[n], what the classifier predicts for them; -1 where its outputs are not finite.
      is_last: whether no other batch follows.
    """

    images: Images
    labels: Labels
    is_last: bool


def iter_batches(
    images: ImageSource,
    spec: InputSpec,
    batch_size: int,
    predict: Callable[[Images], Labels],
) -> Iterator[Batch]:
    """Checks images and yields them in batches of at least `MIN_BATCH`.

    An array is checked as a whole before anything else is done with it. Datasets and files are
    checked batch by batch, and read once.

    Args:
      images: f32[N,H,W,C] or u8[N,H,W,C], a dataset of such images, or files.
      spec: what they must be.
      batch_size: images in a batch.
      predict: the labels i64[n] of checked images f32[n,H,W,C].

    Raises:
      InvalidInputError: images that do not fit, or a batch size below 1.
    """
    size = max(checks.integer(batch_size, "a batch size"), MIN_BATCH)
    waiting: Images | None = None
    for batch in checked_parts(images, spec, size):
        if waiting is not None:
            yield Batch(waiting, predict(waiting), is_last=False)
        waiting = batch
    if waiting is not None:
        yield Batch(waiting, predict(waiting), is_last=True)


def to_array(images: Any, spec: InputSpec, limit: int | None = None) -> Images:
    """The images as one checked array f32[N,H,W,C].

    Args:
      images: an `ImageSource`: f32[N,H,W,C] or u8[N,H,W,C], a dataset of such images, or files.
      spec: what they must be.
      limit: the number of images to take, from the first; None takes all. Of a dataset, little
        more than these are read.

    Raises:
      InvalidInputError: images that do not fit.
    """
    if is_array(images):
        return spec.check(images)[:limit]
    parts: list[Images] = []
    for part in checked_parts(images, spec, ARRAY_BATCH):
        parts.append(part)
        if limit is not None and sum(map(len, parts)) >= limit:
            break
    if not parts:
        return spec.check(np.zeros((0, *image_shape(images, spec)), np.float32))
    return np.concatenate(parts)[:limit]
