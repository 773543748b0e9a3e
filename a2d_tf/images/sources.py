"""What counts as images: an array, a `tf.data.Dataset`, a `keras.utils.PyDataset` or files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from a2d_tf.errors import InvalidInputError, reason
from a2d_tf.images.spec import DEFAULT_RANK, Images, InputSpec, as_numbers


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


# f32[N,H,W,C] within the bounds, or bytes u8[N,H,W,C]; a dataset of such images one by one or in
# batches of any size, of whose elements the first part is taken if they are tuples; or files.
ImageSource: TypeAlias = ArrayLike | tf.data.Dataset | keras.utils.PyDataset | ImageStream


def is_array(images: Any) -> bool:
    """Whether the images are an array, or what NumPy makes one of.

    Raises:
      InvalidInputError: they are neither that nor a dataset that ends nor files.
    """
    if isinstance(images, tf.data.Dataset):
        if int(images.cardinality()) == tf.data.INFINITE_CARDINALITY:
            raise InvalidInputError(
                "expected a dataset that ends, got one that repeats without end; leave its "
                "repeat() out, or write dataset.take(N)"
            )
    elif isinstance(images, keras.utils.PyDataset):
        if images.num_batches is None:
            raise InvalidInputError(
                f"expected a dataset that ends, got a {type(images).__name__} whose num_batches "
                "is None; give it the number of its batches"
            )
    elif isinstance(images, Iterator) or callable(images):
        raise InvalidInputError(
            f"expected images as an array or as a dataset, got a {type(images).__name__}; stack "
            "them with np.stack, or make a dataset with tf.data.Dataset.from_generator"
        )
    elif isinstance(images, (str, bytes, dict, set)):
        raise InvalidInputError(
            f"expected images as an array or as a dataset, got a {type(images).__name__}; load "
            "files with a2d_tf.images.load_images(path, classifier.input_spec), and take images "
            "out of a dictionary"
        )
    return not isinstance(images, (tf.data.Dataset, keras.utils.PyDataset, ImageStream))


def checked_parts(images: Any, spec: InputSpec, size: int) -> Iterator[Images]:
    """The images in checked parts of `size`, of which only the last one has fewer.

    An array is checked as a whole before the first part; others are read once, part by part.

    Raises:
      InvalidInputError: images that do not fit.
    """
    if is_array(images):
        checked = spec.check(images)
        for start in range(0, len(checked), size):
            yield checked[start:start + size]
    elif isinstance(images, tf.data.Dataset):
        for batch in _read(_single_images(images, spec).batch(size)):
            yield spec.check(batch)
    elif isinstance(images, keras.utils.PyDataset):
        yield from _regrouped((spec.check(batch) for batch in _py_batches(images)), size)
    else:
        for batch in images.read(size):
            yield batch if images.spec == spec else spec.check(batch)


def image_shape(images: ImageSource, spec: InputSpec) -> tuple[int, ...]:
    """The shape of one image of a dataset or of files, with 1 for sizes that are not known."""
    known: Any = spec.shape
    if isinstance(images, tf.data.Dataset):
        element = _single_images(images, spec).element_spec.shape
        known = element if element.rank is not None else known
    elif isinstance(images, ImageStream):
        known = images.shape
    return tuple(size or 1 for size in known or [None] * DEFAULT_RANK)


def _single_images(dataset: tf.data.Dataset, spec: InputSpec) -> tf.data.Dataset:
    """The images of a dataset one by one."""
    if isinstance(dataset.element_spec, tuple):
        dataset = dataset.map(lambda images, *others: images)
    wanted = DEFAULT_RANK if spec.shape is None else len(spec.shape)
    element = dataset.element_spec
    rank = element.shape.rank if isinstance(element, tf.TensorSpec) else 0
    if rank is None:  # a generator that does not say: its first element tells
        rank = next((np.ndim(image) for image in dataset.take(1).as_numpy_iterator()), wanted)
    if rank not in (wanted, wanted + 1):
        raise InvalidInputError(
            f"expected a dataset of images [{spec.sizes}] or of batches [n, {spec.sizes}], got "
            f"{element}; map its elements to images"
        )
    return dataset.unbatch() if rank == wanted + 1 else dataset


def _read(dataset: tf.data.Dataset) -> Iterator[Any]:
    """The elements of a dataset as arrays."""
    elements = dataset.as_numpy_iterator()
    while True:
        try:
            element = next(elements)
        except StopIteration:
            return
        except tf.errors.ResourceExhaustedError:
            raise
        except tf.errors.OpError as error:
            raise InvalidInputError(
                "expected a dataset that can be read to its end, got an error of one of its steps "
                f"({reason(error)}); mend that step, or leave out the elements that it fails on"
            ) from error
        yield element


def _py_batches(dataset: keras.utils.PyDataset) -> Iterator[Any]:
    for index in range(dataset.num_batches):
        batch = dataset[index]
        batch = batch[0] if isinstance(batch, (tuple, list)) else batch
        if isinstance(batch, (dict, list, tuple)):
            raise InvalidInputError(
                f"expected a {type(dataset).__name__} of batches of images, alone or before their "
                f"labels, got a {type(batch).__name__}; make it give one array of images"
            )
        yield as_numbers(batch)


def _regrouped(batches: Iterator[Images], size: int) -> Iterator[Images]:
    """The images of batches of any size in parts of `size`."""
    waiting: list[Images] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= size:
            together = np.concatenate(waiting)
            whole = len(together) - len(together) % size
            for start in range(0, whole, size):
                yield together[start:start + size]
            waiting = [together[whole:]]
    if sum(map(len, waiting)):
        yield np.concatenate(waiting)
