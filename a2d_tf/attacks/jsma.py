"""JSMA's update rules: the most salient pixel per iteration as a cost, a pair to craft threats."""

from dataclasses import dataclass, field
from typing import ClassVar

import tensorflow as tf

from a2d_tf.attacks.gradient_attack import GradientAttack
from a2d_tf.attacks.loop import Examples, State, pixel_axes
from a2d_tf.classifiers import Classifier
from a2d_tf.classifiers.margins import without


@dataclass(frozen=True, kw_only=True)
class SaliencyAttack(GradientAttack):
    """What both saliency attacks share: they stop once their target class is reached.

    The target class is given, or is the second most likely class of the original image. The test
    comes before the update.
    """

    tests_before_update: ClassVar[bool] = True
    takes_targets: ClassVar[bool] = True

    def start(self, examples: Examples) -> State:
        return super().start(examples) | {
            "target": examples.targets, "changes": tf.zeros_like(examples.images),
        }

    def loss_class(self, state: State, logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        second = tf.argmax(without(logits, label), axis=1, output_type=tf.int32)
        return tf.where(state["target"] < 0, second, state["target"])

    def is_success(self, prediction: tf.Tensor, loss_class: tf.Tensor) -> tf.Tensor:
        return prediction == loss_class


@dataclass(frozen=True, kw_only=True)
class JSMA(SaliencyAttack):
    """Jacobian-based Saliency Map Attack towards the second most likely class.

    JSMA_d in the paper (section 5.1): one channel of one pixel moves per iteration. This is not
    the pairwise attack of Papernot 2016 that crafts adversarial inputs. The defaults are the
    settings of the authors.

    Attributes:
      theta: how far a pixel moves in one iteration, as a fraction of the pixel range.
      max_changes_per_pixel: a pixel is not changed again after so many changes, or at a bound.
      max_iterations: the largest number of changes.
    """

    name: ClassVar[str] = "jsma"
    theta: float = field(default=0.1, metadata={"maximum": 1})
    max_changes_per_pixel: int = 7
    max_iterations: int = 2000

    def update(self, classifier: Classifier, state: State, gradient: tf.Tensor) -> State:
        images, changes = state["images"], state["changes"]
        lower, upper = classifier.bounds
        at_bound = (images <= lower) | (images >= upper)
        closed = (changes >= self.max_changes_per_pixel) | ((changes > 0) & at_bound)
        saliency = tf.where(closed, 0.0, gradient)
        # The largest saliency is zero only where no open pixel helps: then nothing moves.
        move = tf.sign(saliency) * _largest(saliency)
        # Rounded once, from double precision, as in the authors' code. Which pixels stop exactly
        # at a bound, and are closed there, depends on it.
        step = self.theta * classifier.bounds.range * tf.cast(move, tf.float64)
        moved = tf.cast(tf.cast(images, tf.float64) - step, tf.float32)
        return {
            "images": tf.clip_by_value(moved, lower, upper),
            "changes": changes + tf.abs(move),
        }


@dataclass(frozen=True, kw_only=True)
class PairwiseJSMA(SaliencyAttack):
    """The saliency map attack of Papernot 2016: a pair of pixels brightens per iteration.

    Of the pixels p, q that can still change, it picks the pair with the largest
    -(a_p + a_q)(b_p + b_q), where a is the derivative of the target's probability and b the sum
    of the derivatives of all others, with a_p + a_q > 0 > b_p + b_q. Probabilities add up to one,
    so b is -a, and the best pair are the two pixels with the largest a. The derivative of the
    logarithm of the probability has the same order, and does not vanish. A channel counts as a
    pixel of its own.

    Attributes:
      theta: by how much a pixel brightens, once, as a fraction of the pixel range.
      max_iterations: the largest number of pairs, plus the last test.
    """

    name: ClassVar[str] = "jsma-pairwise"
    theta: float = field(default=1.0, metadata={"maximum": 1})

    def update(self, classifier: Classifier, state: State, gradient: tf.Tensor) -> State:
        images, changes = state["images"], state["changes"]
        closed = (changes > 0) | (images >= classifier.bounds.upper)
        never = gradient.dtype.min
        saliency = tf.where(closed, never, -gradient)
        first = _largest(saliency)
        second = _largest(tf.where(first > 0, never, saliency))
        pair = first + second
        # The sum is infinite if fewer than two pixels are open, and not positive if no pair helps.
        helped = tf.where(pair > 0, saliency, 0.0)
        gain = tf.reduce_sum(helped, axis=pixel_axes(helped), keepdims=True)
        move = tf.where(gain > 0, pair, 0.0)
        moved = images + self.theta * classifier.bounds.range * move
        return {
            "images": tf.minimum(moved, classifier.bounds.upper), "changes": changes + move,
        }


def _largest(values: tf.Tensor) -> tf.Tensor:
    """1 at the largest value of each example, the first among equals, and 0 elsewhere."""
    shape = tf.shape(values)
    flat = tf.reshape(values, (shape[0], tf.reduce_prod(shape[1:])))
    return tf.reshape(tf.one_hot(tf.argmax(flat, axis=1), tf.shape(flat)[1]), shape)
