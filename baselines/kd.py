"""Kernel density and Bayesian uncertainty (Feinman et al. 2017)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf import checks
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import Feature, FitData
from . import network
from .distances import squared_distances

BANDWIDTHS = np.logspace(-3, 3, 25)  # tried when none is given
BANDWIDTH_IMAGES = 1000  # the search uses at most so many training images
TRAINING_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class KD(Feature):
    """Detecting Adversarial Samples from Artifacts (Feinman et al. 2017, arXiv 1703.00410).

    The columns are the log-density of the last hidden activations of an image, among those of the
    training images of the class that the classifier predicts (section 3.1), and the variance of the
    classifier's probabilities under dropout (section 3.2). The classifier is a built functional or
    Sequential Keras model.

    `fit` learns the activations of the training images, 4 bytes for each number.

    Attributes:
      bandwidth: of the Gaussian kernel, in units of the activations; published: 1.20 for MNIST,
        0.26 for CIFAR-10. With None, `fit` searches a logarithmic grid for the best leave-one-out
        likelihood of at most 1,000 training images.
      dropout_passes: the number of forward passes with dropout.
      seed: seed of the dropout and of the search.
    """

    name: ClassVar[str] = "kd"
    description: ClassVar[str] = (
        "kernel density of the last hidden layer and dropout uncertainty (Feinman 2017)"
    )
    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "either"
    needs_fit: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = False
    batch_size: ClassVar[int | None] = 32  # a batch is given to all dropout passes at once
    default_detector: ClassVar[tuple[str, Mapping[str, Any]]] = (
        "logistic", {"transform_costs": False}
    )
    noisy_negatives: ClassVar[bool] = True
    bandwidth: float | None = None
    dropout_passes: int = 50
    seed: int = field(default=0, metadata={"minimum": 0})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bandwidth is not None:
            checks.number(self.bandwidth, "KD's bandwidth")

    @property
    def passes(self) -> tuple[int, int]:  # type: ignore[override]
        return 1 + self.dropout_passes, 0

    def check(self, classifier: Classifier) -> None:
        model = network.require_layers(classifier)
        network.require_kernel(model)

    def fit(self, classifier: Classifier, data: FitData) -> "KD":
        self.check(classifier)
        classes = max(2, classifier.model.output_shape[-1])  # one output unit tells two apart
        labels = _checked_labels(data.labels, classes)
        hidden = classifier.graph(
            ("kd hidden", data.images.shape[1:]),
            lambda images: network.last_hidden(classifier, images),
            lambda: [tf.TensorSpec((None, *data.images.shape[1:]), tf.float32)],
        )
        starts = range(0, len(labels), TRAINING_BATCH)
        order = np.argsort(labels, kind="stable")  # a class is one run of rows
        activations = np.concatenate(
            [hidden(data.images[start:start + TRAINING_BATCH]) for start in starts]
        )
        bandwidth = self.bandwidth or _search_bandwidth(activations, labels, self.seed)
        return replace(self, learned={
            "activations": activations[order],
            "starts": np.searchsorted(labels[order], np.arange(labels.max() + 2)),
            "bandwidth": np.array(bandwidth),
        })

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        densities = self._log_densities(network.last_hidden(classifier, images), labels)
        uncertainty = network.dropout_variance(
            classifier, images, passes=self.dropout_passes, seed=self.seed
        )
        return tf.stack([densities, tf.cast(uncertainty, tf.float64)], axis=1)

    def column_names(self, name: str, width: int) -> list[str]:
        return [f"{name}_log_density", f"{name}_dropout_variance"]

    def _log_densities(self, hidden: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The log-density f64[n] of activations [n,D] among those of their class."""
        activations, starts, bandwidth = map(
            self.learned_tensor, ("activations", "starts", "bandwidth")
        )

        def add_class(densities: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
            rows = tf.where(labels == label)
            members = activations[starts[label]:starts[label + 1]]
            squares = squared_distances(tf.gather_nd(hidden, rows), members)
            return tf.tensor_scatter_nd_update(densities, rows, log_density(
                squares, bandwidth, tf.shape(hidden)[1]
            ))

        return tf.foldl(
            add_class, tf.unique(labels).y, tf.zeros(tf.shape(labels), tf.float64),
            parallel_iterations=1,
        )


def log_density(squares: tf.Tensor, bandwidth: Any, dimension: Any) -> tf.Tensor:
    """The logarithm f64[N] of a Gaussian kernel density (Feinman et al. 2017, section 3.1).

    All kernels are summed. scikit-learn's trees stop at bounds in which the densities of
    adversarial images, e^-100 of those of benign ones, are lost to rounding.

    Args:
      squares: f64[N,B], squared distances to the points of the density; infinite for those to
        leave out.
      bandwidth: deviation of the kernel.
      dimension: of the points.
    """
    width = tf.cast(bandwidth, tf.float64)
    count = tf.reduce_sum(tf.cast(tf.math.is_finite(squares), tf.float64), axis=1)
    volume = tf.cast(dimension, tf.float64) * tf.math.log(width * np.sqrt(2 * np.pi))
    return tf.reduce_logsumexp(-squares / (2 * width**2), axis=1) - tf.math.log(count) - volume


def _checked_labels(labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    if not np.array_equal(found := np.unique(labels), np.arange(classes)):
        raise InvalidInputError(
            f"expected training images of every class, 0 to {classes - 1}, for KD, got "
            f"{len(found)} classes; give training_data"
        )
    return labels


def _search_bandwidth(
    activations: NDArray[np.float32], labels: NDArray[np.int64], seed: int
) -> float:
    """The bandwidth that makes activations likeliest among the others of their class."""
    chosen = np.random.default_rng(seed).permutation(len(labels))[:BANDWIDTH_IMAGES]
    total = np.zeros(len(BANDWIDTHS))
    for label in np.unique(labels[chosen]):
        members = activations[chosen[labels[chosen] == label]]
        if len(members) > 1:
            squares = squared_distances(members, members).numpy()
            np.fill_diagonal(squares, np.inf)
            total += [
                log_density(squares, width, members.shape[1]).numpy().sum()
                for width in BANDWIDTHS
            ]
    return float(BANDWIDTHS[total.argmax()])
