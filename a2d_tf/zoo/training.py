"""The training of the paper's classifiers."""

from collections.abc import Callable
from pathlib import Path

import keras

from a2d_tf.checks import lookup
from a2d_tf.errors import InvalidInputError
from a2d_tf.storage import files
from a2d_tf.zoo.architectures import MODELS
from a2d_tf.zoo.datasets import Dataset

BATCH_SIZE = 128
LEARNING_RATE = 1e-3


def train(
    name: str,
    dataset: Dataset,
    epochs: int,
    *,
    seed: int = 0,
    on_epoch: Callable[[int], None] | None = None,
) -> keras.Model:
    """Trains one of the paper's classifiers.

    It uses Adam with cosine decay, since with Keras' present Adadelta the convnet stays at chance.
    It seeds the random numbers of the whole process (`keras.utils.set_random_seed`).

    Args:
      name: "lenet" or "convnet".
      dataset: its training images and labels are used.
      epochs: passes over them.
      seed: seed of the initial weights, the order of the images and the dropout.
      on_epoch: called with 1 after each epoch.

    Raises:
      InvalidInputError: an unknown name, no epoch, or nothing to train on.
    """
    model = untrained(name, dataset, epochs, seed)
    epoch_callback = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: on_epoch(1) if on_epoch else None
    )
    model.fit(
        dataset.x_train, dataset.y_train,
        batch_size=BATCH_SIZE, epochs=epochs, verbose=0, callbacks=[epoch_callback],
    )
    return model


def untrained(name: str, dataset: Dataset, epochs: int, seed: int) -> keras.Model:
    """A compiled model before its training; the arguments and errors are those of `train`."""
    build = lookup(MODELS, name, "a model")
    if epochs < 1 or not len(dataset.x_train):
        raise InvalidInputError(
            f"expected epochs and training images, got {epochs} epochs and "
            f"{len(dataset.x_train)} images"
        )
    keras.utils.set_random_seed(seed)
    model = build(dataset.x_train.shape[1:], dataset.classes)
    steps = epochs * -(-len(dataset.x_train) // BATCH_SIZE)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def save(model: keras.Model, path: str | Path) -> None:
    """Writes a model to a .keras file, whole or not at all.

    Raises:
      InvalidInputError: another suffix.
    """
    if Path(path).suffix != ".keras":
        raise InvalidInputError(f"expected a file name that ends in .keras, got {path}")
    with files.replacing(path) as scratch:
        model.save(scratch)
