"""What a bypass costs an attacker: the distance at which half of the images bypass a defence."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.evaluation.adaptive import Bypass
from a2d_tf.evaluation.adaptive_judges import NOTHING
from a2d_tf.reports.tables import Table

NORMS = {"linf": "L-infinity", "l2": "L2"}
RESAMPLINGS = 500  # of the images, for the intervals of distances
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


def half_interval(
    found: Sequence[Bypass], norm: str
) -> tuple[float | None, float | None]:
    """The 95 % interval of `half_distance`, by resampling the images (Efron 1979).

    A limit is None where fewer than half bypass at any radius.

    Args:
      found: what attacks achieved against one defence.
      norm: "linf" or "l2".
    """
    nearest, radii = nearest_bypass(found, norm), _radii(found, norm)
    rows = np.random.default_rng(0).integers(len(nearest), size=(RESAMPLINGS, len(nearest)))
    halves = [_half(nearest[some], radii) for some in rows]
    distances = np.sort([
        np.inf if one.bound == ">" or one.distance is None else one.distance for one in halves
    ])
    low, high = distances[[RESAMPLINGS // 40, -1 - RESAMPLINGS // 40]]
    return _finite(low), _finite(high)


def half_distance(found: Sequence[Bypass], norm: str) -> Half:
    """The distance at which half of the images bypass one defence.

    Args:
      found: what attacks achieved against it.
      norm: "linf" or "l2".
    """
    return _half(nearest_bypass(found, norm), _radii(found, norm))


def _radii(found: Sequence[Bypass], norm: str) -> NDArray[np.float64]:
    return np.array(sorted({one.strength for one in found if one.norm == norm}))


def _half(nearest: NDArray[np.float64], radii: NDArray[np.float64]) -> Half:
    nearest = np.sort(nearest)
    median = float(nearest[(len(nearest) - 1) // 2])
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

    `interval` is that of `half_interval`, and `times_bound` the bound of `times_no_defence`. The
    latter is None where nothing is known of it.
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
            norm: half._asdict() | {
                "interval": half_interval(by_defence[name], norm),
                **_times_no_defence(ratio(half, alone[norm]) if alone else None),
            }
            for norm, half in its.items()
        } for name, its in halves.items()
    ]


def ratio(half: Half, other: Half) -> Half | None:
    """How many times the other distance this one is; None where the bounds say nothing.

    A bound of the other distance is a bound of the ratio from the other side.
    """
    if half.distance is None or not other.distance:
        return None
    turned = {"=": "=", "<": ">", ">": "<"}[other.bound]
    bounds = {half.bound, turned} - {"="}
    if len(bounds) == 2:
        return None
    return Half(half.distance / other.distance, bounds.pop() if bounds else "=")


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The prices as a table."""
    return Table("The attacker's price: distance at which half of the images bypass", [
        "detector", "images", *(
            title for norm in NORMS.values()
            for title in (norm, "95 % interval", "times no defence")
        ),
    ], [
        [row["detector"], str(row["images"]), *(
            cell for norm in NORMS for cell in (
                Half(row[norm]["distance"], row[norm]["bound"]).text(),
                limits(row[norm]),
                times(Half(row[norm]["times_no_defence"], row[norm]["times_bound"])),
            )
        )] for row in rows
    ])


def answer(rows: Sequence[Mapping[str, Any]], prices: Sequence[Mapping[str, Any]]) -> str:
    """One sentence: how far an image must be moved so that half of them bypass each defence.

    Args:
      rows: bypass rates, of `adaptive_report.rates`.
      prices: what `prices` gave.
    """
    if not prices:
        return "No attack could be run."
    norms = [norm for norm in NORMS if any(row["norm"] == norm for row in rows)] or ["l2"]
    parts = []
    for norm in norms:
        halves = [(Half(row[norm]["distance"], row[norm]["bound"]), row) for row in prices]
        distances = [f"{half.text()} ({row['detector']})" for half, row in halves]
        parts.append(f"in {NORMS[norm]} {', '.join(distances)}")
    return (
        f"Half of {prices[0]['images']} images bypass each defence, by the best attack on each, at "
        f"these distances: {'; '.join(parts)}."
    )


def limits(half: Mapping[str, Any]) -> str:
    """The interval of a distance of `prices`, for a table; nothing for a bound."""
    if half["bound"] != "=":
        return ""
    return " to ".join("beyond" if one is None else f"{one:.3g}" for one in half["interval"])


def times(found: Half | None) -> str:
    """A ratio of distances with one decimal, rounded so that a bound stays one."""
    if found is None or found.distance is None:
        return ""
    tenths = 10 * found.distance
    if found.bound != "=":
        tenths = math.floor(tenths) if found.bound == ">" else math.ceil(tenths)
    return f"{BOUNDS[found.bound]}{tenths / 10:.1f}"


def _times_no_defence(found: Half | None) -> dict[str, Any]:
    return {
        "times_no_defence": found and found.distance, "times_bound": found.bound if found else "="
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
