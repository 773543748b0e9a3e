"""Images in batches, from an array or a `tf.data.Dataset` that need not fit into memory."""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from a2d_tf.classifier import PREFLIGHT_IMAGES, Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.pixels import Images

# f32[N,H,W,C], or a dataset of such images one by one or in batches of any size; of its elements
# that are tuples the first part is taken.
ImageSource: TypeAlias = ArrayLike | tf.data.Dataset
GATHERED_AT_ONCE = 256


class Batch(NamedTuple):
    """Checked images f32[n,H,W,C] with n >= 1, and whether no others follow."""

    images: Images
    last: bool


def batches(classifier: Classifier, images: ImageSource, batch_size: int) -> Iterator[Batch]:
    """Images within a classifier's bounds, in batches of at least as many as its preflight takes.

    An array is checked as a whole before anything is done with it, a dataset as it comes.

    Raises:
      InvalidInputError: images of the wrong shape, not finite or out of bounds; a batch size
        below 1.
    """
    if batch_size < 1:
        raise InvalidInputError(f"expected a batch size of at least 1, got {batch_size}")
    size = max(batch_size, PREFLIGHT_IMAGES)
    if not isinstance(images, tf.data.Dataset):
        checked = classifier.check(images)
        for start in range(0, len(checked), size):
            yield Batch(checked[start:start + size], last=start + size >= len(checked))
        return
    waiting: Images | None = None
    for batch in _single(images).batch(size).as_numpy_iterator():
        if waiting is not None:
            yield Batch(waiting, last=False)
        waiting = classifier.check(batch)
    if waiting is not None:
        yield Batch(waiting, last=True)


def gathered(classifier: Classifier, images: ImageSource) -> Images:
    """The images as a checked array, which holds them all; raises as `batches` does."""
    if not isinstance(images, tf.data.Dataset):
        return classifier.check(images)
    single = _single(images)
    shape = [size or 1 for size in single.element_spec.shape]
    parts = [batch.images for batch in batches(classifier, single, GATHERED_AT_ONCE)]
    return np.concatenate([classifier.check(np.zeros((0, *shape))), *parts])


def _single(dataset: tf.data.Dataset) -> tf.data.Dataset:
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
