"""What `adaptive.py` reports: bypass rates with intervals, worst cases, tables and a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from a2d_tf.evaluation.adaptive import Bypass
from a2d_tf.evaluation.adaptive_judges import Judge
from a2d_tf.images.bounds import Bounds, to_unit
from a2d_tf.images.spec import Images
from a2d_tf.reports.axes import Axis
from a2d_tf.reports.gallery import Pair
from a2d_tf.reports.measurement_figures import Curve, curves
from a2d_tf.reports.tables import Table

GALLERY = 8  # images of each defence


def interval(count: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927)."""
    found = scipy.stats.binomtest(count, total).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def rates(found: Sequence[Bypass]) -> list[dict[str, Any]]:
    """A row for each detector, attack and strength, as JSON values.

    Distances are means over the images that are misclassified; None if there is none.
    """
    return [
        {
            "detector": one.detector, "attack": one.attack, "strength": one.strength,
            "norm": one.norm, "images": len(one.bypassed),
            "misclassified": float(one.misclassified.mean()),
            "mean_l2": _mean(one.l2, one.misclassified),
            "mean_linf": _mean(one.linf, one.misclassified),
            **_share(one.bypassed),
        } for one in found
    ]


def worst_cases(
    found: Sequence[Bypass], judges: Mapping[str, Judge], benign: Images
) -> list[dict[str, Any]]:
    """A row for each defence: for each image, the best of all attacks and strengths counts.

    `attacks` are those that ran against it: attacks that follow a score leave out a defence
    without a gradient.
    """
    rows = []
    for name, judge in judges.items():
        its = [one for one in found if one.detector == name]
        if not its:
            continue
        any_bypass = np.any([one.bypassed for one in its], axis=0)
        rows.append({
            "detector": name, "images": len(any_bypass),
            "false_positive_rate": float(judge.defence.predict(benign).is_adversarial.mean()),
            "attacks": list(dict.fromkeys(one.attack for one in its)), **_share(any_bypass),
        })
    return rows


def _mean(distances: NDArray[np.float64], rows: NDArray[np.bool_]) -> float | None:
    return float(distances[rows].mean()) if rows.any() else None


def _share(bypassed: NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "bypass_rate": float(bypassed.mean()),
        "interval": interval(int(bypassed.sum()), len(bypassed)),
    }


def tables(rows: Sequence[Mapping[str, Any]], worst: Sequence[Mapping[str, Any]]) -> list[Table]:
    """The bypass rates, and the worst cases, as tables."""
    by_attack = [
        [
            row["detector"], _title(row), f"{row['strength']:g}",
            "" if row["mean_l2"] is None else f"{row['mean_l2']:.2f}",
            f"{row['misclassified']:.1%}", f"{row['bypass_rate']:.1%}", _percent(row["interval"]),
        ] for row in rows
    ]
    in_all = [
        [
            row["detector"], str(row["images"]), f"{row['false_positive_rate']:.1%}",
            str(len(row["attacks"])), f"{row['bypass_rate']:.1%}", _percent(row["interval"]),
        ] for row in worst
    ]
    return [
        Table("Bypass rate: misclassified and not flagged", [
            "detector", "attack", "kappa or radius", "mean L2", "misclassified", "bypass rate",
            "95 % interval",
        ], by_attack),
        Table("Worst case of all attacks, image by image", [
            "detector", "images", "false positives", "attacks", "bypass rate", "95 % interval",
        ], in_all),
    ]


def draw(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Draws bypass rate against strength to a PNG file, a panel per attack and norm."""
    figures: dict[str, dict[str, Curve]] = {}
    axes = {}
    for title in dict.fromkeys(map(_title, rows)):
        its = [row for row in rows if _title(row) == title]
        axes[title] = Axis("radius given to the attack" if its[0]["norm"] else "kappa")
        figures[title] = {
            one: _curve([row for row in its if row["detector"] == one])
            for one in dict.fromkeys(row["detector"] for row in its)
        }
    curves(figures, axes, Axis("bypass rate"), path)


def nearest_pairs(
    found: Sequence[Bypass], images: Images, bounds: Bounds
) -> dict[str, list[Pair]]:
    """The nearest bypassing images of each defence with their originals, by title.

    Args:
      found: what the attacks achieved.
      images: f32[N,H,W,C], the originals.
      bounds: the range of their pixels.
    """
    figures: dict[str, list[Pair]] = {}
    for name in dict.fromkeys(one.detector for one in found):
        its = [one for one in found if one.detector == name]
        distances = np.array([np.where(one.bypassed, one.l2, np.inf) for one in its])
        nearest = distances.min(axis=0)
        rows = [row for row in np.argsort(nearest, kind="stable") if np.isfinite(nearest[row])]
        title = f"{name}: nearest of {len(rows)} bypassing images of {len(images)}"
        figures[title] = []
        for row in rows[:GALLERY]:
            best = its[distances[:, row].argmin()]
            figures[title].append(Pair(
                to_unit(images[row], bounds), to_unit(best.images[row], bounds),
                f"{best.title} {best.strength:g}\nL2 {nearest[row]:.2f}",
            ))
    return figures


def _title(row: Mapping[str, Any]) -> str:
    return f"{row['attack']}, {row['norm']}" if row["norm"] else str(row["attack"])


def _curve(rows: Sequence[Mapping[str, Any]]) -> Curve:
    rows = sorted(rows, key=lambda row: float(row["strength"]))
    return Curve(
        [row["strength"] for row in rows], [row["bypass_rate"] for row in rows],
        [row["interval"][0] for row in rows], [row["interval"][1] for row in rows],
    )


def _percent(limits: tuple[float, float]) -> str:
    return "{:.1%} to {:.1%}".format(*limits)
