"""Tables with a row per detector and a column per threat, which stay narrow with many detectors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from a2d_tf.reports.comparison_table import price
from a2d_tf.reports.tables import Table

MOSTLY = 0.5  # a threat that fools the classifier on a smaller share has failed on most images
Cells = Mapping[str, Mapping[str, Mapping[str, Any]]]  # threat -> detector -> figures
Passes = Mapping[str, Mapping[str, float] | None]
Threats = Mapping[str, Mapping[str, Any]]  # as in the results of a comparison


def detector_tables(
    title: str, runs: Sequence[Cells], threats: Threats, passes: Passes,
    paper: Mapping[str, Mapping[str, float]] = {},
) -> list[Table]:
    """AUROC, its 95 % interval, and the shares detected at 1 % and 5 % false positives.

    Args:
      title: what the tables are about.
      runs: the cells of each seed; the figures are means over the seeds.
      threats: how many images each threat crafted, and how many of these fooled the classifier.
      passes: the price of each detector.
      paper: threat -> detector -> published AUROC.
    """
    names = list(dict.fromkeys(name for row in runs[0].values() for name in row))
    about = [["images", "", *(_images(threats[threat]) for threat in runs[0])]]
    header = ["detector", "passes", *runs[0]]

    def rows(key: str, show: Any) -> list[list[str]]:
        return [
            [_short(name), price(passes.get(name)), *(
                show([one[threat][name][key] for one in runs if name in one[threat]])
                if name in row else "" for threat, row in runs[0].items()
            )]
            for name in names
        ]

    auroc = []
    for row, name in zip(rows("auroc", _mean), names, strict=True):
        best = [_mean([_highest(one[threat]) for one in runs]) for threat in runs[0]]
        auroc.append(row[:2] + [
            f"**{value}**" if value and value == highest else value
            for value, highest in zip(row[2:], best, strict=True)
        ])
        if len(runs) > 1:
            auroc.append(["", "± sd", *rows("auroc", _deviation)[names.index(name)][2:]])
        published = [paper.get(threat, {}).get(name) for threat in runs[0]]
        if any(value is not None for value in published):
            auroc.append(["", "paper", *("" if p is None else f"{p:.4f}" for p in published)])
    tables = [Table(f"AUROC on {title}", header, about + auroc)]
    if len(runs) == 1:
        tables.append(Table(
            f"95 % intervals of the AUROC on {title}", header, rows("auroc_ci95", _interval)
        ))
    tables.append(Table(
        f"Detected at 1 % / 5 % false positives on {title}, in per cent", header,
        rows("tpr_at_fpr", _detected),
    ))
    return tables


def with_benign_only(unseen: Cells, cells: Cells, benign_only: Sequence[str]) -> Cells:
    """Cells of detectors that learned from other threats, or from no threat at all."""
    return {
        threat: {
            **{
                name: one for name, one in cells.get(threat, {}).items() if name in benign_only
            },
            **row,
        }
        for threat, row in unseen.items()
    }


def success(threat: Mapping[str, Any]) -> str:
    """The share of images on which a threat fooled the classifier, in words where it is small."""
    return f"{100 * threat['success_rate']:.1f} %{_few(threat)}"


def _images(threat: Mapping[str, Any]) -> str:
    return f"{threat['tested']} of {threat['crafted']}{_few(threat)}"


def _few(threat: Mapping[str, Any]) -> str:
    return ", fails on most" if threat["success_rate"] < MOSTLY else ""


def _short(name: str) -> str:
    return name.removeprefix("ensemble_")


def _highest(row: Mapping[str, Mapping[str, Any]]) -> float:
    return float(max(cell["auroc"] for cell in row.values()))


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.4f}"


def _deviation(values: Sequence[float]) -> str:
    return f"{np.std(values, ddof=1):.4f}" if len(values) > 1 else ""


def _interval(values: Sequence[Sequence[float]]) -> str:
    return f"{values[0][0]:.3f} to {values[0][1]:.3f}"


def _detected(values: Sequence[Mapping[str, float]]) -> str:
    shares = (np.mean([one[rate] for one in values]) for rate in ("0.01", "0.05"))
    return " / ".join(f"{100 * share:.1f}" for share in shares)
