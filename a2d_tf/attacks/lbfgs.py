"""L-BFGS's update rule: a quasi-Newton step towards another class, within the pixel range."""

from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.gradient_attack import movable_mask
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
from a2d_tf.images.spec import Bounds

MAX_CONSTANTS = 30  # as in Foolbox 1.8
MEMORY = 10  # steps from which the curvature is estimated
# A step must gain this share of what its gradient predicts. Otherwise it is halved, down to
# MIN_STEP times its first length.
ARMIJO = 1e-4
MIN_STEP = 2.0**-10
# A descent ends if the next step is predicted to gain at most this share of the whole gain.
TOLERANCE = 1e-2


@dataclass(frozen=True, kw_only=True)
class LBFGS(Attack):
    """Minimises mean squared distance + constant x cross-entropy of the target class.

    L-BFGS_d in the paper (section 5.1; Szegedy 2014, Tabacof 2016), towards the target or the
    second most likely class. Each constant starts at the original image and is twice the last one.
    The attack stops at the first image of the target class, and does not search a constant by
    bisection. An iteration is a step that was taken, of all constants together; a step that was
    tried and halved is a query only. Distances are in units of the pixel range. The constants are
    those of Foolbox 1.8, where SciPy decides when a descent ends; here it is `TOLERANCE`.

    Attributes:
      initial_const: the first constant.
      steps_per_constant: the largest number of steps before the next constant.
      max_iterations: the largest number of steps, of all constants together.
    """

    name: ClassVar[str] = "lbfgs"
    takes_targets: ClassVar[bool] = True
    initial_const: float = 2e-5
    steps_per_constant: int = 150
    max_iterations: int = 4500

    def start(self, examples: Examples) -> State:
        images, zero = examples.images, tf.zeros_like(examples.labels)
        number, nothing = tf.zeros_like(zero, tf.float32), tf.zeros_like(examples.images)
        return {
            "images": images,
            "original": images,
            "label": examples.labels,
            "target": examples.targets,
            # Cross-entropy of the original image, and its gradient.
            "entropy": number,
            "slope": nothing,
            "const": number + self.initial_const,
            "iterations": zero,
            "loss": number,
            "gradient": nothing,
            **_no_steps(images),
        }

    def advance(self, classifier: Classifier, state: State) -> State:
        bounds, is_first = classifier.bounds, state["queries"] == 1
        direction = _direction(state, bounds)
        predicted = _dot(-state["gradient"], direction)
        ended = ~is_first & (
            (predicted <= TOLERANCE * state["gained"])
            | (state["steps"] == self.steps_per_constant)
            | (state["length"] < MIN_STEP)
        )
        state = choose(ended, _next_constant(state), state)
        direction = tf.where(per_image(ended, direction), _direction(state, bounds), direction)
        move = bounds.range * per_image(state["length"], direction) * direction
        queried = tf.clip_by_value(state["images"] + move, *bounds)

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(queried)
            logits = classifier(queried)
            prediction = tf.argmax(logits, axis=1, output_type=tf.int32)
            label = tf.where(state["label"] < 0, prediction, state["label"])
            second = tf.argmax(without(logits, label), axis=1, output_type=tf.int32)
            target = tf.where(state["target"] < 0, second, state["target"])
            entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
        slope = bounds.range * tape.gradient(entropy, queried)
        followed = has_direction(slope) | ~is_first & are_finite(slope)
        state = state | {
            "valid": state["valid"] & are_finite(logits) & (followed | (prediction == target)),
            "label": label,
            "target": target,
            "entropy": tf.where(is_first, entropy, state["entropy"]),
            "slope": tf.where(per_image(is_first, slope), slope, state["slope"]),
        }
        away = (queried - state["original"]) / bounds.range
        squares = tf.square(away)
        loss = tf.reduce_mean(squares, axis=pixel_axes(away)) + state["const"] * entropy
        gradient = 2 * away / _pixels(away) + per_image(state["const"], slope) * slope
        stepped = _after_step(state, queried, loss, gradient, bounds)
        needed = state["loss"] + ARMIJO * _dot(state["gradient"], stepped["moves"][:, 0])
        following = choose(loss <= needed, stepped, state | {"length": state["length"] / 2})
        original = state | {"loss": loss, "gradient": gradient}
        following = choose(is_first, original, following)
        return self._stop_state(state, following, queried, prediction)

    def _stop_state(
        self, state: State, following: State, queried: tf.Tensor, prediction: tf.Tensor
    ) -> State:
        cost = state["iterations"]
        over = state["const"] >= self.initial_const * 2.0**MAX_CONSTANTS
        success = (prediction == state["target"]) & (cost < state["max_cost"]) & ~over
        last = over | (following["iterations"] >= state["max_cost"])
        return following | {
            "images": tf.where(per_image(success, queried), queried, following["images"]),
            "cost": tf.where(success, cost, state["max_cost"]),
            "success": success,
            "finished": success | last,
            "gradients": state["queries"],
        }


def _next_constant(state: State) -> State:
    """A new descent from the original image, whose loss and gradient are known."""
    const = 2 * state["const"]
    return state | {
        "images": state["original"],
        "const": const,
        "loss": const * state["entropy"],
        "gradient": per_image(const, state["slope"]) * state["slope"],
        **_no_steps(state["original"]),
    }


def _no_steps(images: tf.Tensor) -> State:
    """The state of a descent before its first step."""
    count = tf.shape(images)[0]
    memory = tf.repeat(tf.zeros_like(images)[:, None], MEMORY, axis=1)
    return {
        "steps": tf.zeros(count, tf.int32),
        "gained": tf.zeros(count),
        "length": tf.ones(count),  # of the next step, relative to the quasi-Newton step
        "moves": memory,  # the last steps, the latest first
        "turns": memory,  # the changes of the gradient in these steps
    }


def _after_step(
    state: State, images: tf.Tensor, loss: tf.Tensor, gradient: tf.Tensor, bounds: Bounds
) -> State:
    """The state after the step to these images f32[n,H,W,C]."""
    def remember(memory: tf.Tensor, latest: tf.Tensor) -> tf.Tensor:
        return tf.concat([latest[:, None], memory[:, :-1]], axis=1)

    move = (images - state["images"]) / bounds.range
    return state | {
        "images": images,
        "loss": loss,
        "gradient": gradient,
        "gained": state["gained"] + state["loss"] - loss,
        "steps": state["steps"] + 1,
        "iterations": state["iterations"] + 1,
        "length": tf.ones_like(state["length"]),
        "moves": remember(state["moves"], move),
        "turns": remember(state["turns"], gradient - state["gradient"]),
    }


def _direction(state: State, bounds: Bounds) -> tf.Tensor:
    """The quasi-Newton step [n,H,W,C] of the pixels that no bound stops.

    The two loops of Nocedal and Wright (2006, algorithm 7.4) over the last steps. Before the first
    step, the curvature is that of the distance.
    """
    images, gradient = state["images"], state["gradient"]
    mask = movable_mask(images, gradient, bounds)
    moves = tf.unstack(state["moves"] * mask[:, None], axis=1)
    turns = tf.unstack(state["turns"] * mask[:, None], axis=1)
    curvatures = [_dot(move, turn) for move, turn in zip(moves, turns)]
    # A pair without positive curvature, or without a step, is left out.
    weights = [tf.where(c > 0, 1 / c, 0.0) for c in curvatures]
    direction = -mask * gradient
    shares = []
    for move, turn, weight in zip(moves, turns, weights):
        shares.append(weight * _dot(move, direction))
        direction -= per_image(shares[-1], turn) * turn
    scale = tf.where(
        curvatures[0] > 0, curvatures[0] / _dot(turns[0], turns[0]), _pixels(images) / 2
    )
    direction *= per_image(scale, direction)
    for move, turn, weight, share in reversed(list(zip(moves, turns, weights, shares))):
        direction += per_image(share - weight * _dot(turn, direction), move) * move
    return mask * direction


def _dot(values: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(values * others, axis=pixel_axes(values))


def _pixels(images: tf.Tensor) -> tf.Tensor:
    """The number of pixels of an image, times its channels."""
    return tf.cast(tf.reduce_prod(tf.shape(images)[1:]), tf.float32)
