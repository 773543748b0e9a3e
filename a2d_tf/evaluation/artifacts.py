"""The files that a comparison writes: results.json and report.html."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from a2d_tf.evaluation import metrics
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.experiment_images import BENIGN
from a2d_tf.evaluation.methods import Scores
from a2d_tf.evaluation.splits import TEST
from a2d_tf.images.bounds import to_unit
from a2d_tf.reports import comparison_page, page
from a2d_tf.reports.comparison_table import ranking
from a2d_tf.reports.page import Gallery, Thumbnail
from a2d_tf.reports.thumbnails import data_uri
from a2d_tf.storage import files

RESULTS, REPORT = "results.json", "report.html"
SHOWN = 8  # images of a gallery
GALLERY_FPR = 0.05


def write(
    workdir: Path,
    results: dict[str, Any],
    data: ExperimentData,
    scores: Mapping[str, Mapping[str, Scores]],
) -> None:
    """Writes everything into the folder of the comparison.

    Args:
      workdir: the folder.
      results: the results, as `comparison_page` describes them.
      data: the images and their features.
      scores: threat -> method -> scores.
    """
    roc = {
        threat: {name: metrics.roc(one[BENIGN], one[threat]) for name, one in row.items()}
        for threat, row in scores.items()
    }
    costs = {
        attack: {kind: data.costs(kind, TEST, [attack])[:, 0] for kind in data.input_types}
        for attack in data.attacks
    }
    caps = {name: attack.max_iterations for name, attack in data.attacks.items()}
    files.save_json(workdir / RESULTS, results)
    page.write(
        comparison_page.page(results, roc, costs, caps, _galleries(results, data, scores)),
        workdir / REPORT,
    )


def _galleries(
    results: dict[str, Any], data: ExperimentData, scores: Mapping[str, Mapping[str, Scores]]
) -> list[Gallery]:
    """Images that the best detector flags and does not flag, of each threat and benign ones."""
    best = ranking(results).best
    if best is None:
        return []
    shown: list[Gallery] = []
    for threat, row in scores.items():
        its = row[best]
        threshold = metrics.threshold_for(its[BENIGN], GALLERY_FPR)
        if not shown:  # thresholds of one threat suffice to show benign images
            flagged = its[BENIGN] > threshold
            shown.append(_gallery("Benign images that are flagged", BENIGN, flagged, data))
        flagged = its[threat] > threshold
        shown.append(_gallery(f"{threat}, detected", threat, flagged, data))
        shown.append(_gallery(f"{threat}, missed", threat, ~flagged, data))
    return shown


def _gallery(title: str, input_type: str, wanted: Any, data: ExperimentData) -> Gallery:
    rows = np.flatnonzero(wanted)
    names = [name for name in data.attacks if name not in data.slow_limits]
    samples = data.samples(input_type, TEST)
    first = rows[:SHOWN]
    images = samples.images[first]
    costs = data.costs(input_type, TEST, names)[first] if names else np.empty((len(first), 0))
    labels = data.classifier.predict(images) if len(images) else np.empty(0, np.int64)
    unit = to_unit(images, data.classifier.bounds)
    thumbnails = []
    for row, image, label, values in zip(first, unit, labels, costs, strict=True):
        lines = [f"label {label}", *(f"{n} {v:.5g}" for n, v in zip(names, values, strict=True))]
        alt = f"{input_type} image {row}, {', '.join(lines)}"
        thumbnails.append(Thumbnail(data_uri(image), alt, lines))
    total = f"{len(rows)} of {len(samples.images)}"
    return Gallery(f"{title}: {total}", thumbnails)
