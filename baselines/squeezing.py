"""Feature squeezing: how much the classifier's answer depends on detail (Xu et al. 2018)."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import tensorflow as tf

from a2d_tf import checks
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import Feature, squeezers


@dataclass(frozen=True, kw_only=True)
class FeatureSqueezing(Feature):
    """Feature Squeezing (Xu et al. 2018, arXiv 1704.01155).

    The column is the largest L1 distance between the class probabilities of the image and those of
    its squeezed versions (section 5.1): one of fewer grey levels, and one after a median filter.
    The paper's third squeezer, non-local means, is left out. It is OpenCV's, in the arithmetic of
    bytes, which no TensorFlow graph has. The default feature, `Response`, has each distance as a
    column of its own.

    Attributes:
      bits: of the colour depth (section 3.1), 1 to 8. With None, 1 for images of one channel and 5
        for others, as published for MNIST and for CIFAR-10.
      window: the side of the median filter's window (section 3.2), in pixels.

    Raises:
      InvalidInputError: a setting is out of range, or when it measures, inputs are no images
        [N,H,W,C].
    """

    name: ClassVar[str] = "squeezing"
    description: ClassVar[str] = "feature squeezing by bit depth and median filter (Xu 2018)"
    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "high"
    needs_gradients: ClassVar[bool] = False
    passes: ClassVar[tuple[int, int]] = (3, 0)
    bits: int | None = None
    window: int = field(default=squeezers.WINDOW, metadata={"minimum": 2})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits is not None:
            bits = checks.integer(self.bits, "FeatureSqueezing's bits", maximum=8)
            object.__setattr__(self, "bits", bits)

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        if images.shape.rank != 4:
            raise InvalidInputError(
                "expected images [N,H,W,C] for FeatureSqueezing, got inputs of "
                f"{images.shape.rank} axes, which have no neighbouring pixels; leave it out"
            )
        versions = squeezers.squeezed(
            images, classifier.bounds, bits=self.bits, window=self.window
        )
        distances = squeezers.distances(classifier, classifier(images), versions)
        return tf.reduce_max(distances, axis=1, keepdims=True)
