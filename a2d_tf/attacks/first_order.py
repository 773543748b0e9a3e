"""The cost of an attack to first order: how far the boundary is, from a single gradient."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import tensorflow as tf

from a2d_tf.attacks.base import Attack
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


@dataclass(frozen=True, kw_only=True)
class FirstOrder(Attack):
    """The distance to the boundary as if the logits were linear around the image.

    The margin m is the logit of the label minus the largest other one. The cost is
    m / (|dm/dx|_1 x pixel range): the L-infinity distance at which a linear margin would be spent,
    as a fraction of the pixel range. It is a number (f32) and no count. It is the first iterate of
    DeepFool for the L-infinity norm (Moosavi-Dezfooli et al. 2016, arXiv 1511.04599, section 3.2)
    towards the runner-up class. Bounds of the pixels are left out of account.

    The image in the result is at that distance, where the boundary is foretold; nobody asked the
    classifier for its label. Success means that the distance is below the whole pixel range.

    Attributes:
      max_iterations: 1. It is also the cost if the boundary is as far as the whole pixel range or
        farther, or if there is no gradient.
    """

    name: ClassVar[str] = "first-order"
    stops_early: ClassVar[bool] = False
    cost_dtype: ClassVar[type] = np.float32
    max_iterations: int = field(default=1, metadata={"maximum": 1})

    def start(self, examples: Examples) -> State:
        return {
            "images": examples.images, "label": examples.labels,
            "cost": tf.zeros_like(examples.labels, tf.float32),
        }

    def advance(self, classifier: Classifier, state: State) -> State:
        images = state["images"]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits = classifier(images)
            prediction = tf.argmax(logits, axis=1, output_type=tf.int32)
            label = tf.where(state["label"] < 0, prediction, state["label"])
            own = tf.gather(logits, label, batch_dims=1)
            margin = own - tf.reduce_max(without(logits, label), axis=1)
        gradient = tape.gradient(margin, images)
        pixel_range = np.float32(classifier.bounds.range)
        slope = tf.reduce_sum(tf.abs(gradient) * pixel_range, axis=pixel_axes(gradient))
        cap = tf.cast(state["max_cost"], tf.float32)
        # An image that does not have the label to leave is beyond the boundary already.
        cost = tf.clip_by_value(margin / tf.maximum(slope, np.finfo(np.float32).tiny), 0.0, cap)
        moved = images - per_image(cost, images) * pixel_range * tf.sign(gradient)
        return state | {
            "images": tf.clip_by_value(moved, *classifier.bounds),
            "label": label,
            "cost": cost,
            "success": cost < cap,
            "gradients": state["queries"],
            "valid": state["valid"] & are_finite(logits) & (has_direction(gradient) | (margin < 0)),
            "finished": tf.ones_like(state["finished"]),
        }
