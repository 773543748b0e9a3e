"""What an attack wants besides a wrong label."""

import abc
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Images, Labels

COMPARED = 64  # benign images at which goals are compared
LOGIT_SLACK = 1e-3  # since the logits of an image differ a little from batch to batch


class Goal(abc.ABC):
    """A number that the attack lowers once an image is misclassified.

    It is compared by identity, and the graph of an attack is traced once for each. Results of
    attacks are kept by its `repr`, which names all that it depends on besides the defence.
    """

    @abc.abstractmethod
    def __repr__(self) -> str: ...

    @property
    def enough(self) -> float:
        """The value at or below which the goal is reached; -inf if lower is always better."""
        return -math.inf

    def aims(self, images: Images, labels: Labels) -> NDArray[np.float64]:
        """What is aimed at for each image, f64[n,A]; nothing by default."""
        return np.zeros((len(images), 0))

    @abc.abstractmethod
    def value(self, images: tf.Tensor, aims: tf.Tensor) -> tf.Tensor:
        """The number f32[n] to lower at images f32[n,H,W,C], differentiable, by row."""


class Excess(Goal):
    """By how much several goals exceed what is enough for each, as a sum.

    Each is divided by the standard deviation of its values at benign images, so that they compare.
    The sum has the gradients of all goals that are not reached, where the highest alone would pull
    to and fro between them.

    Args:
      goals: the goals, of the same classifier.
      benign: f32[N,H,W,C], benign images.

    Raises:
      InvalidInputError: a goal of which lower is always better.
    """

    def __init__(self, goals: Sequence[Goal], benign: Images):
        if endless := [goal for goal in goals if not np.isfinite(goal.enough)]:
            raise InvalidInputError(
                f"expected goals that can be reached, got {endless[0]!r}; leave it out"
            )
        self._goals = list(goals)
        some = tf.constant(benign[:COMPARED])
        self._spreads = []
        for goal in goals:
            values = goal.value(some, tf.zeros((len(some), 0))).numpy()
            spread = float(np.std(values[np.isfinite(values)]))
            self._spreads.append(spread if spread > 0 else 1.0)

    @property
    def enough(self) -> float:
        return 0.0

    def value(self, images: tf.Tensor, aims: tf.Tensor) -> tf.Tensor:
        return tf.add_n([
            tf.nn.relu((tf.cast(goal.value(images, aims), tf.float32) - goal.enough) / spread)
            for goal, spread in zip(self._goals, self._spreads, strict=True)
        ])

    def __repr__(self) -> str:
        return f"Excess({self._goals!r})"


def own_labels(classifier: Classifier, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The labels i32[n] of images f32[n,H,W,C], and for which of them there is one, bool[n].

    The label is 0 where the logits are not finite. Such an image is invalid, and reaches no goal.
    """
    decided = classifier.decide(images)
    return tf.maximum(decided, 0), decided >= 0
