"""What an attacker has to get past: one detector, several at once, or none."""

import warnings
from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from a2d_tf.a2d import A2D
from a2d_tf.adaptive.goal import Excess, Goal
from a2d_tf.adaptive.kept_label import bim_cost_goal, judges_bim_alone
from a2d_tf.adaptive.score import differentiable_score
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import DetectorWarning, InvalidInputError
from a2d_tf.images.spec import Images, Labels


class Verdict(Protocol):
    """What a defence says of N images."""

    @property
    def label(self) -> Labels:
        """i64[N], the classifier's labels."""

    @property
    def is_adversarial(self) -> NDArray[np.bool_]:
        """bool[N], which images are flagged."""


class Defence(Protocol):
    """A classifier and what stands before it; a fitted `A2D` is one."""

    @property
    def classifier(self) -> Classifier:
        """The classifier under attack."""

    def predict(self, images: Images) -> Verdict:
        """The verdicts on images f32[N,H,W,C]."""


@runtime_checkable
class Scored(Defence, Protocol):
    """A defence with a score that an attack can lower."""

    def goal(self, benign: Images) -> Goal:
        """The score, with a gradient at benign images f32[N,H,W,C].

        Raises:
          InvalidInputError: it has no gradient.
        """


class Flagged(NamedTuple):
    """A verdict on N images: labels i64[N], and which are flagged, bool[N]."""

    label: Labels
    is_adversarial: NDArray[np.bool_]


class Undefended:
    """A classifier alone, which flags nothing.

    Args:
      classifier: the classifier.
    """

    def __init__(self, classifier: Classifier):
        self.classifier = classifier

    def predict(self, images: Images) -> Flagged:
        """The labels of images f32[N,H,W,C], none of them flagged."""
        return Flagged(self.classifier.predict(images), np.zeros(len(images), bool))


class Together:
    """Several defences of one classifier: an image is flagged if any of them flags it.

    Their false-positive rates add up, at most.

    Args:
      parts: the defences, such as fitted detectors, by name.

    Raises:
      InvalidInputError: fewer than two defences.
    """

    def __init__(self, parts: Mapping[str, Defence]):
        if len(parts) < 2:
            raise InvalidInputError(
                f"expected at least 2 detectors to put together, got {len(parts)}; name more"
            )
        self.parts = dict(parts)

    @property
    def classifier(self) -> Classifier:
        """The classifier of the first defence."""
        return next(iter(self.parts.values())).classifier

    def predict(self, images: Images) -> Flagged:
        """The verdicts on images f32[N,H,W,C]."""
        found = [part.predict(images) for part in self.parts.values()]
        flagged = np.any([one.is_adversarial for one in found], axis=0)
        return Flagged(found[0].label, flagged)

    def goal(self, benign: Images) -> Goal:
        """By how much the parts' scores exceed their thresholds, together; see `score_of`.

        Parts whose score has no gradient are left out, with a warning.

        Raises:
          InvalidInputError: no part has one.
        """
        goals: list[Goal] = []
        refusals: dict[str, InvalidInputError] = {}
        for name, part in self.parts.items():
            try:
                goals.append(score_of(part, benign))
            except InvalidInputError as error:
                refusals[name] = error
        if not goals:
            raise next(iter(refusals.values()))
        for name, reason in refusals.items():
            warnings.warn(
                f"attacks on detectors together do not follow {name}: {reason}", DetectorWarning,
                stacklevel=2,
            )
        return Excess(goals, benign)


class FlaggedBy:
    """Which images a defence flags, as a setting of a decision-based attack.

    Args:
      defence: the defence.
      name: its name, which stands for it in the attack's `repr`.
    """

    def __init__(self, defence: Defence, name: str):
        self._defence = defence
        self._name = name

    def __call__(self, images: Images) -> NDArray[np.bool_]:
        if isinstance(self._defence, A2D):  # its verdicts alone take less time
            return self._defence.is_adversarial(images)
        return self._defence.predict(images).is_adversarial

    def __repr__(self) -> str:
        return f"FlaggedBy({self._name!r})"


def score_of(defence: Defence, benign: Images) -> Goal:
    """What an attack lowers to get past a defence, with a gradient at benign images.

    That is the score of a fitted `A2D`. If it judges nothing but costs of BIM, the goal is instead
    to keep the label for as many iterations as the detector asks (`KeptLabel`).

    Args:
      defence: a fitted `A2D`, or a defence with a method `goal`, as those of this package.
      benign: f32[N,H,W,C], where the gradient is looked for.

    Raises:
      InvalidInputError: the score has no gradient, or there is none.
    """
    if isinstance(defence, A2D):
        if judges_bim_alone(defence):
            return bim_cost_goal(defence, benign)
        score = differentiable_score(defence, benign)
        score.check(benign)
        return score
    if isinstance(defence, Scored):
        return defence.goal(benign)
    raise InvalidInputError(
        f"expected a defence with a score, got {type(defence).__name__}; leave it out"
    )
