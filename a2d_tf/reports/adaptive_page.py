"""How far a detector can be trusted, as a page of the JSON values that adaptive.py writes."""

from collections.abc import Collection, Mapping, Sequence
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
    answer: str, rows: Sequence[Row], worst: Sequence[Row], tables: Sequence[Table],
    pairs: Mapping[str, Sequence[Pair]], provenance: str, baselines: Collection[str] = (),
) -> Page:
    """The page.

    Args:
      answer: the first sentence; see `adaptive_price.answer`.
      rows: bypass rates by defence, attack and strength.
      worst: those of the worst case of each defence.
      tables: all figures as tables; the second one is that of the worst cases.
      pairs: title -> originals and the bypassing images nearest to them.
      provenance: what the figures were made with, as `storage.provenance` writes it.
      baselines: defences that are drawn in every chart, however many there are.
    """
    by_attack, _, *prices = tables
    charts: list[Block] = [
        _chart(title, its, baselines) for title in dict.fromkeys(map(_title, rows))
        if (its := [row for row in rows if _title(row) == title])
    ]
    galleries: list[Block] = [
        "Originals on the left, and on the right the image that bypasses the defence, the nearest "
        "ones first.",
        *(Gallery(title, [_thumbnail(title, one) for one in its]) for title, its in pairs.items()),
    ]
    return Page(
        title="Under attack", answer=answer,
        about=(
            "An attack bypasses a defence with an image that is misclassified and not flagged. "
            "For each image the best of all attacks and strengths counts in the worst case. "
            "C&W (cw) fails where no image reaches its kappa, so that a larger one may bypass less."
        ),
        sections=[
            Section("Worst case", [_worst_table(worst), *map(_plain, prices)]),
            Section("Bypass rate by strength", charts),
            Section("Images that bypass", galleries),
            Section("Every attack and strength", [_plain(by_attack)], folded=True),
            settings_section(provenance),
        ],
    )


def _worst_table(worst: Sequence[Row]) -> DataTable:
    rates = {row["bypass_rate"] for row in worst}
    least = min(rates) if len(rates) > 1 else None
    return DataTable(
        "Bypass rate: share of the images that any attack made bypass the defence, with its 95 % "
        "interval. Bold is the lowest. False positives: share of the benign images that it flags. "
        "Attacks: how many ran against it. Attacks that follow a detector's score leave out a "
        "detector whose score has no gradient; fewer attacks make a defence look better.",
        ["defence", "bypass rate", "false positives", "attacks", "images"],
        [[
            Cell(row["detector"]),
            Cell(f"{row['bypass_rate']:.1%}", row["bypass_rate"], row["bypass_rate"] == least,
                 "{:.1%} to {:.1%}".format(*row["interval"])),
            Cell(f"{row['false_positive_rate']:.1%}", row["false_positive_rate"]),
            Cell(str(len(row["attacks"])), len(row["attacks"])),
            Cell(str(row["images"]), row["images"]),
        ] for row in worst],
    )


def _chart(title: str, rows: Sequence[Row], baselines: Collection[str]) -> Chart:
    lines = {}
    names = list(dict.fromkeys(row["detector"] for row in rows))
    always = [name for name in names if name in baselines]
    others = [name for name in names if name not in always]
    drawn = [*others[:DRAWN - len(always)], *always]
    left_out = [name for name in names if name not in drawn]
    for name in drawn:
        its = sorted(
            (row for row in rows if row["detector"] == name), key=lambda row: float(row["strength"])
        )
        low, high = zip(*(row["interval"] for row in its), strict=True)
        lines[name] = Line(
            [row["strength"] for row in its], [row["bypass_rate"] for row in its], low, high
        )
    strength = "radius given to the attack" if rows[0]["norm"] else "kappa"
    return curves(
        lines, Axis(strength), Axis("bypass rate"),
        title=f"Bypass rate of {title} against {strength}; at the largest: " + ", ".join(
            f"{name} {np.asarray(line.y)[-1]:.0%}" for name, line in lines.items()
        ),
        caption=f"{title}: bypass rate with its 95 % interval."
        + (f" Not drawn: {', '.join(left_out)}." if left_out else ""),
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
