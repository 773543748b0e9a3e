"""The results of a comparison in one table for the terminal, and in one line.

See `comparison_page` for what the results hold.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text

from a2d_tf.reports.tables import LOOK

Results = Mapping[str, Any]
Cell = Mapping[str, Any]
Row = Mapping[str, Cell]

# Figures that not every cell has: what they are called, and what they are.
OPTIONAL = {
    "auroc_noisy": ("noisy", "the AUROC where benign images with noise count as benign too, which "
                    "is how baselines were published"),
    "published": ("paper", "the published AUROC"),
}
DASH = "–"
BESIDE = 3  # threats for which AUROC and interval have room beside each other


def table(results: Results) -> Table:
    """The AUROC table for the terminal: a row per detector, a column per threat.

    The lines of a cell: the AUROC and its 95 % interval, below each other if there are many
    threats; the true-positive rates in per cent at the false-positive rates of the caption; and
    what there is of `OPTIONAL`. The attack success rate stands under a threat's name. A console
    that is narrower than `tables.terminal_width` folds numbers.
    """
    rows: Mapping[str, Row] = results["cells"]
    shown = Table(
        title=f"AUROC on {results['dataset']}", caption=_caption(rows), **LOOK
    )
    shown.add_column("detector", overflow="fold")
    shown.add_column("passes", justify="right", overflow="fold")
    for threat in rows:
        success = f"ASR {100 * results['threats'][threat]['success_rate']:.0f} %"
        shown.add_column(Text.assemble(threat, (f"\n{success}", "dim")), overflow="fold")
    for name in measured(results, rows):
        cells = (
            _terminal_cell(row.get(name), name in best_of(row), len(rows) > BESIDE)
            for row in rows.values()
        )
        shown.add_row(name, price(results["passes"].get(name)), *cells)
    return shown


class Ranking(NamedTuple):
    """Detectors that were measured of all images.

    Attributes:
      means: name -> mean AUROC over the threats.
      best: the highest, and `best_alone` that of those that need benign images alone; None if
        nothing was measured.
    """

    means: Mapping[str, float]
    best: str | None
    best_alone: str | None


def ranking(results: Results) -> Ranking:
    """Which detectors are best, by the mean AUROC over the threats."""
    rows = list(results["cells"].values())
    means = {
        name: sum(row[name]["auroc"] for row in rows) / len(rows)
        for name in measured(results, results["cells"])
        if all(name in row for row in rows) and results["passes"].get(name)
    }
    alone = [name for name in means if name in results["benign_only"]]
    return Ranking(
        means, max(means, key=means.__getitem__, default=None),
        max(alone, key=means.__getitem__, default=None),
    )


def answer(results: Results) -> str:
    """One line: which detector is best, what it gains over the margin, and at which price.

    The AUROC is the mean over the threats; only detectors that were measured of all images count.
    A gain is said to be uncertain if the 95 % intervals overlap on every threat.
    """
    means, best, best_alone = ranking(results)

    def what(name: str) -> str:
        doubt = "" if _are_apart(results, name, "margin") else ", but their 95 % intervals overlap"
        gain = f" ({means[name] - means['margin']:+.4f} against the margin{doubt})"
        return (
            f"{name}, mean AUROC {means[name]:.4f}{gain if name != 'margin' else ''}, "
            f"passes per image {price(results['passes'][name])}"
        )

    if best is None or best_alone is None or "margin" not in means:
        return "Best detector: unknown, since the margin was not measured for every threat."
    if best == best_alone:
        return f"Best detector: {what(best)}; it needs benign images alone."
    return f"Best detector: {what(best)}; from benign images alone: {what(best_alone)}."


def _are_apart(results: Results, one: str, other: str) -> bool:
    """Whether the intervals of two detectors do not overlap on some threat."""
    return any(
        max(row[one]["auroc_ci95"][0], row[other]["auroc_ci95"][0])
        > min(row[one]["auroc_ci95"][1], row[other]["auroc_ci95"][1])
        for row in results["cells"].values()
    )


def percent(share: float | str) -> str:
    """A share in per cent; asked false-positive rates are strings, being keys of JSON."""
    return f"{100 * float(share):.1f} %"


def price(passes: Mapping[str, float] | None) -> str:
    """Forward passes and, after a plus, gradients per image."""
    if passes is None:
        return DASH
    return f"{passes['queries']:.3g}" + (
        f" + {passes['gradients']:.3g}" if passes["gradients"] else ""
    )


def _caption(rows: Mapping[str, Row]) -> str:
    cells = [cell for row in rows.values() for cell in row.values()]
    asked = ", ".join(f"{100 * float(rate):g}" for rate in _rates(cells))
    others = "".join(
        f" {label}: {meaning}." for key, (label, meaning) in OPTIONAL.items()
        if any(figure(cell, key) for cell in cells)
    )
    return (
        "A cell has the AUROC (bold: the highest of the threat) and its 95 % interval; below them, "
        "how many % of the adversarial images are detected where "
        f"{asked} % of the benign ones are flagged.{others} passes: forward passes + gradients "
        "for each image. ASR: the share of the images whose label the threat changed. "
        f"{invalid_images(rows)}"
    ).strip()


def invalid_images(rows: Mapping[str, Row]) -> str:
    """A sentence on the images that a detector could not measure; empty if there are none."""
    counts = {
        name: sum(sum(row[name]["invalid"]) for row in rows.values() if name in row)
        for name in dict.fromkeys(name for row in rows.values() for name in row)
    }
    named = ", ".join(f"{count} by {name}" for name, count in counts.items() if count)
    return f"Images that could not be judged and count as flagged: {named}." if named else ""


def _terminal_cell(cell: Cell | None, best: bool, narrow: bool) -> Text:
    if cell is None:
        return Text(DASH)
    lower, upper = cell["auroc_ci95"]
    tpr = "/".join(f"{100 * cell['tpr_at_fpr'][rate]:.0f}" for rate in _rates([cell]))
    below = "\n".join([tpr, *optional_of(cell)])
    between = "\n" if narrow else " "
    return Text.assemble(
        (f"{cell['auroc']:.4f}", "bold" if best else ""),
        (f"{between}{lower:.3f}–{upper:.3f}\n{below}", "dim"),
    )


def _rates(cells: Sequence[Cell]) -> list[str]:
    """The false-positive rates of cells, in increasing order."""
    return sorted({rate for cell in cells for rate in cell["tpr_at_fpr"]}, key=float)


def optional_of(cell: Cell) -> list[str]:
    """What a cell has of `OPTIONAL`, named."""
    return [f"{label} {figure(cell, k)}" for k, (label, _) in OPTIONAL.items() if figure(cell, k)]


def figure(cell: Cell, key: str) -> str:
    """A figure that not every cell has, or an empty string."""
    return "" if cell.get(key) is None else f"{cell[key]:.4f}"


def measured(results: Results, rows: Mapping[str, Row]) -> list[str]:
    """The columns that have a cell in any row, in the order of the results."""
    return [name for name in results["columns"] if any(name in row for row in rows.values())]


def best_of(row: Row) -> list[str]:
    """The columns with the highest AUROC of a row; several if they are equal."""
    highest = max((cell["auroc"] for cell in row.values()), default=None)
    return [name for name, cell in row.items() if cell["auroc"] == highest]
