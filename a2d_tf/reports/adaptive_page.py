"""How far a detector can be trusted, as a page of the JSON values that adaptive.py writes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from a2d_tf.reports.axes import Axis
from a2d_tf.reports.charts import Line, curves
from a2d_tf.reports.gallery import Pair
from a2d_tf.reports.page import (
    Block, Cell, DataTable, Gallery, Page, Section, Thumbnail, plain, settings_section,
)
from a2d_tf.reports.svg import Chart
from a2d_tf.reports.tables import Table
from a2d_tf.reports.thumbnails import data_uri

Row = Mapping[str, Any]
DRAWN = 6  # curves of a chart; more cannot be told apart


def page(
    rows: Sequence[Row], worst: Sequence[Row], tables: Sequence[Table],
    pairs: Mapping[str, Sequence[Pair]], provenance: str,
) -> Page:
    """The page.

    Args:
      rows: bypass rates by defence, attack and strength.
      worst: those of the worst case of each defence.
      tables: all figures as tables; the second one is that of the worst cases.
      pairs: title -> originals and the bypassing images nearest to them.
      provenance: what the figures were made with, as `storage.provenance` writes it.
    """
    by_attack, _, *prices = tables
    charts: list[Block] = [
        _chart(title, its) for title in dict.fromkeys(map(_title, rows))
        if (its := [row for row in rows if _title(row) == title])
    ]
    galleries: list[Block] = [
        "Originals on the left, and on the right the image that bypasses the defence, the nearest "
        "ones first.",
        *(Gallery(title, [_thumbnail(title, one) for one in its]) for title, its in pairs.items()),
    ]
    return Page(
        title="Under attack", answer=answer(worst),
        about=(
            "An attack bypasses a defence with an image that is misclassified and not flagged. "
            "For each image the best of all attacks and strengths counts in the worst case."
        ),
        sections=[
            Section("Worst case", [_worst_table(worst), *map(_plain, prices)]),
            Section("Bypass rate by strength", charts),
            Section("Images that bypass", galleries),
            Section("Every attack and strength", [_plain(by_attack)], folded=True),
            settings_section(provenance),
        ],
    )


def answer(worst: Sequence[Row]) -> str:
    """One sentence: the defence that is bypassed least, and how often."""
    if not worst:
        return "No attack could be run."
    least = min(worst, key=lambda row: float(row["bypass_rate"]))
    low, high = least["interval"]
    rates = [f"{least['detector']} for {least['bypass_rate']:.0%} "
             f"(95 % interval {low:.0%} to {high:.0%})"]
    rates += [
        f"{row['detector']} for {row['bypass_rate']:.0%}" for row in worst if row is not least
    ]
    *first, last = rates
    listed = f"{', '.join(first)} and {last}" if first else last
    return f"Of {least['images']} images, the attacks bypass {listed}."


def _worst_table(worst: Sequence[Row]) -> DataTable:
    rates = {row["bypass_rate"] for row in worst}
    least = min(rates) if len(rates) > 1 else None
    return DataTable(
        "Bypass rate: share of the images that any attack made bypass the defence, with its 95 % "
        "interval. Bold is the lowest. False positives: share of the benign images that it flags.",
        ["defence", "bypass rate", "false positives", "images"],
        [[
            Cell(row["detector"]),
            Cell(f"{row['bypass_rate']:.1%}", row["bypass_rate"], row["bypass_rate"] == least,
                 "{:.1%} to {:.1%}".format(*row["interval"])),
            Cell(f"{row['false_positive_rate']:.1%}", row["false_positive_rate"]),
            Cell(str(row["images"]), row["images"]),
        ] for row in worst],
    )


def _chart(title: str, rows: Sequence[Row]) -> Chart:
    lines = {}
    for name in list(dict.fromkeys(row["detector"] for row in rows))[:DRAWN]:
        its = sorted(
            (row for row in rows if row["detector"] == name), key=lambda row: float(row["strength"])
        )
        low, high = zip(*(row["interval"] for row in its), strict=True)
        lines[name] = Line(
            [row["strength"] for row in its], [row["bypass_rate"] for row in its], low, high
        )
    strength = "radius" if rows[0]["norm"] else "kappa"
    return curves(
        lines, Axis(strength), Axis("bypass rate"),
        title=f"Bypass rate of {title} against {strength}; at the largest: " + ", ".join(
            f"{name} {np.asarray(line.y)[-1]:.0%}" for name, line in lines.items()
        ),
        caption=f"{title}: bypass rate with its 95 % interval.",
    )


def _thumbnail(title: str, pair: Pair) -> Thumbnail:
    lines = pair.caption.split("\n")
    gap = np.ones((pair.original.shape[0], max(pair.original.shape[1] // 14, 1),
                   pair.original.shape[2]))
    both = np.concatenate([pair.original, gap, pair.changed], axis=1)
    return Thumbnail(data_uri(both), f"{title}: {', '.join(lines)}", lines)


def _plain(table: Table) -> DataTable:
    return plain(table.title, table.header, table.rows)


def _title(row: Row) -> str:
    return f"{row['attack']}, {row['norm']}" if row["norm"] else str(row["attack"])
