"""The attacks of `adaptive.py` by name, each at a list of strengths."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, cast

from a2d_tf import threats
from a2d_tf.adaptive import (
    BenignColumns,
    Defence,
    FilteredPGD,
    FlaggedBy,
    Goal,
    OrthogonalPGD,
    SelectivePGD,
    SharedStart,
    score_of,
)
from a2d_tf.attacks import CarliniWagner
from a2d_tf.attacks.start_images import StartImages
from a2d_tf.checks import integer, lookup, number
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Images
from a2d_tf.threats import PGD, AttackThreat, HopSkipJump, Threat

MOST_STARTS = 500  # benign images that a decision-based attack starts from


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strengths:
    """How strong the attacks are.

    Attributes:
      kappas: leads in logits that C&W must reach.
      eps: radii of the others in L-infinity, as fractions of the pixel range.
      l2: radii of the others in L2, in units of the pixel range.
      steps, restarts, seed: as for `threats.PGD`.
      iterations, queries: `iterations` and `first_queries` of `threats.HopSkipJump`.

    Raises:
      InvalidInputError: a strength that no attack takes, or none at all.
    """

    kappas: Sequence[float] = (0.0, 5.0, 10.0, 20.0)
    eps: Sequence[float] = (0.1, 0.2, 0.3)
    l2: Sequence[float] = ()
    steps: int = 100
    restarts: int = 1
    seed: int = 0
    iterations: int = 20
    queries: int = 100
    # What attacks on scores begin at, made once for all of them.
    _starts: dict[Any, Images] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for kappa in self.kappas:
            number(kappa, "a kappa", minimum=0)
        for norm, radii in self.radii.items():
            for eps in radii:
                PGD(eps=eps, norm=norm, **self.pgd)  # refuses what no attack takes
        for name, values in {"kappas": self.kappas, **self.radii}.items():
            if len(set(values)) < len(values):
                raise InvalidInputError(
                    f"expected different strengths in {name}, got {list(values)}; give each once"
                )
        integer(self.iterations, "iterations")
        integer(self.queries, "queries")
        if not (self.kappas or self.eps or self.l2):
            raise InvalidInputError(
                "expected at least one strength, got none; give a kappa or a radius"
            )

    @property
    def pgd(self) -> dict[str, Any]:
        """The settings of a projected threat besides its radius and its norm."""
        return {"steps": self.steps, "restarts": self.restarts, "seed": self.seed}

    def start(self, strength: "Strength") -> SharedStart:
        """The attack at whose images those on scores begin."""
        return SharedStart(
            eps=strength.value, norm=strength.norm, loss="margin", made=self._starts, **self.pgd
        )

    @property
    def radii(self) -> dict[str, Sequence[float]]:
        """The radii by norm."""
        return {"linf": self.eps, "l2": self.l2}


class Strength(NamedTuple):
    """One strength of an attack.

    Attributes:
      value: a kappa or a radius.
      norm: of the radius; empty for a kappa.
    """

    value: float
    norm: str


class Kind(NamedTuple):
    """What an attack looks at, and how it is made.

    Attributes:
      target: "classifier" for an attack that is the same for every defence, "verdicts" for one that
        asks each defence for its verdicts, or "score" for one that follows each detector's score.
      knowledge: what the attack knows, from the defence, its name and benign images.
      make: the threat of a strength, from what it knows.
      by_kappa: whether the strength is a kappa, and not a radius.
    """

    target: Literal["classifier", "verdicts", "score"]
    knowledge: Callable[[Defence, str, Images], Any]
    make: Callable[[Strength, Strengths, Any], Threat]
    by_kappa: bool = False

    def strengths(self, given: Strengths) -> list[Strength]:
        """All strengths that this attack runs with."""
        if self.by_kappa:
            return [Strength(kappa, "") for kappa in given.kappas]
        return [Strength(eps, norm) for norm, radii in given.radii.items() for eps in radii]


def _nothing(defence: Defence, name: str, benign: Images) -> None:
    return None


def carlini_wagner(kappa: float) -> CarliniWagner:
    """C&W with the published settings and a confidence."""
    published = cast(AttackThreat, threats.preset("cw"))
    return dataclasses.replace(cast(CarliniWagner, published.attack), confidence=kappa)


def _cw(strength: Strength, strengths: Strengths, known: None) -> Threat:
    return AttackThreat(attack=carlini_wagner(strength.value))


def _pgd(loss: str) -> Callable[[Strength, Strengths, None], Threat]:
    return lambda strength, strengths, known: PGD(
        eps=strength.value, norm=strength.norm, loss=loss, **strengths.pgd
    )


def _filters(strength: Strength, strengths: Strengths, known: None) -> FilteredPGD:
    return FilteredPGD(
        eps=strength.value, norm=strength.norm, loss="margin", **strengths.pgd
    )


def _joint(
    kind: type[SelectivePGD] | type[OrthogonalPGD]
) -> Callable[[Strength, Strengths, Goal], Threat]:
    return lambda strength, strengths, goal: kind(
        eps=strength.value, norm=strength.norm, goal=goal,
        start=strengths.start(strength), **strengths.pgd
    )


def _median(defence: Defence, name: str, benign: Images) -> Goal:
    return BenignColumns(defence.classifier, benign)


def _image(defence: Defence, name: str, benign: Images) -> Goal:
    return BenignColumns(defence.classifier, benign, match="image")


def _score(defence: Defence, name: str, benign: Images) -> Goal:
    return score_of(defence, benign)


def _decisions(defence: Defence, name: str, benign: Images) -> tuple[FlaggedBy, StartImages]:
    return FlaggedBy(defence, name), StartImages(benign[:MOST_STARTS])


def _hop_skip_jump(
    strength: Strength, strengths: Strengths, known: tuple[FlaggedBy, StartImages]
) -> Threat:
    """The same threat for every radius: it makes the distance small, however far it may go."""
    return HopSkipJump(
        norm=strength.norm, iterations=strengths.iterations, first_queries=strengths.queries,
        is_flagged=known[0], start_images=known[1], seed=strengths.seed,
    )


KINDS: dict[str, Kind] = {
    "cw": Kind("classifier", _nothing, _cw, by_kappa=True),
    "pgd": Kind("classifier", _nothing, _pgd("cross-entropy")),
    "pgd-margin": Kind("classifier", _nothing, _pgd("margin")),
    "filters": Kind("classifier", _nothing, _filters),
    "surrogate": Kind("classifier", _median, _joint(SelectivePGD)),
    "matching": Kind("classifier", _image, _joint(SelectivePGD)),
    "selective": Kind("score", _score, _joint(SelectivePGD)),
    "orthogonal": Kind("score", _score, _joint(OrthogonalPGD)),
    "hopskipjump": Kind("verdicts", _decisions, _hop_skip_jump),
}


def kinds(names: Sequence[str], strengths: Strengths) -> dict[str, Kind]:
    """The attacks of these names.

    Raises:
      InvalidInputError: an unknown attack, none, or one without a strength.
    """
    if not names:
        raise InvalidInputError("expected at least one attack, got none; name some")
    found = {name: lookup(KINDS, name, "an attack") for name in names}
    for name, kind in found.items():
        if not kind.strengths(strengths):
            raise InvalidInputError(
                f"expected a strength for each attack, got none for {name}; give "
                f"{'kappas' if kind.by_kappa else 'eps or l2'}, or leave it out"
            )
    return found
