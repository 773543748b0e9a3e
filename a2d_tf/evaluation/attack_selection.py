"""Which attack to defend with: how well its cost separates, for how much time (section 5.1)."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from a2d_tf.attacks import BIM, Attack, calibrate
from a2d_tf.attacks.runner import Costs, OnFinished
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation import metrics
from a2d_tf.evaluation.cache_keys import classifier_key, settings_key
from a2d_tf.features import attack_costs
from a2d_tf.images.batching import ImageSource, to_array
from a2d_tf.images.spec import Images
from a2d_tf.reports.axes import Axis
from a2d_tf.reports.measurement_figures import trade_off
from a2d_tf.reports.progress import Progress
from a2d_tf.reports.tables import Table
from a2d_tf.storage.stages import Arrays, Stages, digest, machine
from a2d_tf.threats import FGSM, AttackThreat, Threat

BIM_A_STEPS = 30  # to the end of its radius, as published
BIM_A_ITERATIONS = 50


class AttackScore(NamedTuple):
    """What an attack is worth as a cost attack.

    Attributes:
      attack: its name.
      auroc: how well its cost alone separates, and `auroc_interval` its 95 % interval.
      seconds: per image of both kinds, in batches, tracing left out.
      benign, adversarial: median costs.
      at_cap: share of the benign images that cost as much as the attack can.
      images: how many benign and adversarial ones it was measured on.
      pareto_optimal: whether no other attack separates better in less time.
    """

    attack: str
    auroc: float
    auroc_interval: tuple[float, float]
    seconds: float
    benign: float
    adversarial: float
    at_cap: float
    images: tuple[int, int]
    pareto_optimal: bool = True

    @property
    def per_second(self) -> float:
        """Separation, 0 for none and 1 for a perfect one, per second."""
        return (2 * self.auroc - 1) / self.seconds


class AttackTiming(NamedTuple):
    """Costs of an attack, [N] and [M], and the seconds f64[] for all of them."""

    benign: Costs
    adversarial: Costs
    seconds: NDArray[np.float64]


def select_attacks(
    classifier: Classifier,
    benign: ImageSource,
    adversarial: ImageSource,
    attacks: Mapping[str, Attack],
    *,
    batch_size: int = 128,
    on_finished: OnFinished | None = None,
) -> list[AttackScore]:
    """Compares attacks on your own images.

    Args:
      classifier: the classifier to defend.
      benign: f32[N,H,W,C], N >= 1.
      adversarial: f32[M,H,W,C], M >= 1.
      attacks: the cost attacks, by name.
      batch_size: examples under attack at once.
      on_finished: called with the number of images that an attack has just finished.

    Returns:
      A score for each attack, the one with the most separation per second first.

    Raises:
      InvalidInputError: no images of a kind, no attacks, or unfit images.
    """
    check_choice(attacks)
    benign, adversarial = (
        to_array(images, classifier.input_spec) for images in (benign, adversarial)
    )
    return rank(attacks, {
        name: time_attack(
            classifier, benign, adversarial, attack, batch_size=batch_size,
            on_finished=on_finished,
        ) for name, attack in attacks.items()
    })


def check_choice(attacks: Mapping[str, Attack]) -> None:
    """Raises InvalidInputError if there is nothing to choose from."""
    if not attacks:
        raise InvalidInputError("expected attacks to choose from, got none; name at least one")


def time_attack(
    classifier: Classifier,
    benign: Images,
    adversarial: Images,
    attack: Attack,
    *,
    batch_size: int = 128,
    on_finished: OnFinished | None = None,
) -> AttackTiming:
    """The costs of one attack and its time, in batches and with tracing left out.

    Args and raises: as `select_attacks`.
    """
    if not (len(benign) and len(adversarial)):
        raise InvalidInputError(
            f"expected benign and adversarial images, got {len(benign)} and {len(adversarial)}; "
            "give some of each"
        )
    classifier.preflight(
        classifier.check(benign), logits=attack.needs_logits, gradients=attack.needs_gradients
    )
    attack_costs(classifier, benign[:1], attack, batch_size=batch_size)  # traces the graph
    start = time.perf_counter()
    costs, others = (
        attack_costs(
            classifier, images, attack, batch_size=batch_size, on_finished=on_finished
        ).costs[:, 0] for images in (benign, adversarial)
    )
    return AttackTiming(costs, others, np.array(time.perf_counter() - start))


def rank(attacks: Mapping[str, Attack], measured: Mapping[str, AttackTiming]) -> list[AttackScore]:
    """A score for each attack, the one with the most separation per second first."""
    scores = [
        AttackScore(
            attack=name, auroc=metrics.auroc(-costs, -others),
            auroc_interval=metrics.auroc_interval(-costs, -others),
            seconds=float(seconds) / (len(costs) + len(others)),
            benign=float(np.median(costs)), adversarial=float(np.median(others)),
            at_cap=float((costs == attacks[name].max_iterations).mean()),
            images=(len(costs), len(others)),
        ) for name, (costs, others, seconds) in measured.items()
    ]
    return sorted(
        (one._replace(pareto_optimal=not _dominated(one, scores)) for one in scores),
        key=lambda one: one.per_second, reverse=True,
    )


def own_recipes(classifier: Classifier, benign: Images) -> list[Threat]:
    """FGSM and BIM-a for a classifier that has no preset, from benign images f32[N,H,W,C].

    Their radius is that of the BIM that suits it, as on MNIST in the paper.
    """
    return recipes_of(cast(BIM, calibrate("bim-search", classifier, benign)))


def recipes_of(bim: BIM) -> list[Threat]:
    """FGSM and BIM-a with the radius of a BIM."""
    step = bim.eps / BIM_A_STEPS
    bim_a = BIM(eps=bim.eps, step=step, max_iterations=BIM_A_ITERATIONS)
    return [FGSM(eps=bim.eps), AttackThreat(attack=bim_a)]


def adversarial_versions(
    classifier: Classifier,
    benign: Images,
    recipes: Iterable[Threat],
    *,
    on_finished: OnFinished | None = None,
) -> Images:
    """Successful adversarial versions f32[M,H,W,C] of images f32[N,H,W,C] by several threats.

    The classifier's own labels stand for the true ones.
    """
    labels = classifier.predict(benign)
    crafted = [recipe.craft(classifier, benign, labels, on_finished) for recipe in recipes]
    return np.concatenate([one.images[one.success] for one in crafted])


def table(scores: Sequence[AttackScore]) -> Table:
    """The scores as a table."""
    header = ["attack", "AUROC", "95 % interval", "s per image", "separation per s",
              "median cost, benign", "adversarial", "at cap", "Pareto-optimal"]
    return Table("Attacks by separation per second", header, [
        [
            one.attack, f"{one.auroc:.4f}", "{:.4f} to {:.4f}".format(*one.auroc_interval),
            f"{one.seconds:.3g}", f"{one.per_second:.3g}", f"{one.benign:g}",
            f"{one.adversarial:g}", f"{one.at_cap:.0%}", "yes" if one.pareto_optimal else "",
        ] for one in scores
    ])


def draw(scores: Sequence[AttackScore], path: str | Path) -> None:
    """Draws AUROC against time to a PNG file."""
    trade_off(
        {one.attack: (one.seconds, one.auroc) for one in scores},
        [one.attack for one in scores if one.pareto_optimal],
        Axis("seconds per image", log=True), Axis("AUROC of the cost"), path,
    )


def _dominated(one: AttackScore, others: list[AttackScore]) -> bool:
    return any(
        other.auroc >= one.auroc and other.seconds < one.seconds
        or other.auroc > one.auroc and other.seconds <= one.seconds
        for other in others
    )


def run_selection(
    classifier: Classifier,
    benign: Images,
    adversarial: Images | None,
    recipes: Sequence[Threat],
    attacks: Mapping[str, Attack],
    workdir: str | Path,
    *,
    progress: Progress,
) -> list[AttackScore]:
    """`select_attacks`, resumed: an attack that is in the folder already is not run again.

    Args:
      classifier: one that was loaded from a file, whose hash names it in the folder.
      benign: f32[N,H,W,C], N >= 1.
      adversarial: f32[M,H,W,C], M >= 1; None crafts them from the benign ones.
      recipes: how to craft them.
      attacks: the cost attacks, by name.
      workdir: where finished attacks are kept.
      progress: follows the images.

    Raises:
      InvalidInputError: as `select_attacks`, or a classifier that was not loaded from a file.
    """
    check_choice(attacks)
    stages = Stages(Path(workdir))
    key = classifier_key(classifier) | {"benign": digest(benign)}

    def craft() -> Arrays:
        with progress.stage("craft", len(benign) * len(recipes)) as advance:
            return {"images": adversarial_versions(
                classifier, benign, recipes, on_finished=advance
            )}

    def timing(name: str, attack: Attack, adversarial: Images) -> AttackTiming:
        def make() -> Arrays:
            with progress.stage(f"{name} costs", len(benign) + len(adversarial)) as advance:
                found = time_attack(classifier, benign, adversarial, attack, on_finished=advance)
            return found._asdict()

        cache_key = key | {
            "adversarial": digest(adversarial), "attack": settings_key(attack),
            "machine": machine(),
        }
        return AttackTiming(**stages.arrays(f"choice/{name}", cache_key, make))

    if adversarial is None:
        cache_key = key | {"recipes": [settings_key(recipe) for recipe in recipes]}
        adversarial = stages.arrays("choice/craft", cache_key, craft)["images"]
    return rank(
        attacks, {name: timing(name, attack, adversarial) for name, attack in attacks.items()}
    )
