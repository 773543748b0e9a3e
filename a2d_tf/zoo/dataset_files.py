"""Datasets of one's own: an .npz file, or a folder of image files."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError
from a2d_tf.images.image_files import IMAGE_SUFFIXES, from_bytes, image_files, read_image, scale
from a2d_tf.images.spec import Bounds, Images, InputSpec, Labels, Shape
from a2d_tf.storage import files

DEFAULT_SHAPE = (224, 224, 3)
NUMBER = re.compile(r"\d+(?![0-9])")
KEYS = ("x_train", "y_train", "x_test", "y_test")
Arrays = tuple[Images, Labels, Images, Labels]


def is_file_or_folder(name: str) -> bool:
    """Whether a dataset's name is meant as a path."""
    return name.endswith(".npz") or "/" in name or Path(name).is_dir()


def read_dataset(path: Path, bounds: Bounds, input_shape: Shape | None) -> Arrays:
    """Images for training and for testing, with their labels.

    Args:
      path: an .npz file with `x_train`, `y_train`, `x_test` and `y_test`: images are uint8, which
        is scaled to the bounds, or floats within the bounds; labels are integers from 0. Or a
        folder of image files, all for testing: of subfolders, one for each class, or of files whose
        names begin with the number of their class. Subfolders whose names begin with a number have
        that class, and otherwise their place by name. The images come in turns, one of each class.
      bounds: the range of the pixels.
      input_shape: (H, W, C), to which image files are resized; 224x224x3 if it is None.

    Raises:
      InvalidInputError: nothing there, files that hold something else, or a class that is unknown.
    """
    if path.is_dir():
        return _read_folder(path, bounds, input_shape)
    if not path.is_file():
        raise InvalidInputError(
            f"expected an .npz file or a folder of images at {path}, got nothing there; check the "
            "path"
        )
    arrays = files.load_npz(path, *KEYS)
    x_train, x_test = (
        _images(arrays[key], f"{key} in {path}", bounds) for key in ("x_train", "x_test")
    )
    y_train, y_test = (
        _labels(arrays[f"y_{part}"], len(images), f"y_{part} in {path}")
        for part, images in (("train", x_train), ("test", x_test))
    )
    if len(x_train) and x_train.shape[1:] != x_test.shape[1:]:
        raise InvalidInputError(
            f"expected images of one size in {path}, got {list(x_train.shape[1:])} to train and "
            f"{list(x_test.shape[1:])} to test; resize them"
        )
    return x_train, y_train, x_test, y_test


def _images(array: NDArray[np.generic], what: str, bounds: Bounds) -> Images:
    if array.ndim not in (3, 4):
        raise InvalidInputError(
            f"expected images [N,H,W,C] as {what}, got {list(array.shape)}; save them in that shape"
        )
    if array.dtype == np.uint8:
        return scale(from_bytes(array), bounds)
    if not np.issubdtype(array.dtype, np.floating):
        raise InvalidInputError(
            f"expected images of floats or uint8 as {what}, got {array.dtype}; convert them"
        )
    return InputSpec(None, bounds).check(array[..., None] if array.ndim == 3 else array)


def _labels(array: NDArray[np.generic], count: int, what: str) -> Labels:
    if array.size != count or not np.issubdtype(array.dtype, np.integer) or (
        array.astype(np.int64) < 0
    ).any():
        raise InvalidInputError(
            f"expected {count} integer labels from 0 as {what}, got {array.size} of {array.dtype}; "
            "give an integer for each image, such as numpy.argmax(labels, axis=1) of one-hot ones"
        )
    return array.reshape(-1).astype(np.int64)


def _read_folder(folder: Path, bounds: Bounds, input_shape: Shape | None) -> Arrays:
    match input_shape or DEFAULT_SHAPE:
        case (int(height), int(width), int(channels)):
            shape = (height, width, channels)
        case other:
            raise InvalidInputError(
                f"expected a classifier of fixed input size to read image files, got {other}; give "
                "the images as an .npz file"
            )
    labelled = _labelled_files(folder)
    images = np.empty((len(labelled), *shape), np.float32)
    for row, (path, _) in enumerate(labelled):
        images[row] = scale(read_image(path, shape), bounds)
    labels = np.array([label for _, label in labelled], np.int64)
    return images[:0], labels[:0], images, labels


def _labelled_files(folder: Path) -> list[tuple[Path, int]]:
    """The image files of a folder or of its subfolders, and their classes."""
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir())
    if subfolders:
        numbered = [path for path in subfolders if NUMBER.match(path.name)]
        classes = _numbers(subfolders) if numbered else list(range(len(subfolders)))
        labelled = [
            (path, label) for one, label in zip(subfolders, classes) for path in image_files(one)
        ]
    else:
        paths = image_files(folder)
        labelled = list(zip(paths, _numbers(paths)))
    if not labelled:
        raise InvalidInputError(
            f"expected a folder of images per class, or image files ({', '.join(IMAGE_SUFFIXES)}) "
            f"whose names begin with their class, in {folder}, got none; put some there"
        )
    return _mixed(labelled)


def _mixed(labelled: list[tuple[Path, int]]) -> list[tuple[Path, int]]:
    """The first file of every class, then the second of every class, and so on.

    What takes the first images of a folder then gets images of all classes.
    """
    places: dict[int, int] = {}
    order = []
    for row, (_, label) in enumerate(labelled):
        order.append((places.setdefault(label, 0), label, row))
        places[label] += 1
    return [labelled[row] for _, _, row in sorted(order)]


def _numbers(paths: list[Path]) -> list[int]:
    """The numbers that names begin with."""
    found = [NUMBER.match(path.name) for path in paths]
    if unknown := [path.name for path, number in zip(paths, found) if number is None]:
        raise InvalidInputError(
            f"expected every name in {paths[0].parent} to begin with the number of its class, as "
            f"007_name, got the unknown class of {unknown[0]!r}; rename it"
        )
    return [int(number[0]) for number in found if number]
