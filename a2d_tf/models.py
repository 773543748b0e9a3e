"""The paper's classifiers for MNIST and CIFAR-10 (Feinman 2017), and their training."""

from collections.abc import Callable
from pathlib import Path

import keras
from keras import layers

from a2d_tf import files
from a2d_tf.data import Dataset
from a2d_tf.errors import InvalidInputError, pick

BATCH_SIZE = 128
LEARNING_RATE = 1e-3


def lenet(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """LeNet: two convolutions of 64 channels and a hidden layer of 128 units."""
    return keras.Sequential([
        keras.Input(input_shape),
        layers.Conv2D(64, 3, activation="relu"),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Dropout(0.5),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(classes, activation="softmax"),
    ], name="lenet")


def convnet(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """The 12-layer convnet: three pairs of convolutions, two regularised hidden layers."""
    return keras.Sequential([
        keras.Input(input_shape),
        *_convolutions(32),
        *_convolutions(64),
        *_convolutions(128),
        layers.Flatten(),
        layers.Dropout(0.5),
        _regularised_dense(1024),
        layers.Dropout(0.5),
        _regularised_dense(512),
        layers.Dropout(0.5),
        layers.Dense(classes, activation="softmax"),
    ], name="convnet")


def _convolutions(channels: int) -> list[keras.Layer]:
    return [
        layers.Conv2D(channels, 3, padding="same", activation="relu"),
        layers.Conv2D(channels, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
    ]


def _regularised_dense(units: int) -> keras.Layer:
    penalty = keras.regularizers.L2(0.01)
    return layers.Dense(
        units, activation="relu", kernel_regularizer=penalty, bias_regularizer=penalty
    )


MODELS: dict[str, Callable[[tuple[int, int, int], int], keras.Model]] = {
    "lenet": lenet,
    "convnet": convnet,
}


def train(
    name: str,
    dataset: Dataset,
    epochs: int,
    *,
    seed: int = 0,
    on_epoch: Callable[[int], None] | None = None,
) -> keras.Model:
    """Trains one of the paper's classifiers.

    With Adam and cosine decay, since Keras' present Adadelta leaves the convnet at chance.

    Args:
      name: "lenet" or "convnet".
      dataset: its training images and labels are used.
      epochs: passes over them.
      seed: of the initial weights, the order of the images and the dropout.
      on_epoch: called with 1 after each epoch.

    Raises:
      InvalidInputError: an unknown name, no epoch, or nothing to train on.
    """
    build = pick(MODELS, name, "a model")
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
    told = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: on_epoch(1) if on_epoch else None
    )
    model.fit(
        dataset.x_train, dataset.y_train,
        batch_size=BATCH_SIZE, epochs=epochs, verbose=0, callbacks=[told],
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
