"""The classifiers of the paper for MNIST and CIFAR-10: Env 1 (Feinman 2017), and Env 2."""

from collections.abc import Callable

import keras
from keras import layers

WEIGHT_DECAY = 1e-4  # of the networks with batch normalisation, as He 2015


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


def lenet5(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """LeNet-5 of Env 2: two convolutions of 5x5, and hidden layers of 120 and 84 units."""
    return keras.Sequential([
        keras.Input(input_shape),
        layers.Conv2D(6, 5, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(16, 5, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(120, activation="relu"),
        layers.Dense(84, activation="relu"),
        layers.Dense(classes, activation="softmax"),
    ], name="lenet5")


def resnet20(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """ResNet-20 for small images (He 2015, section 4.2), with projections where sizes change."""
    inputs = keras.Input(input_shape)
    outputs = _normalised(inputs, 16, 3)
    for stage, channels in enumerate((16, 32, 64)):
        for block in range(3):
            stride = 2 if stage and not block else 1
            shortcut = outputs
            if stride == 2:
                shortcut = _normalised(outputs, channels, 1, stride=2, relu=False)
            outputs = _normalised(outputs, channels, 3, stride=stride)
            outputs = _normalised(outputs, channels, 3, relu=False)
            outputs = layers.ReLU()(layers.Add()([outputs, shortcut]))
    pooled = layers.GlobalAveragePooling2D()(outputs)
    return keras.Model(inputs, _classes(pooled, classes), name="resnet20")


# Channels of an Inception module: 1x1; 3x3 after its reduction; 5x5 after its reduction; pooled.
_INCEPTION = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    ((192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
     (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128)),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


def googlenet(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """GoogLeNet (Szegedy 2014) for small images: its nine Inception modules after one convolution.

    The 5x5 convolutions are two of 3x3, and every convolution is normalised.
    """
    inputs = keras.Input(input_shape)
    outputs = _normalised(inputs, 192, 3)
    for stage, modules in enumerate(_INCEPTION):
        if stage:
            outputs = layers.MaxPooling2D(3, strides=2, padding="same")(outputs)
        for sizes in modules:
            outputs = _inception(outputs, *sizes)
    pooled = layers.GlobalAveragePooling2D()(outputs)
    return keras.Model(inputs, _classes(pooled, classes), name="googlenet")


def _inception(
    inputs: keras.KerasTensor, one: int, before_three: int, three: int, before_five: int,
    five: int, pooled: int,
) -> keras.KerasTensor:
    """Four branches side by side."""
    fives = _normalised(_normalised(inputs, before_five, 1), five, 3)
    return layers.Concatenate()([
        _normalised(inputs, one, 1),
        _normalised(_normalised(inputs, before_three, 1), three, 3),
        _normalised(fives, five, 3),
        _normalised(layers.MaxPooling2D(3, strides=1, padding="same")(inputs), pooled, 1),
    ])


def _normalised(
    inputs: keras.KerasTensor, channels: int, size: int, *, stride: int = 1,
    relu: bool = True,
) -> keras.KerasTensor:
    """A convolution with batch normalisation, and a ReLU unless it is left out."""
    outputs = layers.Conv2D(
        channels, size, strides=stride, padding="same", use_bias=False,
        kernel_initializer="he_normal", kernel_regularizer=keras.regularizers.L2(WEIGHT_DECAY),
    )(inputs)
    outputs = layers.BatchNormalization()(outputs)
    return layers.ReLU()(outputs) if relu else outputs


def _classes(inputs: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    return layers.Dense(
        classes, activation="softmax", kernel_regularizer=keras.regularizers.L2(WEIGHT_DECAY)
    )(inputs)


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
    "lenet5": lenet5,
    "resnet20": resnet20,
    "googlenet": googlenet,
}
