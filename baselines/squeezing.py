"""Feature squeezing: how much the classifier's answer depends on detail (Xu et al. 2018)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import tensorflow as tf

from a2d_tf import checks
from a2d_tf.classifiers import Classifier
from a2d_tf.features import Feature
from a2d_tf.images.spec import Bounds

GREY_BITS, COLOUR_BITS = 1, 5  # published for MNIST, and for CIFAR-10 and ImageNet


@dataclass(frozen=True, kw_only=True)
class _Squeezing(Feature):
    """What the two features of this module share."""

    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "high"
    needs_gradients: ClassVar[bool] = False
    passes: ClassVar[tuple[int, int]] = (3, 0)
    bits: int | None = None
    window: int = field(default=2, metadata={"minimum": 2})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits is not None:
            bits = checks.integer(self.bits, f"{type(self).__name__}'s bits", maximum=8)
            object.__setattr__(self, "bits", bits)

    def _distances(self, classifier: Classifier, images: tf.Tensor) -> tf.Tensor:
        """The distances f64[n,2] of images f32[n,H,W,C], in [0, 2]: bit depth, median filter."""
        bits = self.bits or (GREY_BITS if images.shape[-1] == 1 else COLOUR_BITS)
        original = _probabilities(classifier, images)
        return tf.stack([
            tf.reduce_sum(tf.abs(_probabilities(classifier, squeezed) - original), axis=1)
            for squeezed in (
                with_bits(images, bits, classifier.bounds), median_filter(images, self.window)
            )
        ], axis=1)


@dataclass(frozen=True, kw_only=True)
class FeatureSqueezing(_Squeezing):
    """Feature Squeezing (Xu et al. 2018, arXiv 1704.01155).

    The column is the largest L1 distance between the class probabilities of the image and those of
    its squeezed versions (section 5.1): one of fewer grey levels, and one after a median filter.
    The paper's third squeezer, non-local means, is left out. It is OpenCV's, in the arithmetic of
    bytes, which no TensorFlow graph has.

    Attributes:
      bits: of the colour depth (section 3.1), 1 to 8. With None, 1 for images of one channel and 5
        for others, as published for MNIST and for CIFAR-10.
      window: the side of the median filter's window (section 3.2), in pixels.
    """

    name: ClassVar[str] = "squeezing"
    description: ClassVar[str] = "feature squeezing by bit depth and median filter (Xu 2018)"

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        return tf.reduce_max(self._distances(classifier, images), axis=1, keepdims=True)


@dataclass(frozen=True, kw_only=True)
class Squeezers(_Squeezing):
    """The distance of each squeezer of Feature Squeezing by itself (Xu et al. 2018).

    The columns "bits" and "median" are the two distances of which `FeatureSqueezing` takes the
    larger one. `A2D(model, ["response", "squeezers"])` judges each of them beside the default
    feature, from benign images alone. Not in the paper.

    Attributes:
      bits: as in `FeatureSqueezing`.
      window: as in `FeatureSqueezing`, in pixels.
    """

    name: ClassVar[str] = "squeezers"
    description: ClassVar[str] = "change of the answer by bit depth, and by a median filter"
    default_detector: ClassVar[tuple[str, Mapping[str, Any]]] = ("conformal", {})

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        return self._distances(classifier, images)

    def column_names(self, name: str, width: int) -> list[str]:
        return [f"{name}_bits", f"{name}_median"]


def with_bits(images: tf.Tensor, bits: int, bounds: Bounds) -> tf.Tensor:
    """Images [N,H,W,C] rounded to 2^bits levels, the bounds among them."""
    steps = 2.0**bits - 1
    levels = tf.round((images - bounds.lower) / bounds.range * steps)
    return bounds.lower + levels / steps * bounds.range


def median_filter(images: tf.Tensor, window: int) -> tf.Tensor:
    """The median of the window x window pixels around each, f32[N,H,W,C], a channel by itself.

    At the borders the image is mirrored. Of an even number of pixels, the upper one of the two in
    the middle is taken, and the window reaches farther to the top and left, as in SciPy's filter,
    which the authors used.
    """
    before, after = window // 2, (window - 1) // 2
    padded = tf.pad(
        images, [[0, 0], [before, after], [before, after], [0, 0]], mode="SYMMETRIC"
    )
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    shifted = tf.stack([
        padded[:, top:top + height, left:left + width]
        for top in range(window) for left in range(window)
    ], axis=-1)
    return tf.ensure_shape(tf.sort(shifted, axis=-1)[..., window**2 // 2], images.shape)


def _probabilities(classifier: Classifier, images: tf.Tensor) -> tf.Tensor:
    # In double precision the distances of certain images differ too.
    return tf.nn.softmax(tf.cast(classifier(images), tf.float64))
