"""Images in checked batches: from an array, a `tf.data.Dataset` or files, of any size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from a2d_tf import checks
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Images, InputSpec, Labels


@dataclass(frozen=True)
class ImageStream:
    """Images that are read from files, and checked, when they are needed.

    Attributes:
      names: N of them, one for each image.
      spec: what the images were checked for.
      shape: (H, W, C) of each image.
      read: yields the images f32[n,H,W,C] in parts of at most the number that it is given.
    """

    names: list[str]
    spec: InputSpec
    shape: tuple[int, ...]
    read: Callable[[int], Iterator[Images]]

    def __len__(self) -> int:
        return len(self.names)


# f32[N,H,W,C]; a dataset of such images one by one or in batches of any size, of whose elements
# the first part is taken if they are tuples; or files.
ImageSource: TypeAlias = ArrayLike | tf.data.Dataset | ImageStream
MIN_BATCH = 32  # the preflight check of a classifier looks at so many images
ARRAY_BATCH = 256


class Batch(NamedTuple):
    """Images that were checked once, when they came in.

    Attributes:
      images: f32[n,H,W,C], n >= 1.
      labels: i64[n], what the classifier predicts for them.
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
      images: f32[N,H,W,C], a dataset of such images, or files.
      spec: what they must be.
      batch_size: images in a batch.
      predict: the labels i64[n] of checked images f32[n,H,W,C].

    Raises:
      InvalidInputError: images that do not fit, or a batch size below 1.
    """
    size = max(checks.integer(batch_size, "a batch size"), MIN_BATCH)
    waiting: Images | None = None
    for batch in _checked(images, spec, size):
        if waiting is not None:
            yield Batch(waiting, predict(waiting), is_last=False)
        waiting = batch
    if waiting is not None:
        yield Batch(waiting, predict(waiting), is_last=True)


def to_array(images: ImageSource, spec: InputSpec) -> Images:
    """The images as one checked array f32[N,H,W,C].

    Raises:
      InvalidInputError: images that do not fit.
    """
    if isinstance(images, tf.data.Dataset):
        images = _single_images(images)
        shape = [size or 1 for size in images.element_spec.shape]
    elif isinstance(images, ImageStream):
        shape = list(images.shape)
    else:
        return spec.check(images)
    parts = list(_checked(images, spec, ARRAY_BATCH))
    return np.concatenate([spec.check(np.zeros((0, *shape))), *parts])


def _checked(images: ImageSource, spec: InputSpec, size: int) -> Iterator[Images]:
    if isinstance(images, tf.data.Dataset):
        for batch in _single_images(images).batch(size).as_numpy_iterator():
            yield spec.check(batch)
    elif isinstance(images, ImageStream):
        for batch in images.read(size):
            yield batch if images.spec == spec else spec.check(batch)
    else:
        checked = spec.check(images)
        for start in range(0, len(checked), size):
            yield checked[start:start + size]


def _single_images(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The images of a dataset one by one."""
    if isinstance(dataset.element_spec, tuple):
        dataset = dataset.map(lambda images, *others: images)
    rank = getattr(getattr(dataset.element_spec, "shape", None), "rank", None)
    if rank not in (3, 4):
        raise InvalidInputError(
            f"expected a dataset of images [H, W, C] or of batches [n, H, W, C], got "
            f"{dataset.element_spec}; map its elements to images"
        )
    return dataset.unbatch() if rank == 4 else dataset
