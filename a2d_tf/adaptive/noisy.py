"""A detector that measures a noisy copy of the image, so that no one knows its score exactly."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf import checks
from a2d_tf.a2d import A2D
from a2d_tf.adaptive.defences import Flagged
from a2d_tf.adaptive.goal import Goal
from a2d_tf.adaptive.score import DifferentiableScore, differentiable_score
from a2d_tf.attacks import stateless_random
from a2d_tf.classifiers import Classifier
from a2d_tf.detectors.calibration import exceeds, threshold_at
from a2d_tf.images.spec import Images

DRAWS = 8  # of the noise, over which an attacker takes the mean
SEED = 1  # of these draws; the defence has another


class Noisy:
    """A fitted detector whose score is that of the image with Gaussian noise.

    The label is that of the image itself. The threshold is set anew, on noisy benign images. The
    noise depends on the image and on the seed, which the attacker does not know.

    Args:
      a2d: the fitted detector; it stays as it is.
      deviation: standard deviation of the noise, as a fraction of the pixel range.
      benign: f32[N,H,W,C], benign images, which set the threshold.
      fpr: the false-positive rate on them, in (0, 1).
      seed: seed of the noise.

    Raises:
      InvalidInputError: a deviation that is not above 0, a rate out of range, or too few benign
        images for it.
    """

    def __init__(
        self, a2d: A2D, deviation: float, benign: Images, fpr: float, seed: int = 0
    ):
        self._a2d = a2d
        self._deviation = checks.number(deviation, "a standard deviation of noise", maximum=1)
        self._seed = seed
        found = a2d.predict(self.noisy(benign))
        self.threshold = threshold_at(found.score[found.valid], fpr)

    @property
    def classifier(self) -> Classifier:
        """The classifier under attack."""
        return self._a2d.classifier

    def noisy(self, images: Images) -> Images:
        """Images f32[N,H,W,C] with noise, within the bounds."""
        size = int(np.prod(images.shape[1:]))
        keys = stateless_random.keys(images, np.full(len(images), self._seed, np.uint32))
        drawn = stateless_random.uniform(keys, np.zeros(len(images), np.int32), size)
        normal = stateless_random.to_normal(drawn).numpy().reshape(images.shape)
        bounds = self.classifier.bounds
        moved: Images = np.clip(images + self._deviation * bounds.range * normal, *bounds)
        return moved.astype(np.float32)

    def predict(self, images: Images) -> Flagged:
        """The verdicts on images f32[N,H,W,C]."""
        found = self._a2d.predict(self.noisy(images))
        flagged: NDArray[np.bool_] = exceeds(found.score, self.threshold) | ~found.valid
        return Flagged(self.classifier.predict(images), flagged)

    def goal(self, benign: Images) -> Goal:
        """The mean score over some draws of the noise, which an attack lowers.

        Raises:
          InvalidInputError: the score has no gradient.
        """
        score = differentiable_score(self._a2d, benign)
        score.check(benign)
        return MeanScore(score, self._deviation)


class MeanScore(Goal):
    """The mean score of noisy copies: expectation over transformation (Athalye et al. 2018).

    Lower is always better, since the noise that the defence draws is another one. The draws depend
    on the image, so that they are other ones at every step of an attack.

    Args:
      score: the score.
      deviation: standard deviation of the noise, as a fraction of the pixel range.
    """

    def __init__(self, score: DifferentiableScore, deviation: float):
        self._score = score
        self._deviation = deviation

    def value(self, images: tf.Tensor, aims: tf.Tensor) -> tf.Tensor:
        bounds = self._score.state.classifier.bounds
        shape = tf.shape(images)
        pixels = tf.reduce_prod(shape[1:])
        keys = stateless_random.keys(
            tf.stop_gradient(images), tf.fill(shape[:1], tf.constant(SEED, tf.uint32))
        )
        drawn = tf.stack([
            stateless_random.to_normal(stateless_random.uniform(
                keys, tf.fill(shape[:1], draw), pixels
            )) for draw in range(DRAWS)
        ], axis=1)
        noise = tf.reshape(drawn, tf.concat([shape[:1], [DRAWS], shape[1:]], axis=0))
        copies = images[:, None] + self._deviation * bounds.range * tf.stop_gradient(noise)
        flat = tf.reshape(
            tf.clip_by_value(copies, *bounds), tf.concat([[-1], shape[1:]], axis=0)
        )
        flat = tf.ensure_shape(flat, (None, *images.shape[1:]))
        return tf.reduce_mean(tf.reshape(self._score(flat), (-1, DRAWS)), axis=1)

    def __repr__(self) -> str:
        return f"MeanScore({self._score!r}, {self._deviation:g})"
