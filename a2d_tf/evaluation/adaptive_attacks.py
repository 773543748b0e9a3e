"""The attacks of `adaptive.py` by name, each at a list of strengths."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from a2d_tf import threats
from a2d_tf.a2d import A2D
from a2d_tf.adaptive import BenignColumns, Goal, OrthogonalPGD, SelectivePGD, differentiable_score
from a2d_tf.attacks import CarliniWagner
from a2d_tf.checks import lookup, number
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Images
from a2d_tf.threats import PGD, AttackThreat, Threat


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strengths:
    """How strong the attacks are.

    Attributes:
      kappas: leads in logits that C&W must reach.
      eps: radii of the others, in the units of `threats.PGD`.
      norm: their norm, "linf" or "l2".
      steps, restarts, seed: as for `threats.PGD`.
    """

    kappas: Sequence[float] = (0.0, 5.0, 10.0, 20.0)
    eps: Sequence[float] = (0.1, 0.2, 0.3)
    norm: str = "linf"
    steps: int = 100
    restarts: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for kappa in self.kappas:
            number(kappa, "a kappa", minimum=0)
        for eps in self.eps:
            PGD(eps=eps, **self.pgd)  # refuses what no attack takes

    @property
    def pgd(self) -> dict[str, Any]:
        """The settings of a projected threat besides its radius."""
        return {
            "norm": self.norm, "steps": self.steps, "restarts": self.restarts, "seed": self.seed
        }


class Kind(NamedTuple):
    """What an attack looks at, and how it is made.

    Attributes:
      by_kappa: whether its strength is a kappa, and not a radius.
      goal: makes its goal from classifier, benign images and detector; None without a goal.
      knows_detector: whether it is another attack for every detector.
      make: the threat of a strength.
    """

    by_kappa: bool
    goal: Callable[[Classifier, Images, A2D | None], Goal] | None
    knows_detector: bool
    make: Callable[[float, Strengths, Goal | None], Threat]


def _cw(strength: float, strengths: Strengths, goal: Goal | None) -> Threat:
    published = cast(AttackThreat, threats.preset("cw"))
    attack = cast(CarliniWagner, published.attack)
    return AttackThreat(attack=dataclasses.replace(attack, confidence=strength))


def _pgd(loss: str) -> Callable[[float, Strengths, Goal | None], Threat]:
    return lambda eps, strengths, goal: PGD(eps=eps, loss=loss, **strengths.pgd)


def _joint(
    kind: type[SelectivePGD] | type[OrthogonalPGD]
) -> Callable[[float, Strengths, Goal | None], Threat]:
    return lambda eps, strengths, goal: kind(eps=eps, goal=cast(Goal, goal), **strengths.pgd)


def _median(classifier: Classifier, benign: Images, a2d: A2D | None) -> Goal:
    return BenignColumns(classifier, benign)


def _image(classifier: Classifier, benign: Images, a2d: A2D | None) -> Goal:
    return BenignColumns(classifier, benign, match="image")


def _score(classifier: Classifier, benign: Images, a2d: A2D | None) -> Goal:
    score = differentiable_score(cast(A2D, a2d))
    score.check(benign)
    return score


KINDS: dict[str, Kind] = {
    "cw": Kind(True, None, False, _cw),
    "pgd": Kind(False, None, False, _pgd("cross-entropy")),
    "pgd-margin": Kind(False, None, False, _pgd("margin")),
    "surrogate": Kind(False, _median, False, _joint(SelectivePGD)),
    "matching": Kind(False, _image, False, _joint(SelectivePGD)),
    "selective": Kind(False, _score, True, _joint(SelectivePGD)),
    "orthogonal": Kind(False, _score, True, _joint(OrthogonalPGD)),
}


def kinds(names: Sequence[str]) -> dict[str, Kind]:
    """The attacks of these names.

    Raises:
      InvalidInputError: an unknown attack, or none.
    """
    if not names:
        raise InvalidInputError("expected at least one attack, got none; name some")
    return {name: lookup(KINDS, name, "an attack") for name in names}
