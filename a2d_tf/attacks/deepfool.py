"""DeepFool: steps to the nearest boundary, were the logits linear."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import tensorflow as tf

from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.gradient import free, judged
from a2d_tf.attacks.loop import Examples, State, per_image, without
from a2d_tf.classifier import Classifier

CANDIDATES = 10  # the most likely classes of the untouched image, its own included
OVERSHOOT = 1.05


@dataclass(frozen=True, kw_only=True)
class DeepFool(Attack):
    """DeepFool in L2 (Moosavi-Dezfooli 2016), with the settings of Foolbox 1.8.

    An iteration goes a little beyond the nearest of the boundaries to the most likely classes,
    and asks for the gradients of all of their logits, which count as one. Pixels that a bound
    holds are left out of them: counted on, they would let the steps end short of a boundary.

    Attributes:
      max_iterations: steps at most.
    """

    name: ClassVar[str] = "deepfool"

    def start(self, examples: Examples) -> State:
        return {
            "images": examples.images,
            "goal": examples.labels,
            "classes": tf.zeros((tf.shape(examples.labels)[0], CANDIDATES - 1), tf.int32),
        }

    def advance(self, classifier: Classifier, state: State) -> State:
        images = state["images"]
        with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
            tape.watch(images)
            logits = classifier(images)
            prediction = tf.argmax(logits, axis=1, output_type=tf.int32)
            goal = tf.where(state["goal"] < 0, prediction, state["goal"])
            classes = tf.where(
                state["queries"][:, None] == 1, _most_likely(logits, goal), state["classes"]
            )
            leads = [
                tf.gather(logits, goal, batch_dims=1) - tf.gather(logits, one, batch_dims=1)
                for one in tf.unstack(classes, axis=1)
            ]
        step = tf.zeros_like(images)
        nearest = tf.fill(tf.shape(goal), np.float32(np.inf))
        for lead in leads:
            gradient = tape.gradient(lead, images)
            gradient *= free(images, gradient, classifier.bounds)
            norm = _norm(gradient)
            # No step changes a lead without a gradient, such as the label's over itself.
            distance = tf.where(norm > 0, tf.abs(lead) / norm, np.inf)
            nearer = distance < nearest
            towards = -per_image(distance) * gradient / per_image(norm)
            step = tf.where(per_image(nearer), towards, step)
            nearest = tf.where(nearer, distance, nearest)
        moved = tf.clip_by_value(images + OVERSHOOT * step, *classifier.bounds)
        state = state | {"goal": goal, "classes": classes, "gradients": state["queries"]}
        return judged(state, {"images": moved}, state["queries"] - 2, prediction != goal)


def _most_likely(logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """The most likely classes i32[n,9] besides the label, which stands where there are fewer."""
    order = tf.argsort(without(logits, label), axis=1, direction="DESCENDING", stable=True)
    filling = tf.tile(label[:, None], (1, CANDIDATES - 1))
    filled = tf.concat([order[:, :tf.shape(order)[1] - 1], filling], axis=1)
    return tf.ensure_shape(filled[:, :CANDIDATES - 1], (None, CANDIDATES - 1))


def _norm(gradient: tf.Tensor) -> tf.Tensor:
    # In double precision: the squares of small gradients vanish in single.
    squares = tf.square(tf.cast(gradient, tf.float64))
    return tf.cast(tf.sqrt(tf.reduce_sum(squares, axis=(1, 2, 3))), tf.float32)
