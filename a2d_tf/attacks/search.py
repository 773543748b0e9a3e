"""Search mode: the distance that a gradient attack walks, found in a few queries.

The iterations of an attack with small steps tell how far it has to walk. A search walks the same
way in long strides: as long as the boundary is far, by a share of the distance at which the
margin would be spent were the logits linear, with a fresh gradient at every point that keeps its
label; when it is near or was crossed, by the secant rule on the margin along the last direction,
for which forward passes suffice. The cost is the distance in unit steps, as the iterations would
count it.
"""

from typing import NamedTuple, Protocol

import tensorflow as tf

from a2d_tf.attacks.loop import Examples, State, choose, per_image, without
from a2d_tf.classifier import Classifier

# A stride is this share of the distance at which the margin would be spent, and no longer than
# MAX_STRIDE units: the gradient turns on the way.
SHARE = 1 / 4
MAX_STRIDE = 64
# The boundary is near when it is expected within NEAR units, or within SHARE of the way walked:
# then the last direction is kept, unless half of the margin is left where none was expected.
NEAR = 3
NEVER = 1e6  # units to a boundary that is not in sight


class Searchable(Protocol):
    """What a search needs of a gradient attack."""

    @property
    def max_iterations(self) -> int:
        """Units to walk at most."""

    def direction(self, gradient: tf.Tensor) -> tf.Tensor:
        """The steepest direction [n,H,W,C] of unit length."""

    def walk(
        self, classifier: Classifier, state: State, direction: tf.Tensor, units: tf.Tensor
    ) -> tf.Tensor:
        """The images f32[n,H,W,C] after units i32[n,1,1,1] of steps from `state["images"]`."""

    def gain(self, classifier: Classifier, gradient: tf.Tensor, direction: tf.Tensor) -> tf.Tensor:
        """What a unit step along the direction adds to a loss of this gradient, f32[n]."""


class Answers(NamedTuple):
    """What the classifier says of images, a row each; no gradient where none was wanted."""

    prediction: tf.Tensor
    goal: tf.Tensor
    margin: tf.Tensor
    gradient: tf.Tensor


def start(examples: Examples) -> State:
    """Rows that have asked nothing yet: the first query asks for the image's own gradient."""
    zero = tf.zeros_like(examples.labels)
    number = tf.zeros_like(zero, tf.float32)
    return {
        "images": examples.images,  # the last point of which a gradient is known
        "original": examples.images,
        "crossed": examples.images,  # the nearest point that has lost the label
        "goal": examples.labels,
        "direction": tf.zeros_like(examples.images),
        "walked": zero,  # units to `images`
        "margin": number,  # there
        "gain": number,  # of a unit along the direction, to first order
        # Units along the direction that are known to keep the label, and to lose it; 0 for none.
        "kept": zero,
        "kept_margin": number,
        "lost": zero,
        "lost_margin": number,
        "trial": zero,  # units to ask about next
        "fresh": tf.ones_like(zero, tf.bool),  # and whether for a gradient
    }


def advance(attack: Searchable, classifier: Classifier, state: State) -> State:
    """Every row one query further; see `attacks.loop`."""
    first = state["queries"] == 1
    images = attack.walk(classifier, state, state["direction"], per_image(state["trial"]))
    stuck = ~first & tf.reduce_all(images == state["images"], axis=(1, 2, 3))
    answers = ask(classifier, images, state["goal"], state["fresh"])
    keeps = answers.prediction == answers.goal

    direction = attack.direction(answers.gradient)
    arrived = state | {
        "images": images,
        "direction": direction,
        "walked": state["walked"] + state["trial"],
        "margin": answers.margin,
        "gain": attack.gain(classifier, answers.gradient, direction),
        "kept": tf.zeros_like(state["kept"]),
        "kept_margin": answers.margin,
    }
    kept = state | {"kept": state["trial"], "kept_margin": answers.margin}
    lost = state | {
        "lost": state["trial"], "lost_margin": answers.margin, "crossed": images,
    }
    state = choose(keeps, kept, lost)
    state = choose(first | keeps & state["fresh"], arrived, state)
    state |= {
        "goal": answers.goal,
        "gradients": state["gradients"] + tf.cast(state["fresh"], tf.int32),
    }
    return _planned(state, attack.max_iterations) | _judgement(state, stuck)


def _planned(state: State, max_iterations: int) -> State:
    """The next query of each row."""
    kept, lost, margin, gain = state["kept"], state["lost"], state["kept_margin"], state["gain"]
    left = tf.minimum(tf.math.divide_no_nan(state["margin"], gain), NEVER)
    left = tf.where(gain > 0, left, NEVER)
    near = left <= tf.maximum(SHARE * tf.cast(state["walked"], tf.float32), NEAR)

    stride = tf.clip_by_value(_whole(SHARE * left), 1, MAX_STRIDE)
    # The slope of the margin along the direction: as measured, if that makes sense.
    slope = tf.math.divide_no_nan(state["margin"] - margin, tf.cast(kept, tf.float32))
    ahead = tf.math.divide_no_nan(margin, tf.where(slope > 0, slope, gain))
    ahead = _whole(tf.minimum(ahead, NEVER) + 1)
    onwards = kept + tf.clip_by_value(ahead, 1, MAX_STRIDE)
    share = tf.math.divide_no_nan(margin, margin - state["lost_margin"])
    between = kept + _whole(share * tf.cast(lost - kept, tf.float32) + 0.5)
    between = tf.clip_by_value(between, kept + 1, tf.maximum(lost - 1, kept + 1))

    astray = (lost == 0) & (kept > 0) & (margin > state["margin"] / 2)
    onwards = tf.where(astray, kept, onwards)  # once more, for its gradient

    trial = tf.where(lost > 0, between, tf.where(near, onwards, stride))
    trial = tf.minimum(trial, max_iterations - state["walked"])
    # A point at which the search will end either way needs no gradient.
    goes_on = state["walked"] + trial < state["max_cost"]
    return state | {"trial": trial, "fresh": (lost == 0) & (~near | astray) & goes_on}


def _judgement(state: State, stuck: tf.Tensor) -> State:
    """What is known of the cost of each row, and whether that is enough."""
    at_least = state["walked"] + state["kept"]
    at_most = state["walked"] + state["lost"] - 1
    settled = at_most <= tf.maximum(at_least, state["min_cost"])
    success = (state["lost"] > 0) & settled & (at_most < state["max_cost"])
    return {
        "images": tf.where(per_image(success), state["crossed"], state["images"]),
        "cost": tf.where(success, at_most, state["max_cost"]),
        "success": success,
        "finished": success | stuck | (at_least >= state["max_cost"]),
    }


def ask(
    classifier: Classifier, images: tf.Tensor, goal: tf.Tensor, fresh: tf.Tensor
) -> Answers:
    """Asks for the gradients of some images f32[n,H,W,C], and for the margins of all.

    Where the goal i32[n] is negative, the classifier's own label is meant.
    """
    def look(images: tf.Tensor, goal: tf.Tensor) -> tuple[Answers, tf.Tensor]:
        logits = classifier(images)
        prediction = tf.argmax(logits, axis=1, output_type=tf.int32)
        goal = tf.where(goal < 0, prediction, goal)
        own = tf.gather(logits, goal, batch_dims=1)
        others = without(logits, goal)
        margin = own - tf.reduce_max(others, axis=1)
        # Its gradient has the direction of cross-entropy's, and never vanishes where the
        # classifier is certain.
        smooth = tf.reduce_logsumexp(others, axis=1) - own
        return Answers(prediction, goal, margin, tf.zeros_like(images)), smooth

    def look_closely(images: tf.Tensor, goal: tf.Tensor) -> Answers:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            answers, loss = look(images, goal)
        return answers._replace(gradient=tape.gradient(loss, images))

    nothing = Answers(goal[:0], goal[:0], tf.zeros(0), images[:0])
    parts = []
    for wanted, ask in ((fresh, look_closely), (~fresh, lambda *args: look(*args)[0])):
        index = tf.where(wanted)[:, 0]
        some = tf.gather(images, index), tf.gather(goal, index)
        # Never run the network on zero rows: a reloaded convolution fails on them.
        parts.append((index, tf.cond(tf.reduce_any(wanted), lambda: ask(*some), lambda: nothing)))
    indices, answers = zip(*parts)
    order = tf.argsort(tf.concat(indices, 0))
    return Answers(*(
        tf.gather(tf.concat(columns, 0), order) for columns in zip(*answers, strict=True)
    ))


def _whole(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.floor(values), tf.int32)
