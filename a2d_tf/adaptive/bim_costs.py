"""A goal against detectors that count the iterations of BIM; their scores have no gradient."""

import numpy as np
import tensorflow as tf

from a2d_tf import checks
from a2d_tf.a2d import A2D
from a2d_tf.adaptive.goal import COMPARED, LOGIT_SLACK, Excess, Goal, own_labels
from a2d_tf.attacks import BIM
from a2d_tf.attacks.loop import has_direction
from a2d_tf.classifiers import Classifier
from a2d_tf.classifiers.margins import loss_to_climb
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import AttackCost
from a2d_tf.images.spec import Images
from a2d_tf.threats.projected import lead

STRIDES = 4  # in which the iterations are made
# More iterations than the detector asks for, by so much, since strides succeed a little later than
# single iterations. With it, the detector flags nearly no image that reaches the goal; a test holds
# that.
HEADROOM = 1.25
SHARES = 100  # so many costs are tried up to the benign median


class KeptLabel(Goal):
    """By how much another class leads an image's own label after some iterations of BIM.

    An image whose label BIM has not changed by then costs at least these iterations. They are made
    in a few strides, and how far they move the image counts as a constant (BPDA; Athalye, Carlini
    and Wagner 2018), so that the image moves to where BIM takes longer. An image at which BIM finds
    no gradient is invalid, and never reaches the goal.

    Args:
      classifier: the classifier under attack.
      attack: the attack whose cost is measured.
      iterations: how many of its iterations must not change the label; they may be more than the
        attack makes.

    Raises:
      InvalidInputError: another attack, or iterations below 0.
    """

    def __init__(self, classifier: Classifier, attack: BIM, iterations: float):
        if not isinstance(attack, BIM):
            raise InvalidInputError(
                f"expected the attack BIM or BIM2, got {attack!r}; give one of them"
            )
        self._classifier = classifier
        self._attack = attack
        self._iterations = checks.number(iterations, "iterations", minimum=0)

    @property
    def iterations(self) -> float:
        """How many iterations must not change the label."""
        return self._iterations

    @property
    def enough(self) -> float:
        return -LOGIT_SLACK

    def value(self, images: tf.Tensor, aims: tf.Tensor) -> tf.Tensor:
        labels = own_labels(self._classifier, images)
        movement, followed = self._movement(images, labels)
        leads = lead(self._classifier(images + movement), labels)
        return tf.where(followed, leads, np.float32(np.inf))

    def _movement(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """How far f32[n,H,W,C] the iterations move images; where there is a gradient, bool[n].

        Both are constants to a gradient.
        """
        original = moved = tf.stop_gradient(images)
        followed = tf.ones_like(labels, tf.bool)
        for stride in range(STRIDES):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(moved)
                loss = loss_to_climb(self._classifier(moved), labels)
            gradient = tape.gradient(loss, moved)
            if stride == 0:
                followed = has_direction(gradient)
            moved = self._attack.move(
                self._classifier, {"images": moved, "original": original},
                self._attack.direction(gradient), self._iterations / STRIDES,
            )
        return tf.stop_gradient(moved - original), followed

    def __repr__(self) -> str:
        return f"KeptLabel({self._attack!r}, {self._iterations:g})"


def bim_attacks(a2d: A2D) -> list[BIM]:
    """The attacks of a fitted A2D that judges costs of BIM or BIM2 alone; else an empty list."""
    features = a2d.state.features.values()
    found = [
        feature.attack for feature in features
        if isinstance(feature, AttackCost) and isinstance(feature.attack, BIM)
    ]
    return found if len(found) == len(features) else []


def bim_cost_goal(a2d: A2D, benign: Images) -> Goal:
    """What an attack on a fitted A2D lowers that judges costs of BIM or BIM2 alone.

    The attack must reach certain costs: a share of the benign medians, the same one for every
    column. It is the smallest share such that the detector flags neither it nor any share from
    there up to the medians. If the detector flags the medians, it is the smallest share above 1
    that passes, and if none does, the smallest of the highest shares in a row that pass. With
    several columns all costs must be reached, even if the detector would accept fewer.

    Args:
      a2d: the fitted A2D; see `bim_attacks`.
      benign: f32[N,H,W,C], benign images; the first of them are measured.

    Raises:
      InvalidInputError: no benign image can be measured, or the detector flags all these costs.
    """
    attacks = bim_attacks(a2d)
    table = a2d.measure(benign[:COMPARED])
    if not table.valid.any():
        raise InvalidInputError(
            f"expected benign images whose costs can be measured, got none of {len(table)}; give "
            "others"
        )
    medians = np.maximum(np.median(table.values[table.valid], axis=0), 1.0)
    most = max(
        attack.max_iterations / median for attack, median in zip(attacks, medians, strict=True)
    )
    shares = np.arange(max(int(SHARES * most), SHARES) + 1) / SHARES
    flagged = a2d.detector.predict(a2d.state.oriented(shares[:, None] * medians))
    passing = np.flatnonzero(~flagged)
    if not len(passing):
        raise InvalidInputError(
            f"expected a detector that does not flag every cost, got {a2d.detector!r}, which does; "
            "calibrate it on benign images"
        )
    beyond = passing[passing >= SHARES]
    near_median = beyond[0] if len(beyond) else passing[-1]
    flagged_below = np.flatnonzero(flagged[:near_median])
    first = flagged_below[-1] + 1 if len(flagged_below) else 0
    goals = [
        KeptLabel(a2d.classifier, attack, HEADROOM * min(iterations, attack.max_iterations))
        for attack, iterations in zip(attacks, shares[first] * medians, strict=True)
    ]
    return goals[0] if len(goals) == 1 else Excess(goals, benign)
