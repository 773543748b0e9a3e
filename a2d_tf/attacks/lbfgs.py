"""L-BFGS: the nearest image of another class, by a quasi-Newton method within the pixel range."""

from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.gradient import free
from a2d_tf.attacks.loop import Examples, State, choose, per_image, without
from a2d_tf.classifier import Classifier
from a2d_tf.pixels import Bounds

CONSTANTS = 30  # tried at most, as in Foolbox 1.8
MEMORY = 10  # steps that the curvature is estimated from
# A step must gain this share of what its gradient promises, or is halved, down to the shortest.
ARMIJO = 1e-4
SHORTEST = 2.0**-10
# A descent ends where the next step promises no more than this share of what was gained.
TOLERANCE = 1e-2


@dataclass(frozen=True, kw_only=True)
class LBFGS(Attack):
    """Minimises mean squared distance + constant x cross-entropy of the target class.

    L-BFGS_d in the paper (section 5.1; Szegedy 2014, Tabacof 2016) towards the target, or else
    the second most likely class. Each constant starts at the untouched image and is twice the
    last. The attack stops at the first image of the target class, so that no constant is searched
    for by bisection. An iteration is a step taken, of all constants together; steps that are
    tried and halved are queries alone. Distances are in units of the pixel range.
    The constants are Foolbox 1.8's; there scipy decides when a descent ends, here `TOLERANCE`.

    Attributes:
      initial_const: the first constant.
      steps_per_constant: steps at most before the next constant.
      max_iterations: steps at most, of all constants together.
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
            # Of the untouched image: cross-entropy and its gradient.
            "entropy": number,
            "slope": nothing,
            "const": number + self.initial_const,
            "iterations": zero,
            "loss": number,
            "gradient": nothing,
            **_no_steps(images),
        }

    def advance(self, classifier: Classifier, state: State) -> State:
        bounds, first = classifier.bounds, state["queries"] == 1
        direction = _direction(state, bounds)
        promised = _dot(-state["gradient"], direction)
        ended = ~first & (
            (promised <= TOLERANCE * state["gained"])
            | (state["steps"] == self.steps_per_constant)
            | (state["length"] < SHORTEST)
        )
        state = choose(ended, _next_constant(state), state)
        direction = tf.where(per_image(ended), _direction(state, bounds), direction)
        move = bounds.range * per_image(state["length"]) * direction
        asked = tf.clip_by_value(state["images"] + move, *bounds)

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(asked)
            logits = classifier(asked)
            prediction = tf.argmax(logits, axis=1, output_type=tf.int32)
            label = tf.where(state["label"] < 0, prediction, state["label"])
            second = tf.argmax(without(logits, label), axis=1, output_type=tf.int32)
            target = tf.where(state["target"] < 0, second, state["target"])
            entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
        slope = bounds.range * tape.gradient(entropy, asked)
        state = state | {
            "label": label,
            "target": target,
            "entropy": tf.where(first, entropy, state["entropy"]),
            "slope": tf.where(per_image(first), slope, state["slope"]),
        }
        away = (asked - state["original"]) / bounds.range
        loss = tf.reduce_mean(tf.square(away), axis=(1, 2, 3)) + state["const"] * entropy
        gradient = 2 * away / _pixels(away) + per_image(state["const"]) * slope
        stepped = _stepped(state, asked, loss, gradient, bounds)
        needed = state["loss"] + ARMIJO * _dot(state["gradient"], stepped["moves"][:, 0])
        following = choose(loss <= needed, stepped, state | {"length": state["length"] / 2})
        untouched = state | {"loss": loss, "gradient": gradient}
        return self._judged(state, choose(first, untouched, following), asked, prediction)

    def _judged(
        self, state: State, following: State, asked: tf.Tensor, prediction: tf.Tensor
    ) -> State:
        cost = state["iterations"]
        over = state["const"] >= self.initial_const * 2.0**CONSTANTS
        success = (prediction == state["target"]) & (cost < state["max_cost"]) & ~over
        last = over | (following["iterations"] >= state["max_cost"])
        return following | {
            "images": tf.where(per_image(success), asked, following["images"]),
            "cost": tf.where(success, cost, state["max_cost"]),
            "success": success,
            "finished": success | last,
            "gradients": state["queries"],
        }


def _next_constant(state: State) -> State:
    """A descent anew from the untouched image, of which all is known."""
    const = 2 * state["const"]
    return state | {
        "images": state["original"],
        "const": const,
        "loss": const * state["entropy"],
        "gradient": per_image(const) * state["slope"],
        **_no_steps(state["original"]),
    }


def _no_steps(images: tf.Tensor) -> State:
    """The state of a descent that has made no step."""
    count = tf.shape(images)[0]
    memory = tf.repeat(tf.zeros_like(images)[:, None], MEMORY, axis=1)
    return {
        "steps": tf.zeros(count, tf.int32),
        "gained": tf.zeros(count),
        "length": tf.ones(count),  # of the next step, relative to the quasi-Newton step
        "moves": memory,  # of the last steps, the latest first
        "turns": memory,  # of the gradient in these
    }


def _stepped(
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
    """The quasi-Newton step [n,H,W,C] of the pixels that are not held by a bound.

    The two loops of Nocedal and Wright (2006, algorithm 7.4) over the steps remembered; before
    the first, the curvature is that of the distance.
    """
    images, gradient = state["images"], state["gradient"]
    mask = free(images, gradient, bounds)
    moves = tf.unstack(state["moves"] * mask[:, None], axis=1)
    turns = tf.unstack(state["turns"] * mask[:, None], axis=1)
    curvatures = [_dot(move, turn) for move, turn in zip(moves, turns)]
    # A pair that shows no curvature, or none at all, is passed over.
    weights = [tf.where(c > 0, 1 / c, 0.0) for c in curvatures]
    direction = -mask * gradient
    shares = []
    for move, turn, weight in zip(moves, turns, weights):
        shares.append(weight * _dot(move, direction))
        direction -= per_image(shares[-1]) * turn
    scale = tf.where(
        curvatures[0] > 0, curvatures[0] / _dot(turns[0], turns[0]), _pixels(images) / 2
    )
    direction *= per_image(scale)
    for move, turn, weight, share in reversed(list(zip(moves, turns, weights, shares))):
        direction += per_image(share - weight * _dot(turn, direction)) * move
    return mask * direction


def _dot(values: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(values * others, axis=(1, 2, 3))


def _pixels(images: tf.Tensor) -> tf.Tensor:
    """The number of pixels of an image, their channels included."""
    return tf.cast(tf.reduce_prod(tf.shape(images)[1:]), tf.float32)
