"""Carlini and Wagner's update rule in L2: the nearest adversarial image by gradient descent."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import tensorflow as tf

from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.loop import (
    Examples,
    State,
    are_finite,
    choose,
    has_direction,
    per_image,
    pixel_axes,
)
from a2d_tf.classifiers import Classifier
from a2d_tf.classifiers.margins import without
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Bounds

# Carlini 2017, section VI, and the settings of its published code.
ALMOST_ONE = 0.999999  # keeps pixels at a bound within reach of the hyperbolic tangent
NO_LIMIT = 1e10
GROWTH = 10.0  # factor of a constant that was too small so far
CHECKS = 10  # how often a descent is tested for progress
PROGRESS = 0.9999
ADAM_FIRST, ADAM_SECOND, ADAM_EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True, kw_only=True)
class CarliniWagner(Attack):
    """Minimises squared distance + constant x margin, and searches the constant by bisection.

    Every example has its own constant and its own optimizer (Adam). Its descent stops as soon as
    the loss no longer falls, and its attack stops after `binary_search_steps` constants. Distances
    are in units of the pixel range. The cost is the number of descent steps before the last.

    Attributes:
      confidence: logits by which the adversarial class must lead (kappa); with 0, any
        misclassified image will do.
      initial_const: the first constant.
      step: Adam's step size, in the argument of the hyperbolic tangent.
      binary_search_steps: the number of constants.
      max_iterations: the largest number of descent steps, of all constants together.
    """

    name: ClassVar[str] = "cw"
    takes_targets: ClassVar[bool] = True
    stops_early: ClassVar[bool] = False
    confidence: float = field(default=0.0, metadata={"minimum": 0})
    initial_const: float = 1e-3
    step: float = 0.01
    binary_search_steps: int = 9
    max_iterations: int = 9000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_iterations < self.binary_search_steps:
            raise InvalidInputError(
                f"expected at least one iteration for each of {self.binary_search_steps} "
                f"constants, got max_iterations = {self.max_iterations}; raise max_iterations"
            )

    @property
    def steps_per_constant(self) -> int:
        """The largest number of descent steps of one constant."""
        return self.max_iterations // self.binary_search_steps

    def start(self, examples: Examples) -> State:
        zero = tf.zeros_like(examples.labels)
        number = tf.zeros_like(zero, tf.float32)
        return {
            "images": examples.images,
            "original": examples.images,
            "label": examples.labels,
            "target": examples.targets,
            "constants": zero,
            "const": number + self.initial_const,
            "lower": number,
            "upper": number + NO_LIMIT,
            "best": number + np.inf,
            **_fresh_descent(examples.images),
        }

    def advance(self, classifier: Classifier, state: State) -> State:
        origin = _to_tangent(state["original"], classifier.bounds)
        point = origin + state["offset"]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            images = _to_pixels(point, classifier.bounds)
            queried = tf.identity(images)  # its gradient is that of the logits alone
            logits = classifier(queried)
            prediction = tf.argmax(logits, axis=1, output_type=tf.int32)
            label = tf.where(state["label"] < 0, prediction, state["label"])
            lead = _lead(logits, label, state["target"])
            away = (images - state["original"]) / classifier.bounds.range
            distance = tf.reduce_sum(tf.square(away), axis=pixel_axes(away))
            missing = tf.maximum(self.confidence - lead, 0.0)
            loss = distance + state["const"] * missing
        gradient, slope = tape.gradient(loss, [point, queried])
        is_first = state["queries"] == 1

        adversarial = tf.where(
            state["target"] < 0, prediction != label, prediction == state["target"]
        ) & (lead >= self.confidence)
        nearer = adversarial & (distance < state["best"])
        followed = has_direction(slope) | (adversarial | ~is_first) & are_finite(slope)
        state = state | {
            "valid": state["valid"] & are_finite(logits) & followed,
            "label": label,
            "images": tf.where(per_image(nearer, images), images, state["images"]),
            "best": tf.where(nearer, distance, state["best"]),
            "found": state["found"] | adversarial,
        }
        descended = self._descended(state, gradient)
        steps = descended["steps"]
        checked = steps % max(self.steps_per_constant // CHECKS, 1) == 0
        stuck = checked & (loss > PROGRESS * state["loss"])
        descended["loss"] = tf.where(checked, loss, state["loss"])
        ended = stuck | (steps == self.steps_per_constant)
        return self._stop_state(choose(ended, self._next_constant(state), descended))

    def _descended(self, state: State, gradient: tf.Tensor) -> State:
        """One step of Adam, with a step count for each example."""
        steps = state["steps"] + 1
        count = tf.cast(steps, tf.float32)
        first = ADAM_FIRST * state["first"] + (1 - ADAM_FIRST) * gradient
        second = ADAM_SECOND * state["second"] + (1 - ADAM_SECOND) * tf.square(gradient)
        mean = first / per_image(1 - ADAM_FIRST**count, gradient)
        deviation = tf.sqrt(second / per_image(1 - ADAM_SECOND**count, gradient))
        offset = state["offset"] - self.step * mean / (deviation + ADAM_EPSILON)
        return state | {"offset": offset, "first": first, "second": second, "steps": steps}

    def _next_constant(self, state: State) -> State:
        """A new descent, with a smaller constant if this one was enough, or else a larger one."""
        const, found = state["const"], state["found"]
        upper = tf.where(found, tf.minimum(state["upper"], const), state["upper"])
        lower = tf.where(found, state["lower"], tf.maximum(state["lower"], const))
        middle = (lower + upper) / 2
        return state | {
            "constants": state["constants"] + 1,
            "upper": upper,
            "lower": lower,
            "const": tf.where(upper < NO_LIMIT, middle, const * GROWTH),
            **_fresh_descent(state["images"]),
        }

    def _stop_state(self, state: State) -> State:
        success = state["best"] < np.inf
        return state | {
            "success": success,
            "cost": tf.where(success, state["queries"] - 1, self.max_iterations),
            "finished": state["constants"] == self.binary_search_steps,
            "gradients": state["queries"],
        }


def _fresh_descent(images: tf.Tensor) -> State:
    """The state of a descent before its first step, at the original image."""
    rows = tf.shape(images)[:1]
    return {
        "offset": tf.zeros_like(images),
        "first": tf.zeros_like(images),
        "second": tf.zeros_like(images),
        "steps": tf.zeros(rows, tf.int32),
        "loss": tf.fill(rows, np.float32(np.inf)),
        "found": tf.zeros(rows, tf.bool),
    }


def _lead(logits: tf.Tensor, label: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """By how much f32[n] the target leads all others, or the best other class leads the label."""
    wins = tf.where(target < 0, label, target)
    of_one = tf.gather(logits, wins, batch_dims=1)
    of_others = tf.reduce_max(without(logits, wins), axis=1)
    return tf.where(target < 0, of_others - of_one, of_one - of_others)


def _to_tangent(images: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    middle = (bounds.lower + bounds.upper) / 2
    return tf.atanh((images - middle) / (bounds.range / 2) * ALMOST_ONE)


def _to_pixels(point: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    middle = (bounds.lower + bounds.upper) / 2
    return tf.clip_by_value(middle + tf.tanh(point) / ALMOST_ONE * (bounds.range / 2), *bounds)
