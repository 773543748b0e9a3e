"""The reconstruction error of MagNet's auto-encoders (Meng and Chen 2017)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf import checks
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import Feature, FitData
from a2d_tf.images.spec import Bounds, Images

BATCH_SIZE = 256
CHANNELS = 3  # of every hidden layer
KERNEL = 3


class Size(NamedTuple):
    """The layers of an auto-encoder, and the noise that it was published with.

    Attributes:
      hidden: the number of hidden convolutions.
      pools: whether images are halved after the first of them and doubled before the last.
      noise: standard deviation of the noise on training images, as a fraction of the pixel range.
    """

    hidden: int
    pools: bool
    noise: float


# Meng and Chen 2017, tables 2 and 4 and section 5.
SIZES = {
    "mnist": Size(hidden=4, pools=True, noise=0.1),  # detector I, which is the reformer too
    "mnist-2": Size(hidden=2, pools=False, noise=0.1),  # detector II
    "cifar10": Size(hidden=2, pools=False, noise=0.025),
}


@dataclass(frozen=True, kw_only=True)
class MagNet(Feature):
    """MagNet: a Two-Pronged Defense against Adversarial Examples (Meng and Chen 2017, arXiv
    1705.09064), section 4.2.1.

    The column is the mean of |image - reconstruction|^p over the pixels, in units of the pixel
    range, where an auto-encoder that was trained on benign images reconstructs the image. It does
    not look at the classifier, which may be a black box.

    `fit` trains the auto-encoder on the training data: convolutions of 3x3 with sigmoids, Adam in
    batches of 256, noisy images in and clean ones out.

    Attributes:
      size: "mnist" (detector I), "mnist-2" (detector II) or "cifar10", as published; "auto" takes
        "mnist" for images of one channel and even sides, and else "cifar10".
      norm: p, 1 or 2; published: 2 for detector I, and 1 for detector II and CIFAR-10.
      epochs: passes over the training images; published: 100 for MNIST, 400 for CIFAR-10.
      learning_rate: of Adam; published: 0.001. A few hundred images need a higher one.
      seed: seed of the weights, the order of the images and the noise. No random numbers of the
        process are touched.
    """

    name: ClassVar[str] = "magnet"
    description: ClassVar[str] = "reconstruction error of an auto-encoder (Meng 2017)"
    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "high"
    needs_fit: ClassVar[bool] = True
    needs_logits: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = False
    passes: ClassVar[tuple[int, int]] = (0, 0)
    default_detector: ClassVar[tuple[str, Mapping[str, Any]]] = ("threshold", {})
    size: str = "auto"
    norm: int = field(default=2, metadata={"maximum": 2})
    epochs: int = 100
    learning_rate: float = 1e-3
    seed: int = field(default=0, metadata={"minimum": 0, "maximum": 2**31 - 1})

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.lookup({"auto": None, **SIZES}, self.size, "MagNet's size")

    def fit(self, classifier: Classifier, data: FitData) -> "MagNet":
        size = self._size(data.images.shape[1:])
        images = _scaled(data.images, classifier.bounds)
        return replace(self, learned=self._train(images, size))

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        scaled = _scaled(images, classifier.bounds)
        size = self._size(tuple(images.shape[1:]))
        weights = [self.learned_tensor(name) for name in _names(size)]
        return _error(scaled, _reconstructed(scaled, weights, size), self.norm)[:, None]

    def _train(self, images: Images, size: Size) -> dict[str, NDArray[np.float32]]:
        """Trained weights by name, from images f32[N,H,W,C] in [0, 1]."""
        numbers = np.random.default_rng(self.seed)
        variables = [keras.Variable(value) for value in _initial(images.shape[-1], size, numbers)]
        optimizer = keras.optimizers.Adam(self.learning_rate)
        optimizer.build(variables)

        def step(clean: tf.Tensor, noisy: tf.Tensor) -> None:
            with tf.GradientTape() as tape:
                weights = [variable.value for variable in variables]
                reconstructed = _reconstructed(noisy, weights, size)
                loss = tf.reduce_mean(_error(clean, reconstructed, self.norm))
            gradients = tape.gradient(loss, [variable.value for variable in variables])
            optimizer.apply(gradients, variables)

        batch = tf.TensorSpec((None, *images.shape[1:]), tf.float32)
        descend = tf.function(step, input_signature=[batch, batch], autograph=False)
        for _ in range(self.epochs):
            order = numbers.permutation(len(images))
            for start in range(0, len(images), BATCH_SIZE):
                clean = images[order[start:start + BATCH_SIZE]]
                noise = size.noise * numbers.standard_normal(clean.shape, np.float32)
                descend(clean, np.clip(clean + noise, 0, 1, dtype=np.float32))
        return {
            name: variable.numpy()
            for name, variable in zip(_names(size), variables, strict=True)
        }

    def _size(self, shape: tuple[int, ...]) -> Size:
        height, width, channels = shape
        even = height % 2 == 0 and width % 2 == 0
        if self.size == "auto":
            return SIZES["mnist" if channels == 1 and even else "cifar10"]
        size = SIZES[self.size]
        if size.pools and not even:
            raise InvalidInputError(
                f"expected images of even height and width for MagNet's size {self.size!r}, got "
                f"{height}x{width}; choose 'cifar10', which does not halve them"
            )
        return size


def _names(size: Size) -> list[str]:
    """The names of kernel and bias of each convolution, the last of which gives the pixels."""
    return [
        f"{kind}_{index}" for index in range(size.hidden + 1) for kind in ("kernel", "bias")
    ]


def _reconstructed(images: tf.Tensor, weights: list[Any], size: Size) -> tf.Tensor:
    """The reconstructions [n,H,W,C] of images in [0, 1]."""
    values = images
    pairs = list(zip(weights[::2], weights[1::2], strict=True))
    for index, (kernel, bias) in enumerate(pairs):
        values = tf.sigmoid(tf.nn.conv2d(values, kernel, strides=1, padding="SAME") + bias)
        if size.pools and index == 0:
            values = tf.nn.avg_pool2d(values, 2, 2, "VALID")
        if size.pools and index == size.hidden - 2:
            values = tf.repeat(tf.repeat(values, 2, axis=1), 2, axis=2)
    return values


def _error(images: tf.Tensor, reconstructed: tf.Tensor, norm: int) -> tf.Tensor:
    away = images - reconstructed
    return tf.reduce_mean(tf.abs(away) if norm == 1 else tf.square(away), axis=(1, 2, 3))


def _initial(
    channels: int, size: Size, numbers: np.random.Generator
) -> list[NDArray[np.float32]]:
    """Kernels as of Glorot and Bengio 2010, and biases of zero."""
    widths = [channels, *[CHANNELS] * size.hidden, channels]
    weights = []
    for fan_in, fan_out in zip(widths, widths[1:]):
        limit = np.sqrt(6 / (KERNEL**2 * (fan_in + fan_out)))
        shape = (KERNEL, KERNEL, fan_in, fan_out)
        weights += [
            numbers.uniform(-limit, limit, shape).astype(np.float32),
            np.zeros(fan_out, np.float32),
        ]
    return weights


def _scaled(images: Any, bounds: Bounds) -> Any:
    """Images within bounds, in [0, 1]; arrays give arrays, and tensors tensors."""
    return (images - np.float32(bounds.lower)) / np.float32(bounds.range)
