"""The iterations of BIM in a few strides, and an estimate of their number that has a gradient.

How far BIM moves an image counts as a constant (BPDA; Athalye, Carlini and Wagner 2018), so that a
gradient tells where else BIM would take longer.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from a2d_tf.a2d import A2D
from a2d_tf.adaptive.goal import COMPARED
from a2d_tf.attacks import BIM
from a2d_tf.attacks.loop import has_direction, per_image
from a2d_tf.classifiers import Classifier
from a2d_tf.classifiers.margins import loss_to_climb
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import AttackCost, Feature
from a2d_tf.images.spec import Images
from a2d_tf.threats.projected import lead

STRIDES = 4  # in which the iterations are made
# An attack goes for more iterations than the detector asks for, by so much, since strides succeed a
# little later than single iterations. With it, the detector flags nearly no image that reaches the
# goal; a test holds that.
HEADROOM = 1.25
LEAST_RISE = 1e-6  # of the lead in a stride, in logits; an estimate divides by the rise


class Walk(NamedTuple):
    """Where BIM moves images; all of it is constant to a gradient.

    Attributes:
      positions: f32[n,H,W,C], before the first stride and after each.
      leads: f32[n], how far another class leads the own label before each stride, in logits.
      followed: bool[n], where BIM finds a gradient at the image itself.
    """

    positions: list[tf.Tensor]
    leads: list[tf.Tensor]
    followed: tf.Tensor


def walk(
    classifier: Classifier, attack: BIM, images: tf.Tensor, labels: tf.Tensor, iterations: float
) -> Walk:
    """Makes so many iterations in `STRIDES` strides.

    Args:
      classifier: the classifier.
      attack: BIM or BIM2.
      images: f32[n,H,W,C].
      labels: i32[n], the labels that the attack leaves.
      iterations: how many; they may be more than the attack makes.
    """
    original = moved = tf.stop_gradient(images)
    positions, leads = [original], []
    followed = tf.ones_like(labels, tf.bool)
    for stride in range(STRIDES):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(moved)
            logits = classifier(moved)
            loss = loss_to_climb(logits, labels)
        gradient = tape.gradient(loss, moved)
        if stride == 0:
            followed = has_direction(gradient)
        moved = tf.stop_gradient(attack.move(
            classifier, {"images": moved, "original": original}, attack.direction(gradient),
            iterations / STRIDES,
        ))
        positions.append(moved)
        leads.append(tf.stop_gradient(lead(logits, labels)))
    return Walk(positions, leads, followed)


def estimated_cost(
    classifier: Classifier, attack: BIM, images: tf.Tensor, labels: tf.Tensor, reach: float
) -> tf.Tensor:
    """About how many iterations change the labels, f32[n], with a gradient at the images.

    The lead of another class is taken to rise evenly within the stride in which it crosses 0, or
    beyond the last one. The estimate is at most the attack's `max_iterations`, and NaN for an image
    at which BIM finds no gradient.

    Args:
      classifier, attack, images, labels: as for `walk`.
      reach: the iterations of all strides together; costs up to there are estimated best.
    """
    labels = tf.maximum(labels, 0)  # -1 where the logits are not finite, as the lead is then
    found = walk(classifier, attack, images, labels, reach)
    last = tf.stop_gradient(lead(classifier(found.positions[-1]), labels))
    leads = tf.stack([*found.leads, last], axis=1)
    positions = tf.stack(found.positions, axis=1)
    crossed = leads[:, 1:] >= 0
    is_within = tf.reduce_any(crossed, axis=1)
    before = tf.where(is_within, tf.argmax(crossed, axis=1), STRIDES - 1)

    def at(values: tf.Tensor, stride: tf.Tensor) -> tf.Tensor:
        return tf.gather(values, stride, batch_dims=1)

    rise = tf.maximum(at(leads, before + 1) - at(leads, before), LEAST_RISE)
    share = tf.where(is_within, -at(leads, before) / rise, 1.0)
    here, there = at(positions, before), at(positions, before + 1)
    position = here + per_image(share, here) * (there - here)
    # Of the image itself, moved as far: this has the gradient.
    moved = classifier(images + tf.stop_gradient(position - images))
    strides = tf.cast(before, tf.float32) + share - lead(moved, labels) / rise
    cost = tf.minimum(reach / STRIDES * strides, float(attack.max_iterations))
    return tf.where(found.followed, cost, np.float32(np.nan))


def costs_of_bim(features: Mapping[str, Feature]) -> dict[str, BIM]:
    """The attacks of those features that count the iterations of BIM or BIM2."""
    return {
        name: feature.attack for name, feature in features.items()
        if isinstance(feature, AttackCost) and isinstance(feature.attack, BIM)
    }


def median_costs(a2d: A2D, benign: Images) -> dict[str, float]:
    """The median costs, at least 1, of BIM and BIM2 on benign images.

    Args:
      a2d: a fitted A2D; its costs of BIM and BIM2 are measured.
      benign: f32[N,H,W,C], benign images; the first of them are measured.

    Raises:
      InvalidInputError: no image can be measured.
    """
    medians = {}
    for name in costs_of_bim(a2d.state.features):
        costs = a2d.state.features[name].measure(a2d.classifier, benign[:COMPARED])
        valid = costs[np.isfinite(costs)]
        if not len(valid):
            raise InvalidInputError(
                f"expected benign images whose {name} can be measured, got none of {len(costs)}; "
                "give others"
            )
        medians[name] = max(float(np.median(valid)), 1.0)
    return medians
