"""Which attack to defend with: how well its cost separates, for how much time (section 5.1)."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from a2d_tf import charts, metrics
from a2d_tf.attacks import BIM, Attack, calibrate
from a2d_tf.attacks.base import preflight
from a2d_tf.attacks.running import OnFinished
from a2d_tf.charts import Axis
from a2d_tf.classifier import Classifier
from a2d_tf.costs import attack_costs
from a2d_tf.errors import InvalidInputError
from a2d_tf.pixels import Images
from a2d_tf.report import Grid
from a2d_tf.threats import FGSM, BIMa, Threat

STEPS = 30  # of BIM-a to the end of its radius, as published


class Candidate(NamedTuple):
    """What an attack is worth as a defence.

    Attributes:
      attack: its name.
      auroc: how well its cost alone separates, and `auroc_interval` its 95 % interval.
      seconds: per image of both kinds, in batches, tracing left out.
      benign, adversarial: median costs.
      at_cap: share of the benign images that cost as much as the attack can.
      images: how many benign and adversarial ones it was measured on.
      unbeaten: whether no other attack separates better in less time.
    """

    attack: str
    auroc: float
    auroc_interval: tuple[float, float]
    seconds: float
    benign: float
    adversarial: float
    at_cap: float
    images: tuple[int, int]
    unbeaten: bool = True

    @property
    def per_second(self) -> float:
        """Separation, 0 for none and 1 for a perfect one, per second."""
        return (2 * self.auroc - 1) / self.seconds


class Measured(NamedTuple):
    """What an attack cost and took: costs i32[N] and i32[M], seconds f64[] for them all."""

    benign: NDArray[np.int32]
    adversarial: NDArray[np.int32]
    seconds: NDArray[np.float64]


def select_attacks(
    classifier: Classifier,
    benign: Images,
    adversarial: Images,
    attacks: Mapping[str, Attack],
    *,
    batch_size: int = 128,
    on_finished: OnFinished | None = None,
) -> list[Candidate]:
    """Compares attacks on images of one's own.

    Args:
      classifier: the classifier to defend.
      benign: f32[N,H,W,C], N >= 1.
      adversarial: f32[M,H,W,C], M >= 1.
      attacks: the cost attacks, by name.
      batch_size: examples under attack at once.
      on_finished: called with the number of images that an attack has just finished.

    Returns:
      A candidate for each attack, the one with the most separation per second first.

    Raises:
      InvalidInputError: no images of a kind, no attacks, or unfit images.
    """
    check_choice(attacks)
    return ranked(attacks, {
        name: measure(
            classifier, benign, adversarial, attack, batch_size=batch_size,
            on_finished=on_finished,
        ) for name, attack in attacks.items()
    })


def check_choice(attacks: Mapping[str, Attack]) -> None:
    """Raises InvalidInputError if there is nothing to choose from."""
    if not attacks:
        raise InvalidInputError("expected attacks to choose from, got none; name at least one")


def measure(
    classifier: Classifier,
    benign: Images,
    adversarial: Images,
    attack: Attack,
    *,
    batch_size: int = 128,
    on_finished: OnFinished | None = None,
) -> Measured:
    """What one attack costs and takes, in batches and with tracing left out.

    Args and raises: as `select_attacks`.
    """
    if not (len(benign) and len(adversarial)):
        raise InvalidInputError(
            f"expected benign and adversarial images, got {len(benign)} and {len(adversarial)}; "
            "give some of each"
        )
    preflight(classifier, classifier.check(benign), [attack])
    attack_costs(classifier, benign[:1], {"": attack}, batch_size=batch_size)  # traces
    start = time.perf_counter()
    costs, others = (
        attack_costs(
            classifier, images, {"": attack}, batch_size=batch_size, on_finished=on_finished
        ).costs[:, 0] for images in (benign, adversarial)
    )
    return Measured(costs, others, np.array(time.perf_counter() - start))


def ranked(attacks: Mapping[str, Attack], measured: Mapping[str, Measured]) -> list[Candidate]:
    """A candidate for each attack, the one with the most separation per second first."""
    candidates = [
        Candidate(
            attack=name, auroc=metrics.auroc(-costs, -others),
            auroc_interval=metrics.auroc_interval(-costs, -others),
            seconds=float(seconds) / (len(costs) + len(others)),
            benign=float(np.median(costs)), adversarial=float(np.median(others)),
            at_cap=float((costs == attacks[name].max_iterations).mean()),
            images=(len(costs), len(others)),
        ) for name, (costs, others, seconds) in measured.items()
    ]
    return sorted(
        (one._replace(unbeaten=not _beaten(one, candidates)) for one in candidates),
        key=lambda one: one.per_second, reverse=True,
    )


def own_recipes(classifier: Classifier, benign: Images) -> list[Threat]:
    """FGSM and BIM-a for a classifier that no preset was made for, from benign f32[N,H,W,C].

    Their radius is that of the BIM that suits it, which is so on MNIST in the paper.
    """
    bim = cast(BIM, calibrate("bim-search", classifier, benign))
    return [FGSM(eps=bim.eps), BIMa(eps=bim.eps, step=bim.eps / STEPS)]


def adversarial_versions(
    classifier: Classifier,
    benign: Images,
    recipes: Iterable[Threat],
    *,
    on_finished: OnFinished = lambda count: None,
) -> Images:
    """What threats make of images f32[N,H,W,C] and the classifier falls for: f32[M,H,W,C].

    The classifier's own labels stand for the true ones.
    """
    labels = classifier.predict(benign)
    crafted = [recipe.craft(classifier, benign, labels, on_finished) for recipe in recipes]
    return np.concatenate([one.images[one.success] for one in crafted])


def grid(candidates: Sequence[Candidate]) -> Grid:
    """The candidates as a table."""
    header = ["attack", "AUROC", "95 % interval", "s per image", "separation per s",
              "median cost, benign", "adversarial", "at cap", "unbeaten"]
    return Grid("Attacks by separation per second", header, [
        [
            one.attack, f"{one.auroc:.4f}", "{:.4f} to {:.4f}".format(*one.auroc_interval),
            f"{one.seconds:.3g}", f"{one.per_second:.3g}", f"{one.benign:g}",
            f"{one.adversarial:g}", f"{one.at_cap:.0%}", "yes" if one.unbeaten else "",
        ] for one in candidates
    ])


def draw(candidates: Sequence[Candidate], path: str | Path) -> None:
    """Draws AUROC against time to a PNG file."""
    charts.trade_off(
        {one.attack: (one.seconds, one.auroc) for one in candidates},
        [one.attack for one in candidates if one.unbeaten],
        Axis("seconds per image", log=True), Axis("AUROC of the cost"), path,
    )


def _beaten(one: Candidate, others: list[Candidate]) -> bool:
    return any(
        other.auroc >= one.auroc and other.seconds < one.seconds
        or other.auroc > one.auroc and other.seconds <= one.seconds
        for other in others
    )
