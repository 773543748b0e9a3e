"""DeepFool's update rule: a step to the nearest boundary of the linearised logits."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import tensorflow as tf

from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.gradient_attack import finish_step, movable_mask
from a2d_tf.attacks.loop import (
    Examples,
    State,
    are_finite,
    has_direction,
    per_image,
    pixel_axes,
)
from a2d_tf.classifiers import Classifier
from a2d_tf.classifiers.margins import without

CANDIDATES = 10  # the most likely classes of the untouched image, its own included
OVERSHOOT = 1.05


@dataclass(frozen=True, kw_only=True)
class DeepFool(Attack):
    """DeepFool in L2 (Moosavi-Dezfooli 2016), with the settings of Foolbox 1.8.

    An iteration moves a little beyond the nearest boundary towards one of the most likely classes.
    It computes the gradients of all their logits, which count as one gradient. Pixels that a bound
    stops are left out: a step that relied on them would end before the boundary.

    Attributes:
      max_iterations: the largest number of steps.
    """

    name: ClassVar[str] = "deepfool"
    max_iterations: int = 100

    def start(self, examples: Examples) -> State:
        return {
            "images": examples.images,
            "label": examples.labels,
            "classes": tf.zeros((tf.shape(examples.labels)[0], CANDIDATES - 1), tf.int32),
        }

    def advance(self, classifier: Classifier, state: State) -> State:
        images = state["images"]
        with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
            tape.watch(images)
            logits = classifier(images)
            prediction = tf.argmax(logits, axis=1, output_type=tf.int32)
            label = tf.where(state["label"] < 0, prediction, state["label"])
            classes = tf.where(
                state["queries"][:, None] == 1, _most_likely(logits, label), state["classes"]
            )
            leads = [
                tf.gather(logits, label, batch_dims=1) - tf.gather(logits, one, batch_dims=1)
                for one in tf.unstack(classes, axis=1)
            ]
        step = tf.zeros_like(images)
        nearest = tf.fill(tf.shape(label), np.float32(np.inf))
        total = tf.zeros_like(images)
        for lead in leads:
            gradient = tape.gradient(lead, images)
            total += tf.abs(gradient)
            gradient *= movable_mask(images, gradient, classifier.bounds)
            norm = _norm(gradient)
            # No step changes a lead that has no gradient, such as that of the label over itself.
            distance = tf.where(norm > 0, tf.abs(lead) / norm, np.inf)
            nearer = distance < nearest
            towards = -per_image(distance, images) * gradient / per_image(norm, images)
            step = tf.where(per_image(nearer, images), towards, step)
            nearest = tf.where(nearer, distance, nearest)
        moved = tf.clip_by_value(images + OVERSHOOT * step, *classifier.bounds)
        is_success = prediction != label
        followed = has_direction(total) | (state["queries"] > 1) & are_finite(total)
        state = state | {
            "label": label, "classes": classes, "gradients": state["queries"],
            "valid": state["valid"] & are_finite(logits) & (followed | is_success),
        }
        return finish_step(state, {"images": moved}, state["queries"] - 2, is_success)


def _most_likely(logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """The most likely classes i32[n,9] but the label; the label fills up where there are fewer."""
    order = tf.argsort(without(logits, label), axis=1, direction="DESCENDING", stable=True)
    filling = tf.tile(label[:, None], (1, CANDIDATES - 1))
    filled = tf.concat([order[:, :tf.shape(order)[1] - 1], filling], axis=1)
    return tf.ensure_shape(filled[:, :CANDIDATES - 1], (None, CANDIDATES - 1))


def _norm(gradient: tf.Tensor) -> tf.Tensor:
    # In double precision: the squares of small gradients vanish in single.
    squares = tf.square(tf.cast(gradient, tf.float64))
    return tf.cast(tf.sqrt(tf.reduce_sum(squares, axis=pixel_axes(squares))), tf.float32)
