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
from a2d_tf.errors import InvalidInputError, reason
from a2d_tf.images.spec import Images, Labels
from a2d_tf.storage import files
from a2d_tf.zoo.architectures import MODELS
from a2d_tf.zoo.datasets import Dataset

BATCH_SIZE = 128
SHIFT = 8  # an augmented image moves by up to this part of its size
LEARNING_RATE = 1e-3
PROBED = 8  # images that a trained model is tried on


def train(
    name: str | None,
    dataset: Dataset,
    epochs: int,
    *,
    seed: int = 0,
    init: keras.Model | None = None,
    augment: bool = False,
    on_epoch: Callable[[int], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> keras.Model:
    """Trains a classifier that is known by name, or a trained one further.

    It uses Adam, whose learning rate falls to 0 along a cosine, since with Keras' present Adadelta
    the convnet stays at chance. The random numbers of Python, NumPy and TensorFlow go on as before
    afterwards, except that those of a TensorFlow with a global seed start again from that seed.

    Args:
      name: one of `MODELS`; None with `init`.
      dataset: its training images and labels are used.
      epochs: passes over them.
      seed: seed of the initial weights, the order of the images, the dropout and the augmentation.
      init: a trained Keras model that gives logits or probabilities of the dataset's classes. A
        copy of it is trained further; the model itself stays as it is.
      augment: whether images are shifted by up to an eighth of their size in either direction, and
        colour images mirrored too, at random.
      on_epoch: deprecated; give `on_batch` instead. Called with 1 after each epoch.
      on_batch: called with 1 after each batch, of which there are `batches`.

    Raises:
      InvalidInputError: an unknown name, no epoch, nothing to train on, a name beside `init`, or
        a model that cannot be trained further on these images.
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
    name: str | None, dataset: Dataset, epochs: int, init: keras.Model | None
) -> keras.Model:
    """A compiled model before its training; the arguments and errors are those of `train`."""
    if (name is None) == (init is None):
        given = "neither" if name is None else "both"
        raise InvalidInputError(
            f"expected the name of a model or a trained one, got {given}; give one of them"
        )
    build = None if name is None else lookup(MODELS, name, "a model")
    if epochs < 1 or not len(dataset.x_train):
        raise InvalidInputError(
            f"expected epochs and training images, got {epochs} epochs and "
            f"{len(dataset.x_train)} images; give at least one of each"
        )
    model = (
        build(dataset.x_train.shape[1:], dataset.classes) if build else copied(init, dataset)
    )
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, batches(dataset, epochs))
    # All networks that are known by name end in softmax.
    gives_logits = init is not None and not _gives_probabilities(model, dataset)
    model.compile(
        keras.optimizers.Adam(schedule),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=gives_logits),
        metrics=["accuracy"],
    )
    return model


def _gives_probabilities(model: keras.Model, dataset: Dataset) -> bool:
    outputs = np.asarray(model(dataset.x_train[:PROBED], training=False))
    sums = outputs.sum(axis=1)
    return bool((outputs >= 0).all() and np.allclose(sums, 1, atol=1e-3))


def copied(model: keras.Model, dataset: Dataset) -> keras.Model:
    """A copy of a trained model, whose weights are its own.

    Args:
      model: a functional or Sequential model, which gives logits or probabilities.
      dataset: what it will be trained on; the first training images are tried.

    Raises:
      InvalidInputError: it is no Keras model, it does not take the dataset's images, it has no
        output for each of its classes, or it cannot be copied.
    """
    shape = dataset.x_train.shape[1:]
    if not isinstance(model, keras.Model):
        raise InvalidInputError(
            f"expected a Keras model to train further, got another kind ({type(model).__name__}); "
            "give a .keras or .h5 file"
        )
    try:
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        outputs = copy(dataset.x_train[:PROBED], training=False).shape[1:]
    except Exception as error:  # every model fails in its own way
        raise InvalidInputError(
            f"expected a functional or Sequential model for images of shape {shape} to train "
            f"further, got one that cannot be ({reason(error)}); give one that takes these images"
        ) from error
    if outputs != (dataset.classes,):
        raise InvalidInputError(
            f"expected a model with outputs of shape {(dataset.classes,)}, one for each class, got "
            f"{tuple(outputs)}; give a model that has these classes"
        )
    return copy


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
