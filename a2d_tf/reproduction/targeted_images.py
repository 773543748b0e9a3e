"""Figures 8, 9, 11, 12 and 13: targeted images of C&W, and what defences say of them."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation.adaptive_attacks import carlini_wagner
from a2d_tf.evaluation.adaptive_judges import Judge
from a2d_tf.images.spec import Images, Labels
from a2d_tf.reports.gallery import Shown, grid
from a2d_tf.reports.tables import Table
from a2d_tf.reproduction import section6
from a2d_tf.reproduction.runner import ReproductionConfig, ReproductionResult
from a2d_tf.reproduction.section6 import ALONE, BOTH, Setup
from a2d_tf.storage.stages import Arrays, digest

KAPPAS = (0.0, 5.0, 10.0, 15.0, 20.0)
DIGIT, DIGIT_TARGET = 4, 0  # figure 8
AIRPLANE, CAT = 0, 3  # figure 9


class Targeted(NamedTuple):
    """Targeted images of C&W.

    Attributes:
      images: f32[N,H,W,C]; the original where the attack failed.
      success: bool[N], whether the target was reached.
      flagged: bool[N], whether the defence flags the image.
      l2: f64[N], distances to the originals.
    """

    images: Images
    success: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    l2: NDArray[np.float64]


def figure8(config: ReproductionConfig) -> ReproductionResult:
    """A four of MNIST that becomes a zero with growing confidence, against A2D with AE."""
    one = section6.setup(config, "mnist")
    judge = section6.defences(config, one, encoder=True)[BOTH]
    place = _first_of(one, DIGIT)
    found = [_one_image(config, one, judge, place, DIGIT_TARGET, kappa) for kappa in KAPPAS]
    shown = [Shown(one.images[place], "benign"), *(
        _caption(item, 0, f"kappa {kappa:g}") for kappa, item in zip(KAPPAS, found)
    )]
    table = Table(
        f"A {DIGIT} that becomes a {DIGIT_TARGET}", ["kappa", "reached", "L2", BOTH],
        [[f"{kappa:g}", *_cells(item, 0)] for kappa, item in zip(KAPPAS, found)],
    )
    results = {"mnist": [_values(item, 0) | {"kappa": k} for k, item in zip(KAPPAS, found)]}
    return ReproductionResult(results, [table], partial(grid, [shown]))


def figure9(config: ReproductionConfig) -> ReproductionResult:
    """An airplane of CIFAR-10 that becomes a cat: plain, on a robust classifier, and past A2D too.

    The last image is that of the smallest confidence that A2D does not flag, if there is one.
    """
    shown: list[Shown] = []
    rows: list[list[str]] = []
    results: dict[str, Any] = {}
    plain = section6.setup(config, "cifar10")
    robust = section6.setup(config, "cifar10", is_robust=True)
    airplane, same = _shared_image(plain, robust, AIRPLANE)
    for title, one, place, kappas in (
        ("no defence", plain, airplane, KAPPAS[:1]), ("PGD-trained", robust, same, KAPPAS[:1]),
        ("A2D, PGD-trained", robust, same, KAPPAS),
    ):
        judge = section6.defences(config, one, encoder=False)[ALONE]
        if not shown:
            shown.append(Shown(one.images[place], "benign"))
        tried = ((k, _one_image(config, one, judge, place, CAT, k)) for k in kappas)
        needs_pass = len(kappas) > 1
        best = next((
            (kappa, item) for kappa, item in tried
            if item.success[0] and not (needs_pass and item.flagged[0])
        ), None)
        if best is None:
            shown.append(Shown(None, f"{title}\nnone found"))
            rows.append([title, "none found", "", "", ""])
            results[title] = None
        else:
            kappa, item = best
            shown.append(_caption(item, 0, f"{title}, kappa {kappa:g}"))
            rows.append([title, f"{kappa:g}", *_cells(item, 0)])
            results[title] = _values(item, 0) | {"kappa": kappa}
    table = Table(
        "An airplane that becomes a cat", ["classifier", "kappa", "reached", "L2", ALONE], rows
    )
    accuracy = {"plain": plain.accuracy, "robust": robust.accuracy}
    return ReproductionResult(
        {"cifar10": results, "accuracy": accuracy}, [table], partial(grid, [shown])
    )


def figure11(config: ReproductionConfig) -> ReproductionResult:
    """Every pair of classes on MNIST with kappa 20, against A2D with AE."""
    return _every_pair(config, "mnist", False, 20.0, BOTH, "all are flagged")


def figure12(config: ReproductionConfig) -> ReproductionResult:
    """Every pair of classes on the PGD-trained classifier of CIFAR-10 with kappa 0."""
    return _every_pair(config, "cifar10", True, 0.0, ALONE, "all are flagged")


def figure13(config: ReproductionConfig) -> ReproductionResult:
    """Every pair of classes on the PGD-trained classifier of CIFAR-10 with kappa 10."""
    return _every_pair(config, "cifar10", True, 10.0, ALONE, "all but 3 are flagged")


def _every_pair(
    config: ReproductionConfig, dataset: str, is_robust: bool, kappa: float, defence: str,
    paper: str,
) -> ReproductionResult:
    """An image of each class, towards every other class."""
    one = section6.setup(config, dataset, is_robust=is_robust)
    judge = section6.defences(config, one, encoder=defence == BOTH)[defence]
    classes = range(one.dataset.classes)
    places = [_first_of(one, label) for label in classes]
    pairs = [(a, b) for a in classes for b in classes if a != b]
    sources = np.array([places[a] for a, _ in pairs])
    found = _targeted(
        config, one, judge, one.images[sources], one.labels[sources],
        np.array([b for _, b in pairs]), kappa,
    )
    at = {pair: row for row, pair in enumerate(pairs)}
    rows = [[
        Shown(one.images[places[a]], "benign") if a == b else _caption(found, at[a, b], f"to {b}")
        for b in classes
    ] for a in classes]
    reached = int(found.success.sum())
    flagged = int((found.success & found.flagged).sum())
    mean = float(found.l2[found.success].mean()) if reached else None
    results = {dataset: {
        "kappa": kappa, "pairs": len(pairs), "reached": reached, "flagged": flagged,
        "mean_l2": mean, "accuracy": one.accuracy,
    }}
    table = Table(
        f"Targeted images of every pair of classes of {dataset}, kappa {kappa:g}",
        ["pairs", "target reached", f"flagged by {defence}", "mean L2", "paper"],
        [[str(len(pairs)), str(reached), f"{flagged} of {reached}",
          "" if mean is None else f"{mean:.2f}", paper]],
    )
    return ReproductionResult(results, [table], partial(grid, rows))


def _one_image(
    config: ReproductionConfig, one: Setup, judge: Judge, place: int, target: int, kappa: float
) -> Targeted:
    rows = slice(place, place + 1)
    return _targeted(
        config, one, judge, one.images[rows], one.labels[rows], np.array([target]), kappa
    )


def _targeted(
    config: ReproductionConfig, one: Setup, judge: Judge, images: Images, labels: Labels,
    targets: Labels, kappa: float,
) -> Targeted:
    attack = carlini_wagner(kappa)

    def make() -> Arrays:
        with config.progress.stage(f"targeted cw {kappa:g}", len(images)) as advance:
            crafted = attack.run(
                one.classifier, images, labels, targets=targets, on_finished=advance
            )
        verdict = judge.defence.predict(crafted.adversarial)
        return {
            "images": crafted.adversarial, "success": crafted.success,
            "flagged": verdict.is_adversarial,
        }

    stored = one.stages.arrays("targeted", section6.key_of(one) | {
        "attack": repr(attack), "from": digest(images), "to": digest(targets), "judge": judge.key,
    }, make)
    away = (stored["images"] - images).astype(np.float64) / one.classifier.bounds.range
    return Targeted(
        stored["images"], stored["success"], stored["flagged"],
        np.linalg.norm(away.reshape(len(images), -1), axis=1),
    )


def _first_of(one: Setup, label: int) -> int:
    """The place of the first image of a class."""
    places = np.flatnonzero(one.labels == label)
    if not len(places):
        raise _none_of(label, len(one.labels))
    return int(places[0])


def _shared_image(one: Setup, other: Setup, label: int) -> tuple[int, int]:
    """The places of the first image of a class that both classifiers get right."""
    for place in np.flatnonzero(one.labels == label):
        same = np.flatnonzero((other.images == one.images[place]).all(axis=(1, 2, 3)))
        if len(same):
            return int(place), int(same[0])
    raise _none_of(label, len(one.labels))


def _none_of(label: int, images: int) -> InvalidInputError:
    return InvalidInputError(
        f"expected an image of class {label} among the {images} under attack, got none; raise the "
        "limit"
    )


def _caption(found: Targeted, row: int, title: str) -> Shown:
    if not found.success[row]:
        return Shown(None, f"{title}\nnot reached")
    verdict = "flagged" if found.flagged[row] else "passes"
    return Shown(found.images[row], f"{title}\nL2 {found.l2[row]:.2f}, {verdict}")


def _cells(found: Targeted, row: int) -> Sequence[str]:
    reached = bool(found.success[row])
    return [
        "yes" if reached else "no", f"{found.l2[row]:.2f}" if reached else "",
        ("flagged" if found.flagged[row] else "passes") if reached else "",
    ]


def _values(found: Targeted, row: int) -> dict[str, Any]:
    """An image's figures as JSON values."""
    return {
        "reached": bool(found.success[row]), "l2": float(found.l2[row]),
        "flagged": bool(found.flagged[row]),
    }
