"""What an attack wants besides a wrong label."""

import abc
import math

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf.images.spec import Images, Labels


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
