"""Which attack to defend with, as a page of the JSON values that select_attacks.py writes."""

from collections.abc import Mapping, Sequence
from typing import Any

from a2d_tf.reports.axes import Axis
from a2d_tf.reports.charts import points
from a2d_tf.reports.page import Cell, DataTable, Page, Section, settings_section

Row = Mapping[str, Any]


def page(rows: Sequence[Row], provenance: str) -> Page:
    """The page.

    Args:
      rows: the fields of `AttackScore`, and `per_second`; the best attack first.
      provenance: what the figures were made with, as `storage.provenance` writes it.
    """
    benign, adversarial = rows[0]["images"]
    chart = points(
        {row["attack"]: (row["seconds"], row["auroc"]) for row in rows},
        [row["attack"] for row in rows if row["pareto_optimal"]],
        Axis("seconds per image", log=True), Axis("AUROC"),
        title="AUROC against seconds per image: " + ", ".join(
            f"{row['attack']} {row['auroc']:.3f} in {row['seconds']:.2g} s" for row in rows
        ),
        caption="Full points: no other attack separates better in less time.",
    )
    return Page(
        title="Which attack to defend with", answer=answer(rows),
        about=f"Measured on {benign} benign and {adversarial} adversarial images.",
        sections=[
            Section("Attacks", [_table(rows), chart]), settings_section(provenance),
        ],
    )


def answer(rows: Sequence[Row]) -> str:
    """One sentence: the attack with the most separation per second, and the best at any price."""
    first, best = rows[0], max(rows, key=lambda row: float(row["auroc"]))
    most = (
        f"{first['attack']} separates most per second: AUROC {first['auroc']:.4f} in "
        f"{first['seconds']:.3g} s per image"
    )
    if best["auroc"] <= first["auroc"]:
        return f"{most}; no attack separates better."
    return (
        f"{most}; {best['attack']} separates best: AUROC {best['auroc']:.4f} in "
        f"{best['seconds']:.3g} s."
    )


def _table(rows: Sequence[Row]) -> DataTable:
    highest = max(row["auroc"] for row in rows)
    most = max(row["per_second"] for row in rows)
    return DataTable(
        "AUROC: how often the cost of a random adversarial image is lower than that of a random "
        "benign one, with its 95 % interval. Separation: 0 for an AUROC of 0.5, 1 for a perfect "
        "one; per second, it is divided by the time. At cap: share of the benign images that cost "
        "as much as the attack can. Pareto-optimal: no other attack is both better and quicker.",
        ["attack", "AUROC", "seconds per image", "separation per second", "median cost, benign",
         "median cost, adversarial", "at cap", "Pareto-optimal"],
        [[
            Cell(row["attack"]),
            Cell(f"{row['auroc']:.4f}", row["auroc"], row["auroc"] == highest,
                 "{:.4f} to {:.4f}".format(*row["auroc_interval"])),
            Cell(f"{row['seconds']:.3g}", row["seconds"]),
            Cell(_rounded(row["per_second"]), row["per_second"], row["per_second"] == most),
            Cell(f"{row['benign']:g}", row["benign"]),
            Cell(f"{row['adversarial']:g}", row["adversarial"]),
            Cell(f"{row['at_cap']:.0%}", row["at_cap"]),
            Cell("yes" if row["pareto_optimal"] else "no"),
        ] for row in rows],
    )


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
