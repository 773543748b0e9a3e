"""What a bypass costs an attacker: the distance at which half of the images bypass a defence."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.evaluation.adaptive import NOTHING, Bypass
from a2d_tf.reports.tables import Table

NORMS = ("linf", "l2")
BOUNDS = {"=": "", "<": "at most ", ">": "more than "}


class Half(NamedTuple):
    """The distance at which half of the images bypass, by the best attack on each.

    Attributes:
      distance: in units of the pixel range; None if no attack of this norm ran and fewer than half
        of the images bypass at any distance.
      bound: "=" for a distance between two radii, interpolated linearly; "<" where it is the
        median distance of the bypassing images, which no attack made small in this norm, or half
        bypass at the smallest radius already; ">" where fewer than half bypass at the largest
        radius.
    """

    distance: float | None
    bound: str

    def text(self) -> str:
        """The distance for a table."""
        if self.distance is None:
            return "none found"
        return f"{BOUNDS[self.bound]}{self.distance:.3g}"


def nearest_bypass(found: Sequence[Bypass], norm: str) -> NDArray[np.float64]:
    """The smallest distance f64[N] at which each image bypasses; infinite where it never does.

    Args:
      found: what attacks achieved against one defence.
      norm: "linf" or "l2".
    """
    distances = [np.where(one.bypassed, getattr(one, norm), np.inf) for one in found]
    nearest: NDArray[np.float64] = np.min(distances, axis=0)
    return nearest


def half_distance(found: Sequence[Bypass], norm: str) -> Half:
    """The distance at which half of the images bypass one defence.

    Args:
      found: what attacks achieved against it.
      norm: "linf" or "l2".
    """
    nearest = np.sort(nearest_bypass(found, norm))
    median = float(nearest[(len(nearest) - 1) // 2])
    radii = np.array(sorted({one.strength for one in found if one.norm == norm}))
    if not len(radii):
        return Half(median, "<") if np.isfinite(median) else Half(None, ">")
    # A radius holds the images that lie on it, apart from rounding.
    shares = np.searchsorted(nearest, radii * (1 + 1e-4), side="right") / len(nearest)
    if shares[-1] < 0.5:
        return Half(float(radii[-1]), ">")
    above = int(np.argmax(shares >= 0.5))
    if above == 0:
        return Half(min(median, float(radii[0])), "<")
    low, high = shares[above - 1:above + 1]
    start, end = radii[above - 1:above + 1]
    between = float(start + (end - start) * (0.5 - low) / (high - low))
    return Half(min(between, median), "=")


def prices(found: Sequence[Bypass]) -> list[dict[str, Any]]:
    """A row for each defence, as JSON values: half distances, and how often that of no defence.

    A ratio is None unless both distances are known.
    """
    by_defence: dict[str, list[Bypass]] = {}
    for one in found:
        by_defence.setdefault(one.detector, []).append(one)
    halves = {
        name: {norm: half_distance(its, norm) for norm in NORMS}
        for name, its in by_defence.items()
    }
    alone = halves.get(NOTHING)
    return [
        {"detector": name, "images": len(by_defence[name][0].bypassed)} | {
            norm: half._asdict() | {"times_no_defence": alone and ratio(half, alone[norm])}
            for norm, half in its.items()
        } for name, its in halves.items()
    ]


def ratio(half: Half, other: Half) -> float | None:
    """How many times the other distance this one is; None where the bounds say nothing.

    A lower bound of this distance gives a lower bound of the ratio.
    """
    if half.distance is None or not other.distance:
        return None
    return half.distance / other.distance if half.bound != "<" and other.bound == "=" else None


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The prices as a table."""
    return Table("The attacker's price: distance at which half of the images bypass", [
        "detector", "images", "L-infinity", "times no defence", "L2", "times no defence",
    ], [
        [row["detector"], str(row["images"]), *(
            cell for norm in NORMS for cell in (
                Half(row[norm]["distance"], row[norm]["bound"]).text(), _times(row[norm])
            )
        )] for row in rows
    ])


def _times(half: Mapping[str, Any]) -> str:
    ratio = half["times_no_defence"]
    return "" if ratio is None else f"{BOUNDS[half['bound']]}{ratio:.2g}"
