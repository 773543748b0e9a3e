"""Projected gradient steps within a ball, with restarts: what several threats share."""

import abc
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf import checks
from a2d_tf.attacks import BIM, BIM2, stateless_random
from a2d_tf.attacks.runner import MAX_SEED, OnFinished
from a2d_tf.classifiers import Classifier
from a2d_tf.classifiers.margins import without
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Images, Labels
from a2d_tf.threats.base import Threat

NORMS = ("linf", "l2")
# Madry 2018, appendix: so many radii in all, so that the ball's surface is reached and followed.
RADII = 2.5


class Look(NamedTuple):
    """What a threat finds at n images.

    Attributes:
      direction: f32[n,H,W,C], the gradient to follow.
      rank: i32[n], what the image achieves; an image of a higher rank is better.
      value: f32[n]; of two images of equal rank, the one with the higher value is better.
    """

    direction: tf.Tensor
    rank: tf.Tensor
    value: tf.Tensor


@dataclass(frozen=True, kw_only=True)
class ProjectedThreat(Threat):
    """Steps of fixed length along a gradient, projected into a ball; the best image is kept.

    Neither the batch nor the place in it changes an image's random start. More restarts never give
    a worse image, apart from rounding.

    Attributes:
      eps: radius of the ball: in L-infinity as a fraction of the pixel range, in L2 the Euclidean
        length of the perturbation in units of the pixel range (`Bounds.scale`, if channels have
        ranges of their own).
      steps: steps of each start.
      step: length of a step, in the units of eps; None for 2.5 eps / steps.
      norm: "linf" or "l2".
      restarts: how often the steps begin anew.
      random_start: whether the first start is at a random place of the ball too, as the others.
      seed: seed of the random starts.
    """

    batch_size: ClassVar[int] = 128
    # Once an image has this rank, no other image is better.
    top_rank: ClassVar[float] = math.inf
    eps: float
    steps: int = 40
    step: float | None = None
    norm: str = "linf"
    restarts: int = 1
    random_start: bool = True
    seed: int = field(default=0, metadata={"minimum": 0, "maximum": MAX_SEED})

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if self.norm not in NORMS:
            raise InvalidInputError(
                f"expected {name}'s norm out of {', '.join(NORMS)}, got {self.norm!r}"
                "; take one of these"
            )
        limit = 1 if self.norm == "linf" else None
        checks.number(self.eps, f"{name}'s eps", maximum=limit)
        if self.step is not None:
            checks.number(self.step, f"{name}'s step")

    @abc.abstractmethod
    def look(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor, aims: tf.Tensor
    ) -> Look:
        """What the threat finds at images, by TensorFlow operations; no row changes another.

        Args:
          classifier: the classifier to attack.
          images: f32[n,H,W,C].
          labels: i32[n], their true labels.
          aims: f64[n,A], what `aims` gave for them.
        """

    @property
    def look_key(self) -> tuple[Any, ...]:
        """The class, and the settings that `look` makes use of: its graph is traced once for each.

        A subclass whose `look` has settings of its own adds them.
        """
        return (type(self),)

    def aims(self, classifier: Classifier, images: Images, labels: Labels) -> NDArray[np.float64]:
        """What the threat aims at for each image, f64[n,A]; nothing by default."""
        return np.zeros((len(images), 0))

    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        parts = [images[:0]]
        for start in range(0, len(images), self.batch_size):
            part = slice(start, start + self.batch_size)
            parts.append(self._perturb_batch(classifier, images[part], labels[part]))
            on_finished(len(images[part]))
        return np.concatenate(parts)

    def _perturb_batch(self, classifier: Classifier, images: Images, labels: Labels) -> Images:
        truth = labels.astype(np.int32)
        aims = np.asarray(self.aims(classifier, images, labels), np.float64)
        look = self._look_graph(classifier, images.shape[1:], aims.shape[1])
        rule = self._rule(images[0].size)
        best = np.array(images)
        rank = np.full(len(images), -1, np.int32)
        value = np.full(len(images), -np.inf, np.float32)
        rows = np.arange(len(images))  # the images that may still become better
        for restart in range(self.restarts):
            current = self._start(classifier, images[rows], labels[rows], restart)
            for step in range(self.steps + 1):
                found = look(current, truth[rows], aims[rows])
                ranks, values = found.rank.numpy(), found.value.numpy()
                values = np.where(np.isnan(values), -np.inf, values)
                better = (ranks > rank[rows]) | (ranks == rank[rows]) & (values > value[rows])
                best[rows[better]] = current.numpy()[better]
                rank[rows[better]], value[rows[better]] = ranks[better], values[better]
                open_rows = rank[rows] < self.top_rank
                if not open_rows.any():
                    return best
                if step < self.steps:
                    # An infinite or undefined slope says nothing.
                    slope = tf.where(tf.math.is_finite(found.direction), found.direction, 0.0)
                    current = rule.move(
                        classifier, {"images": current, "original": tf.constant(images[rows])},
                        rule.direction(slope),
                    )
                rows, current = rows[open_rows], tf.boolean_mask(current, open_rows)
        return best

    def _look_graph(
        self, classifier: Classifier, shape: tuple[int, ...], width: int
    ) -> Any:
        return classifier.graph(
            ("projected", self.look_key, shape, width),
            lambda images, labels, aims: self.look(classifier, images, labels, aims),
            lambda: [
                tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.int32),
                tf.TensorSpec((None, width), tf.float64),
            ],
        )

    def _rule(self, pixels: int) -> BIM:
        """How a step moves and is projected: as those of `BIM`, and of `BIM2` in L2."""
        step = self.step if self.step is not None else RADII * self.eps / self.steps
        if self.norm == "linf":
            return BIM(eps=self.eps, step=min(step, 1.0), max_iterations=self.steps)
        rms = 1 / math.sqrt(pixels)  # of a perturbation of length 1
        return BIM2(
            eps=min(self.eps * rms, 1.0), step=min(step * rms, 1.0), max_iterations=self.steps
        )

    def _start(
        self, classifier: Classifier, images: Images, labels: Labels, restart: int
    ) -> tf.Tensor:
        """Images f32[n,H,W,C] at which the steps begin: uniform in the ball, within the bounds."""
        original = tf.constant(images)
        if restart == 0 and not self.random_start:
            return original
        count, *shape = images.shape
        pixels = math.prod(shape)
        keys = stateless_random.keys(original, tf.fill((count,), np.uint32(self.seed)))
        draw = tf.fill((count,), restart)
        drawn = stateless_random.uniform(keys, draw, pixels + 1)
        numbers, radius = drawn[:, :-1], drawn[:, -1:]
        if self.norm == "linf":
            offset, length = 2 * numbers - 1, self.eps * classifier.bounds.range
        else:
            length = self.eps * classifier.bounds.scale
            normal = stateless_random.to_normal(numbers)
            offset = normal / tf.norm(normal, axis=1, keepdims=True) * radius**(1 / pixels)
        moved = original + length * tf.reshape(offset, images.shape)
        return tf.clip_by_value(moved, *classifier.bounds)


def lead(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """By how much f32[n] the best other class leads the labels i32[n]; misclassified if > 0."""
    own = tf.gather(logits, labels, batch_dims=1)
    return tf.reduce_max(without(logits, labels), axis=1) - own


def is_misclassified(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Which images bool[n] of these logits the classifier gets wrong."""
    return tf.argmax(logits, axis=1, output_type=tf.int32) != labels
