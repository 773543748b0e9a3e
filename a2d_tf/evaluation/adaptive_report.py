"""What `adaptive.py` reports: bypass rates with intervals, worst cases, tables and a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from a2d_tf.evaluation.adaptive import Bypass, Judge
from a2d_tf.evaluation.adaptive_attacks import kinds
from a2d_tf.images.spec import Images
from a2d_tf.reports.axes import Axis
from a2d_tf.reports.measurement_figures import Curve, curves
from a2d_tf.reports.tables import Table


def interval(count: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927)."""
    found = scipy.stats.binomtest(count, total).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def rates(found: Sequence[Bypass]) -> list[dict[str, Any]]:
    """A row for each detector, attack and strength, as JSON values."""
    return [
        {
            "detector": one.detector, "attack": one.attack, "strength": one.strength,
            "images": len(one.bypassed), "misclassified": float(one.misclassified.mean()),
            "mean_l2": float(one.l2.mean()), **_share(one.bypassed),
        } for one in found
    ]


def worst_cases(
    found: Sequence[Bypass], judges: Mapping[str, Judge], benign: Images
) -> list[dict[str, Any]]:
    """A row for each detector: for each image, the best of all attacks and strengths counts.

    `robust_detection` is the share of images that no attack bypassed with. `half_l2` is the L2
    distance at which half of the images bypass; None if fewer do.
    """
    rows = []
    for name, judge in judges.items():
        its = [one for one in found if one.detector == name]
        if not its:
            continue
        any_bypass = np.any([one.bypassed for one in its], axis=0)
        nearest = np.min([np.where(one.bypassed, one.l2, np.inf) for one in its], axis=0)
        half = float(np.sort(nearest)[(len(nearest) - 1) // 2])
        rows.append({
            "detector": name, "images": len(any_bypass),
            "false_positive_rate": float(judge.a2d.predict(benign).is_adversarial.mean()),
            "robust_detection": float((~any_bypass).mean()),
            "half_l2": half if np.isfinite(half) else None, **_share(any_bypass),
        })
    return rows


def _share(bypassed: NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "bypass_rate": float(bypassed.mean()),
        "interval": interval(int(bypassed.sum()), len(bypassed)),
    }


def tables(rows: Sequence[Mapping[str, Any]], worst: Sequence[Mapping[str, Any]]) -> list[Table]:
    """The bypass rates, and the worst cases, as tables."""
    by_attack = [
        [
            row["detector"], row["attack"], f"{row['strength']:g}", str(row["images"]),
            f"{row['mean_l2']:.2f}", f"{row['misclassified']:.1%}", f"{row['bypass_rate']:.1%}",
            _percent(row["interval"]),
        ] for row in rows
    ]
    in_all = [
        [
            row["detector"], str(row["images"]), f"{row['false_positive_rate']:.1%}",
            f"{row['bypass_rate']:.1%}", _percent(row["interval"]),
            f"{row['robust_detection']:.1%}",
            "never" if row["half_l2"] is None else f"{row['half_l2']:.2f}",
        ] for row in worst
    ]
    return [
        Table("Bypass rate: misclassified and not flagged", [
            "detector", "attack", "kappa / eps", "images", "mean L2", "misclassified",
            "bypass rate", "95 % interval",
        ], by_attack),
        Table("Worst case of all attacks, image by image", [
            "detector", "images", "false positives", "bypass rate", "95 % interval",
            "robust detection", "L2 at which half bypass",
        ], in_all),
    ]


def draw(rows: Sequence[Mapping[str, Any]], norm: str, path: str | Path) -> None:
    """Draws bypass rate against strength to a PNG file, a panel per attack."""
    figures: dict[str, dict[str, Curve]] = {}
    axes = {}
    for attack in dict.fromkeys(row["attack"] for row in rows):
        its = [row for row in rows if row["attack"] == attack]
        is_kappa = kinds([attack])[attack].by_kappa
        axes[attack] = Axis("kappa" if is_kappa else f"eps ({norm})")
        figures[attack] = {
            one: _curve([row for row in its if row["detector"] == one])
            for one in dict.fromkeys(row["detector"] for row in its)
        }
    curves(figures, axes, Axis("bypass rate"), path)


def _curve(rows: Sequence[Mapping[str, Any]]) -> Curve:
    rows = sorted(rows, key=lambda row: float(row["strength"]))
    return Curve(
        [row["strength"] for row in rows], [row["bypass_rate"] for row in rows],
        [row["interval"][0] for row in rows], [row["interval"][1] for row in rows],
    )


def _percent(limits: tuple[float, float]) -> str:
    return "{:.1%} to {:.1%}".format(*limits)
