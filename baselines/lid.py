"""Local intrinsic dimensionality (Ma et al. 2018)."""

from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from a2d_tf.classifier import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.pixels import Images
from baselines import network
from baselines.base import FeatureDetector, Features
from baselines.distances import COINCIDENT, distances

BATCH = 200
MAX_LID = 1000.0


class LID(FeatureDetector):
    """Characterizing Adversarial Subspaces Using LID (Ma et al. 2018, arXiv 1801.02613).

    A feature per activation of the network: the local intrinsic dimensionality of the image's
    activations, estimated from the distances to its nearest neighbours in a minibatch of benign
    images (section 3 and algorithm 1). Two things are done more strictly than in algorithm 1,
    so that images to fit on and to score are measured alike:

    - No image is measured against its own minibatch, in which it or the benign image that it was
      crafted from has a place.
    - The estimates from several minibatches, if asked for, are combined by their harmonic mean
      (which is what the maximum-likelihood estimate calls for: MacKay and Ghahramani 2005).
      With one, as published, AUROC varies by half a point with the luck of the draw.

    The activations of one minibatch more are kept: 4 bytes for each activation of each image.

    Args:
      classifier: on a built functional or Sequential Keras model.
      neighbours: k, at least 2; all of the minibatch if it has fewer.
      minibatch: images in a minibatch, at least 2; half of the benign images if they are fewer.
      minibatches: against which an image is measured; as many as there are if fewer.
      seed: of the noise and of the minibatches.

    Raises:
      InvalidInputError: another kind of model, or fewer than 2 neighbours or images.
    """

    name: ClassVar[str] = "lid"
    description: ClassVar[str] = (
        "local intrinsic dimensionality of every activation (Ma 2018); "
        "benign, noisy and adversarial images"
    )

    def __init__(
        self,
        classifier: Classifier,
        *,
        neighbours: int = 20,
        minibatch: int = 100,
        minibatches: int = 1,
        seed: int = 0,
    ):
        super().__init__(classifier, seed)
        model = network.require_layers(classifier)
        if neighbours < 2 or minibatch < 2 or minibatches < 1:
            raise InvalidInputError(
                "expected at least 2 neighbours, 2 images in a minibatch and 1 minibatch, got "
                f"{neighbours}, {minibatch} and {minibatches}"
            )
        self.neighbours = neighbours
        self.minibatch = minibatch
        self.minibatches = minibatches
        self._activations = network.trace(classifier, partial(network.activations, model))
        self._references: list[list[NDArray[np.float32]]] = []  # by minibatch and layer

    def __repr__(self) -> str:
        return (
            f"LID(neighbours={self.neighbours}, minibatch={self.minibatch}, "
            f"minibatches={self.minibatches}, seed={self.seed})"
        )

    def _fit_features(self, benign: Images, noisy: Images, adversarial: Images) -> list[Features]:
        size = min(self.minibatch, len(benign) // 2)
        if size < 2:
            raise InvalidInputError(
                f"expected at least 4 benign images to fit LID, got {len(benign)}"
            )
        members = _minibatches(len(benign), size, self.minibatches + 1, self.seed)
        self._references = [
            [layer.numpy() for layer in self._activations(benign[rows])] for rows in members
        ]
        unused = np.full(len(benign), len(members) - 1)  # as in `_features`, but for the members
        for own, rows in enumerate(members):
            unused[rows] = own
        used = np.arange(len(members)) != unused[:, None]
        return [
            _combined(self._inverse_lids(images)[used].reshape(len(images), len(members) - 1, -1))
            for images in (benign, noisy, adversarial)
        ]

    def _features(self, images: Images) -> Features:
        # One less than there are, as for every image of the fit.
        return _combined(self._inverse_lids(images)[:, :-1])

    def _inverse_lids(self, images: Images) -> Features:
        """1 / LID of every image for every minibatch and layer, f64[N,M,L]."""
        return network.in_batches(self._batch_inverse_lids, images, BATCH)

    def _batch_inverse_lids(self, images: Images) -> Features:
        layers = [layer.numpy() for layer in self._activations(images)]
        columns = []
        for index, queries in enumerate(layers):
            columns.append([
                inverse_lid(distances(queries, reference[index]), self.neighbours)
                for reference in self._references
            ])
        return np.asarray(columns).transpose(2, 1, 0)


def inverse_lid(radii: Features, neighbours: int) -> Features:
    """1 / the maximum-likelihood estimate of the local intrinsic dimensionality, f64[N].

    The mean of log(r_k / r_i) over the k nearest (Ma et al. 2018, equation 4; Amsaleg et al.
    2015). A neighbour at distance 0 counts as one at `COINCIDENT` times the k-th distance, and
    where all k are at distance 0 so do all: the estimate is then near 0, as for a single point.

    Args:
      radii: f64[N,B], distances to the images of a minibatch.
      neighbours: k; B if that is less.
    """
    k = min(neighbours, radii.shape[1])
    nearest = np.partition(radii, k - 1, axis=1)[:, :k]
    farthest = nearest.max(axis=1, keepdims=True)
    ratios = np.divide(nearest, farthest, out=np.zeros_like(nearest), where=farthest > 0)
    inverse: Features = -np.log(np.maximum(ratios, COINCIDENT)).mean(axis=1)
    return inverse


def _combined(inverse_lids: Features) -> Features:
    """LIDs f64[N,L] from f64[N,M,L]; at most `MAX_LID`, which stands for equal distances."""
    lids: Features = 1 / np.maximum(inverse_lids.mean(axis=1), 1 / MAX_LID)
    return lids


def _minibatches(count: int, size: int, number: int, seed: int) -> list[NDArray[np.int64]]:
    """Up to `number` disjoint minibatches of random rows; at least two, as size <= count / 2."""
    rows = np.random.default_rng(seed).permutation(count)
    number = min(number, count // size)
    return [rows[start:start + size] for start in range(0, number * size, size)]
