"""Mahalanobis distances to the classes, layer by layer (Lee et al. 2018)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import Feature, FitData
from . import network

# Directions with less than this share of the largest variance are left out of the inverse: there
# the rounding of the activations is all that varies.
LEAST_VARIANCE = 1e-8
TRAINING_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Mahalanobis(Feature):
    """A Simple Unified Framework for Detecting Adversarial Attacks (Lee et al., arXiv 1807.03888).

    A column per hidden layer: the confidence -min over the classes of (f - mean)' P (f - mean),
    where f are the layer's activations, averaged over places (section 2.3), and P is the inverse
    of the covariance within the classes, one for all of them (equation 1). Before it is measured,
    the image takes a small step that raises the confidence of that layer (equation 4). The default
    detector, a logistic regression, weighs the layers. The layers are the non-linear activations
    before the output; the output itself if there are none.

    `fit` learns the means and the covariance from the training images. Without `training_data`,
    these are the benign images of the fit, whose confidence is then higher than that of others:
    give it some thousand training images. The classifier is a built functional or Sequential Keras
    model with the channels last.

    Attributes:
      magnitude: the length of the step, as a fraction of the pixel range; 0 for none. Published:
        the best of ten from 0 to 0.2 on validation images.
    """

    name: ClassVar[str] = "mahalanobis"
    description: ClassVar[str] = "Mahalanobis confidence of every layer (Lee 2018)"
    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "low"
    needs_fit: ClassVar[bool] = True
    batch_size: ClassVar[int | None] = 128  # a pass and a gradient of it for every layer
    default_detector: ClassVar[tuple[str, Mapping[str, Any]]] = (
        "logistic", {"transform_costs": False}
    )
    noisy_negatives: ClassVar[bool] = True
    magnitude: float = field(default=0.001, metadata={"minimum": 0, "maximum": 1})

    @property
    def needs_gradients(self) -> bool:  # type: ignore[override]
        return self.magnitude > 0

    def passes_of(self, width: int) -> tuple[int, int]:
        return (1 + width, width) if self.magnitude else (1, 0)

    def check(self, classifier: Classifier) -> None:
        network.require_layers(classifier)

    def fit(self, classifier: Classifier, data: FitData) -> "Mahalanobis":
        self.check(classifier)
        shape = data.images.shape[1:]
        pooled = classifier.graph(
            ("mahalanobis layers", shape),
            lambda images: network.pooled_layers(classifier, images),
            lambda: [tf.TensorSpec((None, *shape), tf.float32)],
        )
        starts = range(0, len(data.images), TRAINING_BATCH)
        parts = [pooled(data.images[start:start + TRAINING_BATCH]) for start in starts]
        learned: dict[str, NDArray[np.float64]] = {}
        for index, layer in enumerate(zip(*parts, strict=True)):
            means, precision = tied_gaussians(np.concatenate(layer), data.labels)
            learned |= {f"means_{index}": means, f"precision_{index}": precision}
        return replace(self, learned=learned)

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
            tape.watch(images)
            layers = self._confidences(classifier, images)
        if not self.magnitude:
            return tf.stack(layers, axis=1)
        length = self.magnitude * classifier.bounds.range
        return tf.stack([
            self._confidences(
                classifier, images + length * tf.sign(tape.gradient(confidence, images))
            )[index]
            for index, confidence in enumerate(layers)
        ], axis=1)

    def _confidences(self, classifier: Classifier, images: tf.Tensor) -> list[tf.Tensor]:
        """The confidence f64[n] of every layer."""
        return [
            confidence(
                layer, self.learned_tensor(f"means_{index}"),
                self.learned_tensor(f"precision_{index}"),
            )
            for index, layer in enumerate(network.pooled_layers(classifier, images))
        ]


def tied_gaussians(
    activations: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean f64[C,D] of each class of activations [N,D], and the inverse f64[D,D] of their
    common covariance.

    Raises:
      InvalidInputError: there are no more images than classes.
    """
    classes, places = np.unique(labels, return_inverse=True)
    if len(labels) <= len(classes):
        raise InvalidInputError(
            f"expected several training images of a class for Mahalanobis, got {len(labels)} "
            f"images of {len(classes)} classes; give training_data"
        )
    values = activations.astype(np.float64)
    means = np.stack([values[places == place].mean(axis=0) for place in range(len(classes))])
    centred = values - means[places]
    covariance = centred.T @ centred / len(values)
    return means, np.linalg.pinv(covariance, rcond=LEAST_VARIANCE, hermitian=True)


def confidence(
    activations: tf.Tensor, means: tf.Tensor, precision: tf.Tensor
) -> tf.Tensor:
    """The negative squared Mahalanobis distance f64[n] of activations [n,D] to the nearest mean."""
    centred = tf.cast(activations, tf.float64)[:, None] - means
    distances = tf.reduce_sum(tf.tensordot(centred, precision, 1) * centred, axis=2)
    return -tf.reduce_min(distances, axis=1)
