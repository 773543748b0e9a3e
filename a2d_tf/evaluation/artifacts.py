"""The files that a comparison writes: results.json, report.md and figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from a2d_tf.evaluation import metrics
from a2d_tf.evaluation.experiment_data import BENIGN, TEST, ExperimentData
from a2d_tf.evaluation.methods import Scores
from a2d_tf.reports import comparison_figures, comparison_report
from a2d_tf.reports.comparison_figures import ImageCaption, CostArray
from a2d_tf.storage import files

RESULTS, REPORT = "results.json", "report.md"
IMAGES_PER_ROW = 8


def write(
    workdir: Path,
    results: dict[str, Any],
    data: ExperimentData,
    scores: Mapping[str, Mapping[str, Scores]],
) -> None:
    """Writes everything into the folder of the comparison.

    Args:
      workdir: the folder.
      results: the results, as `comparison_report` describes them.
      data: the images and their features.
      scores: threat -> method -> scores.
    """
    pictures = []
    for threat, row in scores.items():
        name = f"roc-{threat}.png"
        curves = {method: metrics.roc(s[BENIGN], s[threat]) for method, s in row.items()}
        comparison_figures.roc_curves(curves, f"{threat} on {results['dataset']}", workdir / name)
        pictures.append((f"ROC, {threat}", name))
    comparison_figures.cost_boxes(
        _costs(data),
        {name: attack.max_iterations for name, attack in data.attacks.items()},
        workdir / "costs.png",
    )
    pictures.append(("Attack costs by type of input", "costs.png"))
    bounds = data.classifier.bounds
    comparison_figures.image_grid(_examples(data), workdir / "examples.png", value_range=bounds)
    pictures.append(("Images, the classifier's label and their costs", "examples.png"))
    files.save_json(workdir / RESULTS, results)
    files.save_text(workdir / REPORT, comparison_report.markdown(results, pictures))


def _costs(data: ExperimentData) -> dict[str, dict[str, CostArray]]:
    return {
        attack: {
            input_type: data.costs(input_type, TEST, [attack])[:, 0]
            for input_type in data.input_types
        }
        for attack in data.attacks
    }


def _examples(data: ExperimentData) -> dict[str, list[ImageCaption]]:
    rows = {}
    for input_type in data.input_types:
        images = data.samples(input_type, TEST).images[:IMAGES_PER_ROW]
        labels = data.classifier.predict(images)
        costs = data.costs(input_type, TEST, list(data.attacks))[:IMAGES_PER_ROW]
        rows[input_type] = [
            ImageCaption(image, _caption(label, row, data))
            for image, label, row in zip(images, labels, costs)
        ]
    return rows


def _caption(label: int, costs: CostArray, data: ExperimentData) -> str:
    lines = [f"{name} {cost:.5g}" for name, cost in zip(data.attacks, costs, strict=True)]
    return "\n".join([f"label {label}", *lines])
