"""Datasets as float32 arrays."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import sklearn.datasets
import sklearn.model_selection
import tensorflow as tf
from numpy.typing import ArrayLike

from a2d_tf.checks import lookup
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.image_files import from_bytes, scale
from a2d_tf.images.spec import Bounds, Images, Labels, Shape
from a2d_tf.storage import files
from a2d_tf.zoo import dataset_files

IMAGENET_SIZE = 224
IMAGENET_SHAPE = (IMAGENET_SIZE, IMAGENET_SIZE, 3)


class Dataset(NamedTuple):
    """Images f32[N,H,W,C] and labels i64[N], for training and for testing."""

    x_train: Images
    y_train: Labels
    x_test: Images
    y_test: Labels

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(max(self.y_train.max(initial=0), self.y_test.max(initial=0))) + 1

    def check_classes(self, count: int, name: str) -> None:
        """Raises InvalidInputError if a label is beyond the classifier's number of classes."""
        if not len(self.x_test):
            raise InvalidInputError(
                f"expected test images in {name}, got none; give some as x_test and y_test"
            )
        if self.classes > count:
            raise InvalidInputError(
                f"expected classes from 0 to {count - 1}, as the classifier has, got "
                f"{self.classes - 1} in {name}; check that they belong together"
            )

    def digest(self) -> str:
        """A hash of all images and labels."""
        hashed = hashlib.sha256()
        for array in self:
            hashed.update(np.ascontiguousarray(array).data)
        return hashed.hexdigest()


def is_dataset_of_ones_own(name: str) -> bool:
    """Whether this is a file or a folder, and not the name of a dataset.

    Raises:
      InvalidInputError: it is neither.
    """
    if name not in DATASETS and dataset_files.is_file_or_folder(name):
        return True
    lookup(DATASETS, name, "a dataset, FILE.npz or FOLDER/")
    return False


def load_dataset(
    name: str,
    data_dir: str | Path | None = None,
    bounds: Bounds = Bounds(),
    *,
    input_shape: Shape | None = None,
) -> Dataset:
    """A dataset by name, or from a file or folder of one's own.

    Args:
      name: "digits" (bundled with scikit-learn, 28x28 grey, no network), "mnist", "cifar10",
        "imagenet" (a folder of images per class in `data_dir`, 224x224, for testing only), or the
        path of an .npz file or of a folder; see `dataset_files.read_dataset`.
      data_dir: where `mnist.npz` and `cifar10.npz` are looked for, and then in the environment
        variable A2D_DATA_DIR; where neither is given, Keras downloads them.
      bounds: the range to which the pixels are scaled.
      input_shape: (H, W, C) to which image files of a folder are resized.

    Raises:
      InvalidInputError: an unknown name, or no such dataset there.
    """
    is_own = is_dataset_of_ones_own(name)
    if is_own:
        dataset = Dataset(*dataset_files.read_dataset(Path(name), bounds, input_shape))
    else:
        load = DATASETS[name]
        folder = data_dir or os.environ.get("A2D_DATA_DIR")
        dataset = load(Path(folder) if folder else None)
    return dataset if is_own else dataset._replace(
        x_train=scale(dataset.x_train, bounds), x_test=scale(dataset.x_test, bounds)
    )


def _digits(folder: Path | None) -> Dataset:
    digits = sklearn.datasets.load_digits()
    grey = tf.constant(digits.images[..., None] / digits.images.max(), tf.float32)
    images = tf.image.resize(grey, (28, 28)).numpy()
    x_train, x_test, y_train, y_test = sklearn.model_selection.train_test_split(
        images, digits.target.astype(np.int64), test_size=0.4, random_state=0,
        stratify=digits.target,
    )
    return Dataset(x_train, y_train, x_test, y_test)


def _mnist(folder: Path | None) -> Dataset:
    return _from_arrays("mnist", folder, keras.datasets.mnist.load_data)


def _cifar10(folder: Path | None) -> Dataset:
    return _from_arrays("cifar10", folder, keras.datasets.cifar10.load_data)


def _from_arrays(name: str, folder: Path | None, download: Callable[[], Any]) -> Dataset:
    if folder:
        path = folder / f"{name}.npz"
        arrays = files.load_npz(path, *Dataset._fields)
        x_train, y_train, x_test, y_test = (arrays[key] for key in Dataset._fields)
        for images, labels in ((x_train, y_train), (x_test, y_test)):
            if images.dtype != np.uint8 or images.ndim not in (3, 4) or len(images) != labels.size:
                raise InvalidInputError(
                    f"expected uint8 images and a label for each in {path}, got {images.dtype} "
                    f"of shape {list(images.shape)} and {labels.size} labels; save them so"
                )
    else:
        try:
            (x_train, y_train), (x_test, y_test) = download()
        except Exception as error:  # Keras raises a bare Exception where there is no network
            raise InvalidInputError(
                f"expected to download {name}, got no answer; give --data_dir or set "
                f"A2D_DATA_DIR to a folder with {name}.npz"
            ) from error
    return Dataset(from_bytes(x_train), _labels(y_train), from_bytes(x_test), _labels(y_test))


def _imagenet(folder: Path | None) -> Dataset:
    if folder is None:
        raise InvalidInputError(
            "expected a folder of images per class, got none; give --data_dir or set A2D_DATA_DIR"
        )
    return Dataset(*dataset_files.read_dataset(folder, Bounds(), IMAGENET_SHAPE))


DATASETS: dict[str, Callable[[Path | None], Dataset]] = {
    "digits": _digits,
    "mnist": _mnist,
    "cifar10": _cifar10,
    "imagenet": _imagenet,
}


def _labels(array: ArrayLike) -> Labels:
    return np.asarray(array).reshape(-1).astype(np.int64)
