"""Gradients of margins at random points around an image, and their maxima over batches."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf.attacks import stateless_random
from a2d_tf.attacks.runner import MAX_SEED
from a2d_tf.checks import integer, number
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError, UnsuitableClassifierError
from a2d_tf.images.spec import Images

Norms = NDArray[np.float32]

# Usual radii by norm: as published for L2, as in ART's examples for L1, and BIM's for L-infinity.
RADII = {1.0: 40.0, 2.0: 5.0, np.inf: 0.3}
MAX_RADIUS = 1e6  # the whole of an image of a million pixels, in any norm
CLASSES_PER_PASS = 10  # classes that share a forward pass


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The points of which CLEVER takes gradients. They do not depend on other images.

    Attributes:
      norm: of the ball and of the score: 1, 2 or infinity.
      radius: of the ball, in units of the pixel range; no score is larger. The published one is
        for L2; see `RADII`.
      batches: the number of maxima that the distribution is fitted to.
      samples: the number of points of each maximum.
      pool: all batches draw out of pool x samples points, with replacement, as in ART. With None,
        each batch has its own points, as published, for batches / pool times the price.
      seed: seed of the points.

    Raises:
      InvalidInputError: another norm, or numbers that are not positive.
    """

    norm: float = 2
    radius: float = RADII[2]
    batches: int = 500
    samples: int = 1024
    pool: int | None = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.norm not in RADII:
            raise InvalidInputError(
                f"expected a norm out of 1, 2 and inf, got {self.norm}; take one of these"
            )
        number(self.radius, "a radius", maximum=MAX_RADIUS)
        counts = {"batches": self.batches, "samples": self.samples}
        if self.pool is not None:
            counts["pool"] = self.pool
        for name, count in counts.items():
            integer(count, name)
        integer(self.seed, "a seed", minimum=0, maximum=MAX_SEED)


PUBLISHED = Sampling(pool=None)  # Weng et al. 2018
# 160 times fewer points. For eight MNIST images (four benign, four of BIM-a), a LeNet and their
# second most likely class, drawn twelve times each, scores were off by 3 % in the median and by
# more than 9 % for one in ten, with the usual pool by 4 and 9 %; nearly all were too high. (The
# published setting drew from 46,080 points for each image, the others from parts of them.)
CHEAP = Sampling(batches=50, samples=64, pool=None)


class Maxima(NamedTuple):
    """The largest gradients of T margins, in the dual norm and per unit of the pixels.

    Attributes:
      drawn: f32[T,batches], to fit a distribution to.
      independent: f32[T,B], of points of their own each, to test the fit on. Batches that are
        drawn from a pool share points, and so maxima, and a test would reject any fit to them.
    """

    drawn: Norms
    independent: Norms


def gradient_maxima(
    classifier: Classifier,
    image: Images,
    label: int,
    classes: NDArray[np.int64],
    sampling: Sampling,
    batch_size: int,
) -> Maxima:
    """The largest gradients of an image's margins, batch by batch.

    Args:
      classifier: the classifier.
      image: f32[H,W,C], checked.
      label: the class whose lead over the others is the margin.
      classes: i64[T], those others; up to ten share a pass forward.
      sampling: the points.
      batch_size: points at once; bounds the memory, changes no maximum.

    Raises:
      UnsuitableClassifierError: a gradient is not finite.
    """
    key = stateless_random.keys(image[None], np.array([sampling.seed], np.uint32))
    radius = np.float32(sampling.radius * classifier.bounds.range)
    points = sampling.samples * (sampling.pool or sampling.batches)
    draws = np.split(np.arange(points, dtype=np.int32), range(batch_size, points, batch_size))

    def maxima(group: NDArray[np.int32]) -> Maxima:
        graph = _graph(classifier, image.shape, sampling.norm, len(group))
        found = np.concatenate([
            graph(image, np.int32(label), group, radius, key, drawn).numpy() for drawn in draws
        ], axis=1)
        if not np.isfinite(found).all():
            raise UnsuitableClassifierError(
                "expected finite gradients around the image, got NaN or infinity; use a smaller "
                "radius or a classifier that is smooth there"
            )
        own = found.reshape(len(group), -1, sampling.samples).max(axis=2)
        return Maxima(_drawn(found, sampling) if sampling.pool else own, own)

    starts = range(CLASSES_PER_PASS, len(classes), CLASSES_PER_PASS)
    groups = np.split(classes.astype(np.int32), starts)
    return Maxima._make(map(np.concatenate, zip(*map(maxima, groups))))


def _drawn(pool: Norms, sampling: Sampling) -> Norms:
    """Maxima [T,B] of batches that are drawn from a pool [T,P].

    The largest rank of n draws out of P has the distribution of P U^(1/n), rounded up.
    """
    size = pool.shape[1]
    drawn = np.random.default_rng(sampling.seed).random(sampling.batches)
    ranks = np.ceil(size * (1 - drawn) ** (1 / sampling.samples)).astype(np.int64)
    return np.sort(pool, axis=1)[:, ranks - 1]


def in_ball(uniform: tf.Tensor, norm: float) -> tf.Tensor:
    """Points f32[n,d], uniform in the unit ball, from f32[n,d+1] of `stateless_random`.

    With a density that falls as exp(-|x|^p), and an exponential number z, x / (|x|^p + z)^(1/p)
    is even over the ball (Barthe et al. 2005).
    """
    if norm == np.inf:
        return 2 * uniform[:, 1:] - 1
    exponential = -tf.math.log(uniform[:, :1])
    if norm == 2:
        # The density of these is that of p = 2, but wider.
        normal = stateless_random.to_normal(uniform[:, 1:])
        squares = tf.reduce_sum(tf.square(normal), axis=1, keepdims=True)
        return normal * tf.math.rsqrt(squares + 2 * exponential)
    signed = 2 * uniform[:, 1:] - 1
    sizes = -tf.math.log1p(-tf.abs(signed))
    return tf.sign(signed) * sizes / (tf.reduce_sum(sizes, axis=1, keepdims=True) + exponential)


def _dual_norm(gradients: tf.Tensor, norm: float) -> tf.Tensor:
    """The largest change f32[n] by a step of length 1 along gradients f32[n,H,W,C]."""
    axes = tuple(range(1, gradients.shape.rank))
    if norm == 2:
        return tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=axes))
    reduce = tf.reduce_sum if norm == np.inf else tf.reduce_max
    return reduce(tf.abs(gradients), axis=axes)


def _graph(
    classifier: Classifier, shape: tuple[int, ...], norm: float, classes: int
) -> Callable[..., Any]:
    return classifier.graph(
        (gradient_maxima, shape, norm, classes),
        functools.partial(_gradient_norms, classifier, norm),
        lambda: [
            tf.TensorSpec(shape, tf.float32), tf.TensorSpec((), tf.int32),
            tf.TensorSpec((classes,), tf.int32), tf.TensorSpec((), tf.float32),
            tf.TensorSpec((1,), tf.uint32), tf.TensorSpec((None,), tf.int32),
        ],
    )


def _gradient_norms(
    classifier: Classifier, norm: float, image: tf.Tensor, label: tf.Tensor, classes: tf.Tensor,
    radius: tf.Tensor, key: tf.Tensor, draws: tf.Tensor,
) -> tf.Tensor:
    """The norms f32[T,n] of the margins' gradients at the points that are drawn i32[n]."""
    uniform = stateless_random.uniform(key, draws, tf.size(image) + 1)
    offsets = tf.reshape(radius * in_ball(uniform, norm), (-1, *image.shape))
    points = tf.clip_by_value(image + offsets, *classifier.bounds)
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(points)
        logits = classifier(points)
    size = tf.shape(logits)
    norms: list[tf.Tensor] = []
    # One after the other, so that they need the memory of one. A TensorFlow loop takes 20 % longer
    # on a CPU, since it does not optimise convolutions inside loops.
    for other in tf.unstack(classes):
        with tf.control_dependencies(norms[-1:]):
            weights = tf.one_hot(label, size[1]) - tf.one_hot(other, size[1])
            weights = tf.broadcast_to(weights, size)
            gradients = tape.gradient(logits, points, output_gradients=weights)
            norms.append(_dual_norm(gradients, norm))
    return tf.stack(norms)
