"""The charts of a comparison: ROC curves that can be told apart, and histograms of costs."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from a2d_tf.reports.axes import Axis
from a2d_tf.reports.charts import Line, curves, histograms
from a2d_tf.reports.comparison_table import Results, percent, ranking
from a2d_tf.reports.svg import Chart

FPR_FROM = 0.001  # where the axis of false-positive rates begins
FPR_TICKS = (FPR_FROM, 0.01, 0.05, 0.2, 1.0)


def few(results: Results) -> list[str]:
    """The detectors whose curves are drawn: the best, the best without threats, the simplest."""
    means, best, best_alone = ranking(results)
    simple = [name for name in ("margin", "first-order") if name in means]
    chosen = [name for name in (best, best_alone) if name is not None]
    return list(dict.fromkeys([*chosen, *simple])) or list(results["columns"])[:4]


def roc_curves(threat: str, lines: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Chart:
    """The ROC curves of a few detectors: name -> false-positive and true-positive rates [P]."""
    asked = np.geomspace(FPR_FROM, 1, 121)
    drawn = {}
    for name, rates in lines.items():
        fpr, tpr = (np.asarray(one, float) for one in rates)
        # The share detected when at most so many benign images are flagged.
        drawn[name] = Line(asked, tpr[np.searchsorted(fpr, asked, side="right") - 1])
    ends = ", ".join(
        f"{name} detects {percent(np.interp(0.05, asked, np.asarray(line.y)))}"
        for name, line in drawn.items()
    )
    return curves(
        drawn, Axis("false-positive rate", log=True), Axis("detected"),
        title=f"ROC curves for {threat}: at a false-positive rate of 5 %, {ends}",
        caption=f"{threat}: share detected against the share of benign images that are flagged.",
        labels_at="start", x_ticks=FPR_TICKS, percent=True,
    )


def cost_histograms(attack: str, kinds: Mapping[str, ArrayLike], cap: float) -> Chart:
    """The costs [N] of an attack by type of input."""
    medians = ", ".join(
        f"{kind} {np.median(np.asarray(values)):.4g}"
        for kind, values in kinds.items() if np.size(values)
    )
    unit = "iterations" if cap > 1 else "fractions of the pixel range"
    return histograms(
        kinds, cap, title=f"Histograms of the {attack} cost; medians: {medians}",
        caption=f"{attack}: costs in {unit}, cap {cap:,}.",
    )
