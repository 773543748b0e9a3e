"""The training of classifiers by name."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf import deprecated
from a2d_tf.checks import lookup
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Images, Labels
from a2d_tf.storage import files
from a2d_tf.zoo.architectures import MODELS
from a2d_tf.zoo.datasets import Dataset

BATCH_SIZE = 128
SHIFT = 8  # an augmented image moves by up to this part of its size
LEARNING_RATE = 1e-3


def train(
    name: str,
    dataset: Dataset,
    epochs: int,
    *,
    seed: int = 0,
    init: keras.Model | None = None,
    augment: bool = False,
    on_epoch: Callable[[int], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> keras.Model:
    """Trains a classifier that is known by name.

    It uses Adam, whose learning rate falls to 0 along a cosine, since with Keras' present Adadelta
    the convnet stays at chance. The random numbers of Python, NumPy and TensorFlow go on as before
    afterwards, except that those of a TensorFlow with a global seed start again from that seed.

    Args:
      name: one of `MODELS`.
      dataset: its training images and labels are used.
      epochs: passes over them.
      seed: seed of the initial weights, the order of the images, the dropout and the augmentation.
      init: a trained model of the same architecture, whose weights the training starts from.
      augment: whether images are shifted by up to an eighth of their size in either direction, and
        colour images mirrored too, at random.
      on_epoch: deprecated; give `on_batch` instead. Called with 1 after each epoch.
      on_batch: called with 1 after each batch, of which there are `batches`.

    Raises:
      InvalidInputError: an unknown name, no epoch, nothing to train on, or a model of another
        architecture to start from.
    """
    if on_epoch:
        deprecated.warn("train(on_epoch=...) is deprecated; give on_batch=...")
    with seeded(seed):
        model = compiled(name, dataset, epochs, init)
        follow = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: on_epoch(1) if on_epoch else None,
            on_train_batch_end=lambda batch, logs: on_batch(1) if on_batch else None,
        )
        if augment:
            batches: Any = _augmented(dataset.x_train, dataset.y_train, seed)
            model.fit(
                batches, epochs=epochs, shuffle=False, verbose=0, callbacks=[follow],
            )
        else:
            model.fit(
                dataset.x_train, dataset.y_train,
                batch_size=BATCH_SIZE, epochs=epochs, verbose=0, callbacks=[follow],
            )
    return model


def batches(dataset: Dataset, epochs: int) -> int:
    """How many batches so many passes over the training images have."""
    return epochs * -(-len(dataset.x_train) // BATCH_SIZE)


def shuffled(count: int, epochs: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """The rows i64[n] of each batch; every epoch has another order of the `count` images."""
    numbers = np.random.default_rng(seed)
    for _ in range(epochs):
        order = numbers.permutation(count)
        yield from (order[at:at + BATCH_SIZE] for at in range(0, count, BATCH_SIZE))


def compiled(
    name: str, dataset: Dataset, epochs: int, init: keras.Model | None
) -> keras.Model:
    """A compiled model before its training; the arguments and errors are those of `train`."""
    build = lookup(MODELS, name, "a model")
    if epochs < 1 or not len(dataset.x_train):
        raise InvalidInputError(
            f"expected epochs and training images, got {epochs} epochs and "
            f"{len(dataset.x_train)} images; give at least one of each"
        )
    model = build(dataset.x_train.shape[1:], dataset.classes)
    if init is not None:
        _start_from(model, init, name)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, batches(dataset, epochs))
    model.compile(
        keras.optimizers.Adam(schedule),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def _start_from(model: keras.Model, init: keras.Model, name: str) -> None:
    if not isinstance(init, keras.Model):
        raise InvalidInputError(
            f"expected a Keras model to start from, got {type(init).__name__}; give a .keras file"
        )
    expected, given = ([each.shape for each in one.get_weights()] for one in (model, init))
    if given != expected:
        raise InvalidInputError(
            f"expected a model to start from with the weights of {name} for images of shape "
            f"{model.input_shape[1:]}, {len(expected)} arrays, got {len(given)} arrays or other "
            "shapes; give a model of that architecture"
        )
    model.set_weights(init.get_weights())


def _augmented(images: Images, labels: Labels, seed: int) -> tf.data.Dataset:
    """Batches of changed images and their labels, others in every epoch."""
    height, width, channels = images.shape[1:]
    up, left = height // SHIFT, width // SHIFT
    pads = [[0, 0], [up, up], [left, left], [0, 0]]

    def change(batch: tf.Tensor, truth: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def one(image: tf.Tensor) -> tf.Tensor:
            cropped = tf.image.random_crop(image, (height, width, channels))
            # A mirrored digit is none.
            return tf.image.random_flip_left_right(cropped) if channels == 3 else cropped

        return tf.map_fn(one, tf.pad(batch, pads)), truth

    rows = tf.data.Dataset.from_tensor_slices((images, labels))
    return rows.shuffle(len(labels), seed=seed).batch(BATCH_SIZE).map(change)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds what Keras draws its seeds from, and undoes that.

    `keras.utils.set_random_seed` does the same for good.
    """
    python, numpy = random.getstate(), np.random.get_state()
    tensorflow, _ = tf.compat.v1.random.get_seed(None)
    random.seed(seed)
    np.random.seed(seed)
    tf.random.set_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        tf.random.set_seed(tensorflow)


def save(model: keras.Model, path: str | Path) -> None:
    """Writes a model to a .keras file, whole or not at all.

    Raises:
      InvalidInputError: another suffix.
    """
    if Path(path).suffix != ".keras":
        raise InvalidInputError(
            f"expected a file name that ends in .keras, got {path}; name such a file"
        )
    with files.replacing(path) as scratch:
        model.save(scratch)
        files.make_reproducible(scratch)
