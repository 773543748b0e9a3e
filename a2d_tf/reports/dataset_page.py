"""The verdicts on a whole dataset as a page."""

from collections.abc import Mapping
from typing import Any

from a2d_tf.reports.charts import bars
from a2d_tf.reports.page import Block, Cell, DataTable, Page, Section, plain
from a2d_tf.reports.svg import Chart


def page(
    summary: Mapping[str, Any], settings: Mapping[str, str], threshold: float | None = None
) -> Page:
    """The page.

    Args:
      summary: of JSON values:
        rows, judged, failed: numbers of rows; the failed ones could not be judged.
        judged_flagged: how many of the judged ones are flagged.
        classes: label -> {"rows", "flagged", "share"}, of the judged ones.
        scores: {"edges": [B + 1], "counts": [B]}, the histogram of their scores.
        reasons: why rows failed -> {"rows", "examples": [{"id", "error"}]}.
      settings: name -> value, what the verdicts were made with.
      threshold: scores above it are flagged; None if it is not known.
    """
    scores, classes, reasons = summary["scores"], summary["classes"], summary["reasons"]
    sections = [
        Section("Scores", [_scores(summary, threshold)] if sum(scores["counts"]) else []),
        Section("Classes", [_classes(classes)] if classes else []),
        Section("Rows that failed", _failures(reasons) if reasons else []),
        Section("Settings", [plain("What the verdicts were made with.", ["setting", "value"], [
            [name, value] for name, value in settings.items()
        ])], folded=True),
    ]
    return Page(
        title="Verdicts on a dataset", answer=answer(summary),
        about=(
            f"{summary['rows']:,} rows, of which {summary['judged']:,} were judged. A row that "
            "failed has its reason in the output, and is flagged there."
        ),
        sections=[one for one in sections if one.blocks],
    )


def answer(summary: Mapping[str, Any]) -> str:
    """One sentence: how many rows are flagged, and how many could not be judged."""
    flagged, judged, failed = (summary[key] for key in ("judged_flagged", "judged", "failed"))
    share = f" ({flagged / judged:.2%})" if judged else ""
    rest = f"; {failed:,} more could not be judged" if failed else ""
    return f"{flagged:,} of {judged:,} rows are flagged as adversarial{share}{rest}."


def _scores(summary: Mapping[str, Any], threshold: float | None) -> Chart:
    scores = summary["scores"]
    above = "" if threshold is None else (
        f"; {summary['judged_flagged']:,} lie above the threshold {threshold:.4g}"
    )
    return bars(
        scores["edges"], scores["counts"], threshold,
        title=f"Histogram of {summary['judged']:,} scores from {scores['edges'][0]:.4g} to "
        f"{scores['edges'][-1]:.4g}{above}",
        caption="Scores" + (
            "." if threshold is None else "; those beyond the dashed line are flagged."
        ),
    )


def _classes(classes: Mapping[str, Mapping[str, Any]]) -> DataTable:
    highest = max(one["share"] for one in classes.values())
    return DataTable(
        "Rows by the class that the classifier gives them. Bold is the largest share flagged.",
        ["class", "rows", "flagged", "share flagged"],
        [[
            Cell(label, float(label)), Cell(f"{one['rows']:,}", one["rows"]),
            Cell(f"{one['flagged']:,}", one["flagged"]),
            Cell(f"{one['share']:.2%}", one["share"], 0 < one["share"] == highest),
        ] for label, one in classes.items()],
    )


def _failures(reasons: Mapping[str, Mapping[str, Any]]) -> list[Block]:
    return [
        plain("Why rows could not be judged.", ["reason", "rows"],
              [[reason, str(one["rows"])] for reason, one in reasons.items()]),
        plain("Some of these rows.", ["row", "error"], [
            [example["id"], example["error"]]
            for one in reasons.values() for example in one["examples"]
        ]),
    ]
