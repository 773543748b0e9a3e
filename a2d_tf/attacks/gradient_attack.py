"""What attacks that follow a gradient share: their step, and when it ends."""

import abc
from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.loop import Examples, State, are_finite, has_direction, per_image, pixel_axes
from a2d_tf.classifiers import Classifier
from a2d_tf.classifiers.margins import loss_to_climb
from a2d_tf.images.spec import Bounds


@dataclass(frozen=True, kw_only=True)
class GradientAttack(Attack):
    """One forward and one backward pass per iteration and example.

    The forward pass that tests an image for success also yields the gradient of the next
    iteration. A subclass says which class is in its loss (`loss_class`), when the attack has
    succeeded (`is_success`) and how it moves (`update`).

    Attacks go by the direction of the gradient of `margins.loss_to_climb`, and not by its length.
    """

    # The cost counts the iterations before the one whose test succeeds. An attack that tests
    # before its update also tests the original image.
    tests_before_update: ClassVar[bool] = False

    @abc.abstractmethod
    def loss_class(self, state: State, logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        """The class i32[n] whose cross-entropy is followed, from the original images' logits."""

    @abc.abstractmethod
    def is_success(self, prediction: tf.Tensor, loss_class: tf.Tensor) -> tf.Tensor:
        """Success bool[n] of images that are predicted as `prediction` i32[n]."""

    @abc.abstractmethod
    def update(self, classifier: Classifier, state: State, gradient: tf.Tensor) -> State:
        """The parts of the state that one step along the gradient [n,H,W,C] changes."""

    def start(self, examples: Examples) -> State:
        return {
            "images": examples.images, "original": examples.images, "label": examples.labels,
            "loss_class": examples.labels,
        }

    def advance(self, classifier: Classifier, state: State) -> State:
        steps = state["queries"] - 1
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state["images"])
            logits = classifier(state["images"])
            prediction = tf.argmax(logits, axis=1, output_type=tf.int32)
            label = tf.where(state["label"] < 0, prediction, state["label"])
            loss_class = tf.where(
                steps == 0, self.loss_class(state, logits, label), state["loss_class"]
            )
            # Per example: a mean over the batch would tie the examples to one another.
            loss = loss_to_climb(logits, loss_class)
        gradient = tape.gradient(loss, state["images"])
        is_success = self.is_success(prediction, loss_class)
        # On the way a gradient may vanish: the attack has failed there, and its cost is known.
        followed = has_direction(gradient) | (steps > 0) & are_finite(gradient)
        state = state | {
            "label": label, "loss_class": loss_class, "gradients": state["queries"],
            "valid": state["valid"] & are_finite(logits) & (followed | is_success),
        }
        moved = self.update(classifier, state, gradient)
        cost = steps - (0 if self.tests_before_update else 1)
        return finish_step(state, moved, cost, is_success)


def finish_step(state: State, moved: State, cost: tf.Tensor, is_success: tf.Tensor) -> State:
    """The state after a test: rows that go on move, and the others report their cost.

    Args:
      state: the state whose images were tested.
      moved: the parts of the state that a step changes.
      cost: i32[n], the cost of a success at this test; negative where it does not count yet.
      is_success: bool[n], the result of the test.
    """
    success = is_success & (cost >= 0)
    # An update that changes nothing now will never change anything: the cost is the maximum.
    finished = success | (cost >= state["max_cost"] - 1) | _unchanged(state, moved)
    return state | moved | {
        "images": tf.where(per_image(finished, state["images"]), state["images"], moved["images"]),
        "cost": tf.where(success, cost, state["max_cost"]),
        "success": success,
        "finished": finished,
    }


def movable_mask(images: tf.Tensor, gradient: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    """1 for pixels that can move against the gradient, 0 for those that a bound stops."""
    stopped = (images <= bounds.lower) & (gradient > 0) | (images >= bounds.upper) & (gradient < 0)
    return tf.where(stopped, 0.0, 1.0)


def _unchanged(state: State, moved: State) -> tf.Tensor:
    same = [
        tf.reduce_all(moved[name] == state[name], axis=pixel_axes(state[name])) for name in moved
    ]
    return tf.reduce_all(tf.stack(same), axis=0)
