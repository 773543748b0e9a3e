"""What a comparison leaves behind: results.json, report.md and pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from a2d_tf import files, metrics, plots, report
from a2d_tf.experiments.columns import Scores
from a2d_tf.experiments.evidence import BENIGN, TEST, Evidence

RESULTS, REPORT = "results.json", "report.md"
PICTURES_PER_ROW = 8


def write(
    workdir: Path,
    results: dict[str, Any],
    evidence: Evidence,
    scores: Mapping[str, Mapping[str, Scores]],
) -> None:
    """Writes everything into the folder of the comparison.

    Args:
      workdir: the folder.
      results: the results, as `report` describes them.
      evidence: the images and costs.
      scores: threat -> column -> scores.
    """
    pictures = []
    for threat, row in scores.items():
        name = f"roc-{threat}.png"
        curves = {column: metrics.roc(s[BENIGN], s[threat]) for column, s in row.items()}
        plots.roc_curves(curves, f"{threat} on {results['dataset']}", workdir / name)
        pictures.append((f"ROC, {threat}", name))
    plots.cost_boxes(
        _costs(evidence),
        {name: attack.max_iterations for name, attack in evidence.attacks.items()},
        workdir / "costs.png",
    )
    pictures.append(("Attack costs by type of input", "costs.png"))
    bounds = evidence.classifier.bounds
    plots.image_grid(_examples(evidence), workdir / "examples.png", value_range=bounds)
    pictures.append(("Images, the classifier's label and their costs", "examples.png"))
    files.save_json(workdir / RESULTS, results)
    files.save_text(workdir / REPORT, report.markdown(results, pictures))


def _kinds(evidence: Evidence) -> list[str]:
    return [BENIGN, *evidence.threats]


def _costs(evidence: Evidence) -> dict[str, dict[str, plots.IntArray]]:
    return {
        attack: {kind: evidence.costs(kind, TEST, [attack])[:, 0] for kind in _kinds(evidence)}
        for attack in evidence.attacks
    }


def _examples(evidence: Evidence) -> dict[str, list[plots.ImageCaption]]:
    rows = {}
    for kind in _kinds(evidence):
        images = evidence.inputs(kind, TEST).images[:PICTURES_PER_ROW]
        labels = evidence.classifier.predict(images)
        costs = evidence.costs(kind, TEST, list(evidence.attacks))[:PICTURES_PER_ROW]
        rows[kind] = [
            plots.ImageCaption(image, _caption(label, row, evidence))
            for image, label, row in zip(images, labels, costs)
        ]
    return rows


def _caption(label: int, costs: plots.IntArray, evidence: Evidence) -> str:
    lines = [f"{name} {cost}" for name, cost in zip(evidence.attacks, costs, strict=True)]
    return "\n".join([f"label {label}", *lines])
