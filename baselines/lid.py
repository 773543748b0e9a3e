"""Local intrinsic dimensionality (Ma et al. 2018)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import Feature, FitData
from a2d_tf.images.batching import Batch
from . import network
from .distances import COINCIDENT, squared_distances

MAX_LID = 1000.0


@dataclass(frozen=True, kw_only=True)
class LID(Feature):
    """Characterizing Adversarial Subspaces Using LID (Ma et al. 2018, arXiv 1801.02613).

    A column per activation of the network: the local intrinsic dimensionality of the image's
    activations, estimated from the distances to its nearest neighbours in a minibatch of benign
    images (section 3 and algorithm 1). Two things are done more strictly than in algorithm 1, so
    that images to fit on and images to score are measured alike:

    - No image is measured against its own minibatch, in which it or the benign image that it was
      crafted from has a place.
    - The estimates from several minibatches, if asked for, are combined by their harmonic mean
      (MacKay and Ghahramani 2005). With one, as published, AUROC varies by half a point with the
      random draw.

    The classifier is a built functional or Sequential Keras model. `fit` learns the activations of
    the minibatches, and of one more: 4 bytes for each activation of each image.

    Attributes:
      neighbours: k, at least 2; all of the minibatch if it has fewer.
      minibatch: images in a minibatch, at least 2; half of the benign images if they are fewer.
      minibatches: against which an image is measured; as many as there are if fewer.
      seed: seed of the minibatches.
    """

    name: ClassVar[str] = "lid"
    description: ClassVar[str] = "local intrinsic dimensionality of every activation (Ma 2018)"
    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "high"
    needs_fit: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = False
    batch_size: ClassVar[int | None] = 200  # its activations are held in float64
    default_detector: ClassVar[tuple[str, Mapping[str, Any]]] = (
        "logistic", {"transform_costs": False}
    )
    noisy_negatives: ClassVar[bool] = True
    neighbours: int = field(default=20, metadata={"minimum": 2})
    minibatch: int = field(default=100, metadata={"minimum": 2})
    minibatches: int = 1
    seed: int = field(default=0, metadata={"minimum": 0})

    def check(self, classifier: Classifier) -> None:
        network.require_layers(classifier)

    def fit(self, classifier: Classifier, data: FitData) -> "LID":
        self.check(classifier)
        size = min(self.minibatch, len(data.benign) // 2)
        if size < 2:
            raise InvalidInputError(
                f"expected at least 4 benign images to fit LID, got {len(data.benign)}; give more"
            )
        rows = choose_minibatches(len(data.benign), size, self.minibatches + 1, self.seed)
        activations = classifier.graph(
            ("lid activations", data.benign.shape[1:]),
            lambda images: network.activations(classifier, images),
            lambda: [tf.TensorSpec((None, *data.benign.shape[1:]), tf.float32)],
        )
        layers = zip(*(activations(data.benign[part]) for part in rows))
        return replace(self, learned={"rows": rows} | {
            f"layer_{index}": np.stack(parts) for index, parts in enumerate(layers)
        })

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        # One minibatch less than there are, as for every image of the fit.
        return combine(self._inverse_lids(classifier, images)[:, :-1])

    def measure_fit_batches(
        self, classifier: Classifier, batches: Sequence[Batch], rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        assert self.learned is not None
        shape, members = batches[0].images.shape[1:], self.learned["rows"]
        inverse_lids = classifier.graph(
            (self, self._graph_key, "every minibatch", shape),
            lambda images: self._inverse_lids(classifier, images),
            lambda: [tf.TensorSpec((None, *shape), tf.float32)],
        )
        every = np.concatenate([inverse_lids(part.images) for part in self._parts(batches)])
        # The last minibatch is not used, or the one that the image belongs to.
        unused = np.full(len(every), len(members) - 1)
        for index, its in enumerate(members):
            unused[np.isin(rows, its)] = index
        used = np.arange(len(members)) != unused[:, None]
        return np.asarray(combine(every[used].reshape(len(every), len(members) - 1, -1)))

    def _inverse_lids(self, classifier: Classifier, images: tf.Tensor) -> tf.Tensor:
        """1 / LID of every image for every minibatch and layer, f64[n,M,L]."""
        assert self.learned is not None
        layers = []
        for index, queries in enumerate(network.activations(classifier, images)):
            reference = self.learned_tensor(f"layer_{index}")
            layers.append(tf.stack([
                inverse_lid(tf.sqrt(squared_distances(queries, part)), self.neighbours)
                for part in tf.unstack(reference)
            ], axis=1))
        return tf.stack(layers, axis=2)


@dataclass(frozen=True, kw_only=True)
class LID5(LID):
    """LID from five minibatches. It is stronger than published, and needs 600 benign images."""

    name: ClassVar[str] = "lid5"
    description: ClassVar[str] = (
        "local intrinsic dimensionality of every activation, from five minibatches"
    )
    minibatches: int = 5


def inverse_lid(radii: tf.Tensor, neighbours: int) -> tf.Tensor:
    """1 / the maximum-likelihood estimate of the local intrinsic dimensionality, f64[N].

    The mean of log(r_k / r_i) over the k nearest (Ma et al. 2018, equation 4; Amsaleg et al. 2015).
    A neighbour at distance 0 counts as one at `COINCIDENT` times the k-th distance. Where all k are
    at distance 0, so do all of them: the estimate is then near 0, as for a single point.

    Args:
      radii: f64[N,B], distances to the images of a minibatch.
      neighbours: k; B if that is less.
    """
    nearest = -tf.math.top_k(-radii, min(neighbours, radii.shape[1])).values
    ratios = tf.math.divide_no_nan(nearest, nearest[:, -1:])
    return -tf.reduce_mean(tf.math.log(tf.maximum(ratios, COINCIDENT)), axis=1)


def combine(inverse_lids: tf.Tensor) -> tf.Tensor:
    """LIDs f64[N,L] from f64[N,M,L]; at most `MAX_LID`, which stands for equal distances."""
    return 1 / tf.maximum(tf.reduce_mean(inverse_lids, axis=1), 1 / MAX_LID)


def choose_minibatches(count: int, size: int, number: int, seed: int) -> NDArray[np.int64]:
    """Rows i64[M,size] of up to `number` disjoint minibatches, drawn at random.

    There are at least two of them if `size` <= `count` / 2.
    """
    number = min(number, count // size)
    rows = np.random.default_rng(seed).permutation(count)
    return rows[:number * size].reshape(number, size)
