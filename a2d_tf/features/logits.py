"""Features of the logits alone, from one forward pass: the simplest baselines of a cost."""

import abc
from dataclasses import dataclass
from typing import ClassVar, Literal

import tensorflow as tf

from a2d_tf.classifiers import Classifier
from a2d_tf.features.base import Feature


@dataclass(frozen=True, kw_only=True)
class LogitsFeature(Feature):
    """One column that is computed from the logits.

    An exported detector computes it from the logits that give the label, without another pass.
    """

    needs_gradients: ClassVar[bool] = False
    passes: ClassVar[tuple[int, int]] = (1, 0)

    @abc.abstractmethod
    def from_logits(self, logits: tf.Tensor) -> tf.Tensor:
        """The column [n,1] of logits f32[n,K]."""

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        return self.from_logits(classifier(images))


@dataclass(frozen=True, kw_only=True)
class Margin(LogitsFeature):
    """The difference of the two largest logits. Adversarial inputs lie near a boundary: it is low.

    It takes one forward pass and no attack, and so is the simplest baseline of a cost. Not in the
    paper.
    """

    name: ClassVar[str] = "margin"
    description: ClassVar[str] = "difference of the two largest logits"

    def from_logits(self, logits: tf.Tensor) -> tf.Tensor:
        best = tf.math.top_k(logits, 2).values
        return best[:, :1] - best[:, 1:]


@dataclass(frozen=True, kw_only=True)
class MSP(LogitsFeature):
    """The maximum softmax probability p (Hendrycks and Gimpel 2017, arXiv 1610.02136), as 1 - p.

    The order of images is the published one. The probability that is left to the other classes
    keeps its digits in single precision, where p would be 1 for all images of which a classifier
    is nearly certain.
    """

    name: ClassVar[str] = "msp"
    description: ClassVar[str] = "1 - maximum softmax probability (Hendrycks 2017)"
    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "high"

    def from_logits(self, logits: tf.Tensor) -> tf.Tensor:
        log_p = tf.nn.log_softmax(tf.cast(logits, tf.float64))
        return -tf.math.expm1(tf.reduce_max(log_p, axis=1, keepdims=True))

    def column_names(self, name: str, width: int) -> list[str]:
        return [f"{name}_complement"]


@dataclass(frozen=True, kw_only=True)
class Entropy(LogitsFeature):
    """The entropy of the softmax probabilities, in nats: -sum of p log p over the classes."""

    name: ClassVar[str] = "entropy"
    description: ClassVar[str] = "entropy of the class probabilities"
    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "high"

    def from_logits(self, logits: tf.Tensor) -> tf.Tensor:
        log_p = tf.nn.log_softmax(tf.cast(logits, tf.float64))
        return -tf.reduce_sum(tf.exp(log_p) * log_p, axis=1, keepdims=True)


@dataclass(frozen=True, kw_only=True)
class Energy(LogitsFeature):
    """The energy -logsumexp(logits), at temperature 1 (Liu et al. 2020, arXiv 2010.03759).

    It is high for inputs unlike those of the training. A classifier that gives probabilities alone
    has the energy 0 everywhere.
    """

    name: ClassVar[str] = "energy"
    description: ClassVar[str] = "energy, -logsumexp of the logits (Liu 2020)"
    adversarial_is: ClassVar[Literal["low", "high", "either"]] = "high"

    def from_logits(self, logits: tf.Tensor) -> tf.Tensor:
        return -tf.reduce_logsumexp(logits, axis=1, keepdims=True)
