"""What an attacker has to get past: one detector, several at once, or none."""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf.a2d import A2D
from a2d_tf.adaptive.goal import Goal
from a2d_tf.adaptive.score import differentiable_score
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import DetectorWarning, InvalidInputError
from a2d_tf.images.spec import Images, Labels

COMPARED = 64  # benign images at which goals are compared


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


class Excess(Goal):
    """By how much several goals exceed what is enough for each, as a sum.

    Each is divided by the standard deviation of its values at benign images, so that they compare.
    The sum has the gradients of all goals that are not reached, where the highest alone would pull
    to and fro between them.

    Args:
      goals: the goals, of the same classifier.
      benign: f32[N,H,W,C], benign images.

    Raises:
      InvalidInputError: a goal of which lower is always better.
    """

    def __init__(self, goals: Sequence[Goal], benign: Images):
        if endless := [goal for goal in goals if not np.isfinite(goal.enough)]:
            raise InvalidInputError(
                f"expected goals that can be reached, got {endless[0]!r}; leave it out"
            )
        self._goals = list(goals)
        some = tf.constant(benign[:COMPARED])
        self._spreads = []
        for goal in goals:
            values = goal.value(some, tf.zeros((len(some), 0))).numpy()
            spread = float(np.std(values[np.isfinite(values)]))
            self._spreads.append(spread if spread > 0 else 1.0)

    @property
    def enough(self) -> float:
        return 0.0

    def value(self, images: tf.Tensor, aims: tf.Tensor) -> tf.Tensor:
        return tf.add_n([
            tf.nn.relu((tf.cast(goal.value(images, aims), tf.float32) - goal.enough) / spread)
            for goal, spread in zip(self._goals, self._spreads, strict=True)
        ])

    def __repr__(self) -> str:
        return f"Excess({self._goals!r})"


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
    """The score of a defence that an attack lowers, with a gradient at benign images.

    Args:
      defence: a fitted `A2D`, or a defence with a method `goal`, as those of this package.
      benign: f32[N,H,W,C], where the gradient is looked for.

    Raises:
      InvalidInputError: the score has no gradient, or there is none.
    """
    if isinstance(defence, A2D):
        score = differentiable_score(defence)
        score.check(benign)
        return score
    if isinstance(defence, Scored):
        return defence.goal(benign)
    raise InvalidInputError(
        f"expected a defence with a score, got {type(defence).__name__}; leave it out"
    )
