"""Search mode: the distance that a gradient attack moves, found in a few queries.

The iterations of an attack with small steps tell how far it has to move. A search moves the same
way in long strides. While the boundary is far, a stride is a share of the distance at which the
margin would be zero if the logits were linear, and every point that keeps the label gets a new
gradient. When the boundary is near, or was crossed, the secant rule on the margin along the last
direction finds it, with forward passes only. The cost is the distance in steps of the attack, as
its iterations would count it.
"""

from typing import Any, NamedTuple, Protocol

import tensorflow as tf

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
from a2d_tf.classifiers.margins import smooth_lead, without

# A stride is this share of the distance at which the margin would be zero, and at most
# MAX_STRIDE steps, since the gradient turns on the way.
STRIDE_SHARE = 1 / 4
MAX_STRIDE = 64
# The boundary is near if it is expected within NEAR_STEPS, or within STRIDE_SHARE of the distance
# moved so far. Then the last direction is kept, unless half of the margin is left where none was
# expected.
NEAR_STEPS = 3
OUT_OF_SIGHT = 1e6  # steps to a boundary that the gradient does not lead to


class Searchable(Protocol):
    """What a search needs of a gradient attack."""

    @property
    def max_iterations(self) -> int:
        """The largest number of steps."""

    def direction(self, gradient: tf.Tensor) -> tf.Tensor:
        """The steepest direction [n,H,W,C] of unit length."""

    def move(
        self, classifier: Classifier, state: State, direction: tf.Tensor, steps: tf.Tensor
    ) -> tf.Tensor:
        """The images f32[n,H,W,C] after i32[n,1,1,1] steps from `state["images"]`."""

    def directional_derivative(
        self, classifier: Classifier, gradient: tf.Tensor, direction: tf.Tensor
    ) -> tf.Tensor:
        """What one step in a direction adds to a loss of this gradient, f32[n]."""


class Outputs(NamedTuple):
    """What the classifier gives for images, a row each; the gradient is 0 where none was wanted.

    `is_finite` holds for logits and gradient.
    """

    prediction: tf.Tensor
    label: tf.Tensor
    margin: tf.Tensor
    gradient: tf.Tensor
    is_finite: tf.Tensor


def start(examples: Examples) -> State:
    """The initial state of rows, before any query: the first query asks for the gradient."""
    zero = tf.zeros_like(examples.labels)
    number = tf.zeros_like(zero, tf.float32)
    return {
        "images": examples.images,  # the last point whose gradient is known
        "original": examples.images,
        "crossed": examples.images,  # the nearest point that has lost the label
        "label": examples.labels,
        "direction": tf.zeros_like(examples.images),
        "moved": zero,  # steps from the original to `images`
        "margin": number,  # at `images`
        "derivative": number,  # of the margin, per step along the direction
        # The bracket along the direction: the last step count that keeps the label, and the first
        # that loses it (0 if none is known), with the margins there.
        "lower": zero,
        "lower_margin": number,
        "upper": zero,
        "upper_margin": number,
        "trial": zero,  # steps to the next query
        "needs_gradient": tf.ones_like(zero, tf.bool),  # whether that query asks for a gradient
    }


def advance(attack: Searchable, classifier: Classifier, state: State) -> State:
    """The state after one more query for every row; see `attacks.loop`."""
    is_first = state["queries"] == 1
    steps = per_image(state["trial"], state["images"])
    images = attack.move(classifier, state, state["direction"], steps)
    stuck = ~is_first & tf.reduce_all(
        images == state["images"], axis=pixel_axes(images)
    )
    outputs = query(classifier, images, state["label"], state["needs_gradient"])
    keeps_label = outputs.prediction == outputs.label

    direction = attack.direction(outputs.gradient)
    with_gradient = state | {
        "images": images,
        "direction": direction,
        "moved": state["moved"] + state["trial"],
        "margin": outputs.margin,
        "derivative": attack.directional_derivative(classifier, outputs.gradient, direction),
        "lower": tf.zeros_like(state["lower"]),
        "lower_margin": outputs.margin,
    }
    kept = state | {"lower": state["trial"], "lower_margin": outputs.margin}
    crossed = state | {
        "upper": state["trial"], "upper_margin": outputs.margin, "crossed": images,
    }
    state = choose(keeps_label, kept, crossed)
    state = choose(is_first | keeps_label & state["needs_gradient"], with_gradient, state)
    state |= {
        "label": outputs.label,
        "gradients": state["gradients"] + tf.cast(state["needs_gradient"], tf.int32),
        "valid": state["valid"] & is_sound(outputs, is_first),
    }
    return _with_next_query(state, attack.max_iterations) | _stop_state(state, stuck)


def _with_next_query(state: State, max_iterations: int) -> State:
    """The state with the steps to the next query of each row, and whether it needs a gradient."""
    lower, upper = state["lower"], state["upper"]
    margin, derivative = state["lower_margin"], state["derivative"]
    left = tf.minimum(tf.math.divide_no_nan(state["margin"], derivative), OUT_OF_SIGHT)
    left = tf.where(derivative > 0, left, OUT_OF_SIGHT)
    near_boundary = left <= tf.maximum(
        STRIDE_SHARE * tf.cast(state["moved"], tf.float32), NEAR_STEPS
    )

    stride = tf.clip_by_value(_floor(STRIDE_SHARE * left), 1, MAX_STRIDE)
    # The slope of the margin along the direction: the measured one, if it points downwards.
    slope = tf.math.divide_no_nan(state["margin"] - margin, tf.cast(lower, tf.float32))
    ahead = tf.math.divide_no_nan(margin, tf.where(slope > 0, slope, derivative))
    ahead = _floor(tf.minimum(ahead, OUT_OF_SIGHT) + 1)
    onwards = lower + tf.clip_by_value(ahead, 1, MAX_STRIDE)
    share = tf.math.divide_no_nan(margin, margin - state["upper_margin"])
    between = lower + _floor(share * tf.cast(upper - lower, tf.float32) + 0.5)
    between = tf.clip_by_value(between, lower + 1, tf.maximum(upper - 1, lower + 1))

    stale_direction = (upper == 0) & (lower > 0) & (margin > state["margin"] / 2)
    onwards = tf.where(stale_direction, lower, onwards)  # the same point again, for its gradient

    trial = tf.where(upper > 0, between, tf.where(near_boundary, onwards, stride))
    trial = tf.minimum(trial, max_iterations - state["moved"])
    # A point at which the search will end in either case needs no gradient.
    goes_on = state["moved"] + trial < state["max_cost"]
    needs_gradient = (upper == 0) & (~near_boundary | stale_direction) & goes_on
    return state | {"trial": trial, "needs_gradient": needs_gradient}


def _stop_state(state: State, stuck: tf.Tensor) -> State:
    """What is known of the cost of each row, and whether that is enough to stop."""
    at_least = state["moved"] + state["lower"]
    at_most = state["moved"] + state["upper"] - 1
    is_known = at_most <= tf.maximum(at_least, state["min_cost"])
    success = (state["upper"] > 0) & is_known & (at_most < state["max_cost"])
    return {
        "images": tf.where(per_image(success, state["images"]), state["crossed"], state["images"]),
        "cost": tf.where(success, at_most, state["max_cost"]),
        "success": success,
        "finished": success | stuck | (at_least >= state["max_cost"]),
    }


def is_sound(outputs: Outputs, is_first: tf.Tensor) -> tf.Tensor:
    """Whether an attack can go on, bool[n]: all is finite, and there is a first gradient."""
    return outputs.is_finite & (has_direction(outputs.gradient) | ~is_first)


def query(
    classifier: Classifier, images: tf.Tensor, label: tf.Tensor, needs_gradient: tf.Tensor
) -> Outputs:
    """The margins of all images f32[n,H,W,C], and the gradients of those that need one.

    Where the label i32[n] is negative, the classifier's own label is meant.
    """
    def forward(images: tf.Tensor, label: tf.Tensor) -> tuple[Outputs, tf.Tensor]:
        logits = classifier(images)
        prediction = tf.argmax(logits, axis=1, output_type=tf.int32)
        label = tf.where(label < 0, prediction, label)
        own = tf.gather(logits, label, batch_dims=1)
        margin = own - tf.reduce_max(without(logits, label), axis=1)
        outputs = Outputs(prediction, label, margin, tf.zeros_like(images), are_finite(logits))
        return outputs, smooth_lead(logits, label)

    def forward_only(images: tf.Tensor, label: tf.Tensor) -> Outputs:
        return forward(images, label)[0]

    def forward_and_gradient(images: tf.Tensor, label: tf.Tensor) -> Outputs:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            outputs, loss = forward(images, label)
        gradient = tape.gradient(loss, images)
        return outputs._replace(
            gradient=gradient, is_finite=outputs.is_finite & are_finite(gradient)
        )

    nothing = Outputs(label[:0], label[:0], tf.zeros(0), images[:0], needs_gradient[:0])

    def for_rows(wanted: tf.Tensor, function: Any) -> tuple[tf.Tensor, Outputs]:
        index = tf.where(wanted)[:, 0]
        rows = tf.gather(images, index), tf.gather(label, index)
        # The network never runs on zero rows: a reloaded convolution fails on them.
        outputs = tf.cond(tf.reduce_any(wanted), lambda: function(*rows), lambda: nothing)
        return index, outputs

    indices, outputs = zip(
        for_rows(needs_gradient, forward_and_gradient), for_rows(~needs_gradient, forward_only)
    )
    order = tf.argsort(tf.concat(indices, 0))
    return Outputs(*(
        tf.gather(tf.concat(columns, 0), order) for columns in zip(*outputs, strict=True)
    ))


def _floor(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.floor(values), tf.int32)
