"""Kernel density and Bayesian uncertainty (Feinman et al. 2017)."""

from functools import cached_property, partial
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from a2d_tf.classifier import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.pixels import Images
from baselines import network
from baselines.base import FeatureDetector, Features
from baselines.distances import distances

BANDWIDTHS = np.logspace(-3, 3, 25)  # tried when none is given
BANDWIDTH_IMAGES = 1000  # training images that the search looks at
BATCH = 256
# A batch meets all dropout passes at once.
DROPOUT_BATCH = 32


class KD(FeatureDetector):
    """Detecting Adversarial Samples from Artifacts (Feinman et al. 2017, arXiv 1703.00410).

    Two features of an image: the log-density of its last hidden activations among those of the
    training images of the class that the classifier predicts (section 3.1), and the variance of
    the classifier's probabilities under dropout (section 3.2).

    Args:
      classifier: on a built functional or Sequential Keras model.
      train_images: f32[M,H,W,C], images of every class; those that the classifier was trained on.
      train_labels: [M], their true classes.
      bandwidth: of the Gaussian kernel, in units of the activations; published: 1.20 for MNIST,
        0.26 for CIFAR-10. None searches a logarithmic grid for the best leave-one-out likelihood
        of at most 1,000 training images.
      passes: with dropout.
      seed: of the noise, the dropout and the search.

    Raises:
      InvalidInputError: another kind of model, training images and labels that do not fit one
        another or lack a class, a bandwidth or a number of passes that is not positive.
    """

    name: ClassVar[str] = "kd"
    description: ClassVar[str] = (
        "kernel density of the last hidden layer and dropout uncertainty (Feinman 2017); "
        "benign, noisy and adversarial images"
    )

    def __init__(
        self,
        classifier: Classifier,
        train_images: ArrayLike,
        train_labels: ArrayLike,
        *,
        bandwidth: float | None = None,
        passes: int = 50,
        seed: int = 0,
    ):
        super().__init__(classifier, seed)
        model = network.require_layers(classifier)
        self._train_images = classifier.check(train_images)
        self._train_labels = _checked_labels(
            train_labels, len(self._train_images), model.output_shape[-1]
        )
        if passes < 1 or (bandwidth is not None and not 0 < bandwidth < np.inf):
            raise InvalidInputError(
                f"expected passes >= 1 and a bandwidth > 0, got {passes} and {bandwidth}"
            )
        self._bandwidth = bandwidth
        self._passes = passes
        self._hidden = network.trace(classifier, partial(network.last_hidden, model))
        self._variance = network.trace(
            classifier, partial(network.dropout_variance, model, passes=passes, seed=seed)
        )

    def __repr__(self) -> str:
        return f"KD(bandwidth={self._bandwidth}, passes={self._passes}, seed={self.seed})"

    @cached_property
    def bandwidth(self) -> float:
        """The kernel's bandwidth, given or found."""
        if self._bandwidth is not None:
            return self._bandwidth
        return _search_bandwidth(self._train_activations, self._train_labels, self.seed)

    def _features(self, images: Images) -> Features:
        return network.in_batches(self._batch_features, images, BATCH)

    def _batch_features(self, images: Images) -> Features:
        labels = self.classifier.predict(images)
        densities = self._log_densities(self._hidden(images).numpy(), labels)
        uncertainty = network.in_batches(self._variance, images, DROPOUT_BATCH)
        return np.stack([densities, uncertainty], axis=1)

    def _log_densities(self, hidden: NDArray[np.float32], labels: NDArray[np.int64]) -> Features:
        densities = np.zeros(len(hidden))
        for label in np.unique(labels):
            which = labels == label
            members = self._train_activations[self._train_labels == label]
            squares = np.square(distances(hidden[which], members))
            densities[which] = log_density(squares, self.bandwidth, hidden.shape[1])
        return densities

    @cached_property
    def _train_activations(self) -> NDArray[np.float32]:
        return network.in_batches(self._hidden, self._train_images, BATCH)


def log_density(squares: Features, bandwidth: float, dimension: int) -> Features:
    """Logarithm f64[N] of a Gaussian kernel density (Feinman et al. 2017, section 3.1).

    All kernels are summed: scikit-learn's trees stop at bounds in which the densities of
    adversarial images, e^-100 of those of benign ones, are lost to rounding.

    Args:
      squares: f64[N,B], squared distances to the points of the density; infinite for those to
        leave out.
      bandwidth: deviation of the kernel.
      dimension: of the points.
    """
    count = np.isfinite(squares).sum(axis=1)
    volume = dimension * np.log(bandwidth * np.sqrt(2 * np.pi))
    log_sums = logsumexp(squares / (-2 * bandwidth**2), axis=1)
    return np.asarray(log_sums - np.log(count) - volume, np.float64)


def _checked_labels(labels: ArrayLike, count: int, classes: int) -> NDArray[np.int64]:
    array = np.asarray(labels)
    if array.shape != (count,) or not np.array_equal(np.unique(array), np.arange(classes)):
        raise InvalidInputError(
            f"expected a label of 0 to {classes - 1} for each of {count} training images and "
            f"every class among them, got labels of shape {list(array.shape)} with "
            f"{len(np.unique(array))} classes"
        )
    return array.astype(np.int64)


def _search_bandwidth(
    activations: NDArray[np.float32], labels: NDArray[np.int64], seed: int
) -> float:
    """The bandwidth that makes activations likeliest among the others of their class."""
    chosen = np.random.default_rng(seed).permutation(len(labels))[:BANDWIDTH_IMAGES]
    total = np.zeros(len(BANDWIDTHS))
    for label in np.unique(labels[chosen]):
        members = activations[chosen[labels[chosen] == label]]
        if len(members) > 1:
            squares = np.square(distances(members, members))
            np.fill_diagonal(squares, np.inf)
            total += [log_density(squares, h, members.shape[1]).sum() for h in BANDWIDTHS]
    return float(BANDWIDTHS[total.argmax()])
