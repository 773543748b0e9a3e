"""A goal against detectors that count the iterations of BIM; their scores have no gradient."""

import numpy as np
import tensorflow as tf

from a2d_tf import checks
from a2d_tf.a2d import A2D
from a2d_tf.adaptive.bim_costs import HEADROOM, costs_of_bim, lead_at, median_costs, walk
from a2d_tf.adaptive.goal import LOGIT_SLACK, Excess, Goal, own_labels
from a2d_tf.attacks import BIM
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Images

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
        labels, is_known = own_labels(self._classifier, images)
        found = walk(self._classifier, self._attack, images, labels, self._iterations)
        leads = lead_at(self._classifier, images, labels, found.positions[-1])
        return tf.where(is_known & found.followed, leads, np.float32(np.inf))

    def __repr__(self) -> str:
        return f"KeptLabel({self._attack!r}, {self._iterations:g})"


def judges_bim_alone(a2d: A2D) -> bool:
    """Whether a fitted A2D judges costs of BIM or BIM2 and nothing else."""
    return len(costs_of_bim(a2d.state.features)) == len(a2d.state.features)


def bim_cost_goal(a2d: A2D, benign: Images) -> Goal:
    """What an attack on a fitted A2D lowers that judges costs of BIM or BIM2 alone.

    The attack must reach certain costs: a share of the benign medians, the same one for every
    column. It is the smallest share such that the detector flags neither it nor any share from
    there up to the medians. If the detector flags the medians, it is the smallest share above 1
    that passes, and if none does, the smallest of the highest shares in a row that pass. With
    several columns all costs must be reached, even if the detector would accept fewer.

    Args:
      a2d: the fitted A2D; see `judges_bim_alone`.
      benign: f32[N,H,W,C], benign images; the first of them are measured.

    Raises:
      InvalidInputError: no benign image can be measured, or the detector flags all these costs.
    """
    attacks = list(costs_of_bim(a2d.state.features).values())
    medians = np.array(list(median_costs(a2d, benign).values()))
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
