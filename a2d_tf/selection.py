"""Which attack to defend with: how well its cost separates, for how much time (section 5.1)."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from a2d_tf import charts, metrics
from a2d_tf.attacks import Attack
from a2d_tf.attacks.running import OnFinished
from a2d_tf.charts import Axis
from a2d_tf.classifier import Classifier, Images
from a2d_tf.costs import attack_costs
from a2d_tf.errors import InvalidInputError
from a2d_tf.report import Grid
from a2d_tf.threats import Threat


class Candidate(NamedTuple):
    """What an attack is worth as a defence.

    Attributes:
      attack: its name.
      auroc: how well its cost alone separates, and `auroc_interval` its 95 % interval.
      seconds: per image of both kinds, in batches, tracing left out.
      benign, adversarial: median costs.
      at_cap: share of the benign images that cost as much as the attack can.
      unbeaten: whether no other attack separates better in less time.
    """

    attack: str
    auroc: float
    auroc_interval: tuple[float, float]
    seconds: float
    benign: float
    adversarial: float
    at_cap: float
    unbeaten: bool = True

    @property
    def per_second(self) -> float:
        """Separation, 0 for none and 1 for a perfect one, per second."""
        return (2 * self.auroc - 1) / self.seconds


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
    if not (len(benign) and len(adversarial) and attacks):
        raise InvalidInputError(
            f"expected benign and adversarial images and attacks to choose from, got "
            f"{len(benign)}, {len(adversarial)} and {len(attacks)}; give some of each"
        )
    candidates = []
    for name, attack in attacks.items():
        attack_costs(classifier, benign[:1], {name: attack}, batch_size=batch_size)  # traces
        start = time.perf_counter()
        costs, others = (
            attack_costs(
                classifier, images, {name: attack}, batch_size=batch_size, on_finished=on_finished
            ).costs[:, 0] for images in (benign, adversarial)
        )
        seconds = time.perf_counter() - start
        candidates.append(Candidate(
            attack=name, auroc=metrics.auroc(-costs, -others),
            auroc_interval=metrics.auroc_interval(-costs, -others),
            seconds=seconds / (len(benign) + len(adversarial)),
            benign=float(np.median(costs)), adversarial=float(np.median(others)),
            at_cap=float((costs == attack.max_iterations).mean()),
        ))
    return sorted(
        (one._replace(unbeaten=not _beaten(one, candidates)) for one in candidates),
        key=lambda one: one.per_second, reverse=True,
    )


def adversarial_versions(
    classifier: Classifier, benign: Images, recipes: Iterable[Threat]
) -> Images:
    """What threats make of images f32[N,H,W,C] and the classifier falls for: f32[M,H,W,C].

    The classifier's own labels stand for the true ones.
    """
    labels = classifier.predict(benign)
    crafted = [recipe.craft(classifier, benign, labels) for recipe in recipes]
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
