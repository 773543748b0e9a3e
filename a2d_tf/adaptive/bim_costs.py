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
LEAST_COST = 0.5  # detectors may have no gradient at a cost of 0


class Walk(NamedTuple):
    """Where BIM moves images; all of it is constant to a gradient.

    Attributes:
      positions: of f32[n,H,W,C], before the first stride and after each.
      leads: of f32[n], how far another class leads the own label before each stride, in logits.
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
      labels: i32[n], the labels that the attack leaves, at least 0.
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


def lead_at(
    classifier: Classifier, images: tf.Tensor, labels: tf.Tensor, position: tf.Tensor
) -> tf.Tensor:
    """The lead f32[n] at a position of a walk; its gradient takes the movement for a constant."""
    return lead(classifier(images + tf.stop_gradient(position - images)), labels)


def crossing_time(
    classifier: Classifier, attack: BIM, images: tf.Tensor, labels: tf.Tensor, reach: float
) -> tf.Tensor:
    """About how many iterations change the labels, f32[n] >= 0, with a gradient at the images.

    The lead of another class is taken to rise evenly within the stride in which it crosses 0, or
    beyond the last one. The counted cost is the next lower integer. The result is NaN for an image
    at which BIM finds no gradient.

    Args:
      classifier, attack, images, labels: as for `walk`.
      reach: the iterations of all strides together; times up to there are estimated best.
    """
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
    start = tf.cast(before, tf.float32)
    strides = start + share - lead_at(classifier, images, labels, position) / rise
    # A lead that does not rise evenly might place the crossing outside of its stride.
    strides = tf.where(is_within, _bounded(strides, start, start + 1), strides)
    return tf.where(found.followed, reach / STRIDES * strides, np.float32(np.nan))


def estimated_cost(time: tf.Tensor, attack: BIM, *, cautious: bool) -> tf.Tensor:
    """The cost f32[n] of images with these crossing times; bounds do not change the gradient.

    Args:
      time: f32[n], as `crossing_time` has it.
      attack: BIM or BIM2.
      cautious: whether the cost is rather taken too low than too high. That helps if the detector
        flags low costs alone.
    """
    cost = tf.minimum(time / HEADROOM, time - 1) if cautious else time - 0.5
    return _bounded(cost, LEAST_COST, float(attack.max_iterations))


def _bounded(values: tf.Tensor, least: tf.Tensor | float, most: tf.Tensor | float) -> tf.Tensor:
    """The values within bounds, with the gradient of the values themselves."""
    return values + tf.stop_gradient(tf.clip_by_value(values, least, most) - values)


def costs_of_bim(features: Mapping[str, Feature]) -> dict[str, BIM]:
    """The attacks of those features that count the iterations of BIM or BIM2."""
    return {
        name: feature.attack for name, feature in features.items()
        if isinstance(feature, AttackCost) and isinstance(feature.attack, BIM)
    }


def median_costs(a2d: A2D, benign: Images) -> dict[str, float]:
    """The benign median, at least 1, of each feature that counts iterations of BIM or BIM2.

    Args:
      a2d: a fitted A2D.
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
                f"expected benign images whose cost {name!r} can be measured, got none among the "
                f"first {len(costs)}; give others"
            )
        medians[name] = max(float(np.median(valid)), 1.0)
    return medians
