"""JSMA: the pixels that promise the most, one per iteration as cost, two to craft."""

from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from a2d_tf.attacks.gradient import GradientAttack
from a2d_tf.attacks.loop import Examples, State, without
from a2d_tf.classifier import Classifier


@dataclass(frozen=True, kw_only=True)
class SaliencyAttack(GradientAttack):
    """What the saliency attacks share: they head for a class and stop once it is reached.

    That class is the target, or else the untouched image's second most likely one. The test
    comes before the update.
    """

    tests_before_update: ClassVar[bool] = True
    takes_targets: ClassVar[bool] = True

    def start(self, examples: Examples) -> State:
        return super().start(examples) | {
            "target": examples.targets, "changes": tf.zeros_like(examples.images),
        }

    def aim(self, state: State, logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        second = tf.argmax(without(logits, label), axis=1, output_type=tf.int32)
        return tf.where(state["target"] < 0, second, state["target"])

    def reached(self, prediction: tf.Tensor, goal: tf.Tensor) -> tf.Tensor:
        return prediction == goal


@dataclass(frozen=True, kw_only=True)
class JSMA(SaliencyAttack):
    """Jacobian-based Saliency Map Attack towards the second most likely class.

    JSMA_d in the paper (section 5.1): a single channel of a single pixel moves per iteration.
    This is not the pairwise attack of Papernot 2016 that crafts adversarial inputs.

    Attributes:
      theta: how far a pixel moves in one iteration, as a fraction of the pixel range.
      max_changes_per_pixel: after so many changes, or at a bound, a pixel is left alone.
      max_iterations: pixels changed at most.
    """

    name: ClassVar[str] = "jsma"
    theta: float
    max_changes_per_pixel: int

    def update(self, classifier: Classifier, state: State, gradient: tf.Tensor) -> State:
        images, changes = state["images"], state["changes"]
        lower, upper = classifier.bounds
        at_bound = (images <= lower) | (images >= upper)
        closed = (changes >= self.max_changes_per_pixel) | ((changes > 0) & at_bound)
        saliency = tf.where(closed, 0.0, gradient)
        # The largest saliency is zero only where no open pixel helps: then nothing moves.
        move = tf.sign(saliency) * _largest(saliency)
        # Rounded once, from double precision, as the authors' code does: which pixels stop
        # exactly at a bound, and so are closed, depends on it.
        step = self.theta * classifier.bounds.range * tf.cast(move, tf.float64)
        moved = tf.cast(tf.cast(images, tf.float64) - step, tf.float32)
        return {
            "images": tf.clip_by_value(moved, lower, upper),
            "changes": changes + tf.abs(move),
        }


@dataclass(frozen=True, kw_only=True)
class PairwiseJSMA(SaliencyAttack):
    """The saliency map attack of Papernot 2016: a pair of pixels brightens per iteration.

    Of the pixels p, q that still can, it picks the pair with the largest
    -(a_p + a_q)(b_p + b_q), where a is the derivative of the goal's probability and b the sum
    of those of all others, with a_p + a_q > 0 > b_p + b_q. Probabilities add up to one, so b is
    -a, and the best pair are the two pixels with the largest a; in that order they stand by the
    derivative of its logarithm too, which does not vanish. A channel counts as a pixel of its
    own.

    Attributes:
      theta: by how much a pixel brightens, as a fraction of the pixel range; it does so once.
      max_iterations: pairs changed at most, and the last test.
    """

    name: ClassVar[str] = "jsma-pairwise"
    theta: float

    def update(self, classifier: Classifier, state: State, gradient: tf.Tensor) -> State:
        images, changes = state["images"], state["changes"]
        closed = (changes > 0) | (images >= classifier.bounds.upper)
        never = gradient.dtype.min
        saliency = tf.where(closed, never, -gradient)
        first = _largest(saliency)
        second = _largest(tf.where(first > 0, never, saliency))
        pair = first + second
        # Fewer than two open pixels leave an infinite sum, and a pair that does not help none.
        gain = tf.reduce_sum(tf.where(pair > 0, saliency, 0.0), axis=(1, 2, 3), keepdims=True)
        move = tf.where(gain > 0, pair, 0.0)
        moved = images + self.theta * classifier.bounds.range * move
        return {
            "images": tf.minimum(moved, classifier.bounds.upper), "changes": changes + move,
        }


def _largest(values: tf.Tensor) -> tf.Tensor:
    """One at each example's largest value, the first of equals, and zero elsewhere."""
    shape = tf.shape(values)
    flat = tf.reshape(values, (shape[0], tf.reduce_prod(shape[1:])))
    return tf.reshape(tf.one_hot(tf.argmax(flat, axis=1), tf.shape(flat)[1]), shape)
