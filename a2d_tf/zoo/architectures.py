"""The classifiers of the paper for MNIST and CIFAR-10 (Feinman 2017)."""

from collections.abc import Callable

import keras
from keras import layers


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
