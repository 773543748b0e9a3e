"""JSMA as a cost attack: one pixel per iteration, the one that promises the most."""

from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from a2d_tf.attacks.gradient import GradientAttack
from a2d_tf.attacks.loop import State
from a2d_tf.classifier import Classifier


@dataclass(frozen=True, kw_only=True)
class JSMA(GradientAttack):
    """Jacobian-based Saliency Map Attack towards the second most likely class.

    JSMA_d in the paper (section 5.1): a single channel of a single pixel moves per iteration.
    This is not the pairwise attack of Papernot 2016 that crafts adversarial inputs.

    Attributes:
      theta: how far a pixel moves in one iteration, as a fraction of the pixel range.
      max_changes_per_pixel: after so many changes, or at a bound, a pixel is left alone.
      max_iterations: pixels changed at most.
    """

    name: ClassVar[str] = "jsma"
    tests_before_update: ClassVar[bool] = True
    theta: float
    max_changes_per_pixel: int

    def start(self, images: tf.Tensor, labels: tf.Tensor) -> State:
        return super().start(images, labels) | {"changes": tf.zeros_like(images)}

    def aim(self, logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        left = tf.one_hot(label, tf.shape(logits)[1], on_value=True, off_value=False)
        others = tf.where(left, logits.dtype.min, logits)
        return tf.argmax(others, axis=1, output_type=tf.int32)

    def reached(self, prediction: tf.Tensor, goal: tf.Tensor) -> tf.Tensor:
        return prediction == goal

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


def _largest(values: tf.Tensor) -> tf.Tensor:
    """One at each example's largest value, the first of equals, and zero elsewhere."""
    shape = tf.shape(values)
    flat = tf.reshape(values, (shape[0], tf.reduce_prod(shape[1:])))
    return tf.reshape(tf.one_hot(tf.argmax(flat, axis=1), tf.shape(flat)[1]), shape)
