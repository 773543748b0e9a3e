"""Table 1: CLEVER scores of benign and adversarial images (section 3.1)."""

from functools import partial
from typing import Any

import numpy as np

from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation import metrics
from a2d_tf.evaluation.experiment_images import BENIGN
from a2d_tf.reproduction.measurements import FEW_POINTS, Floats, clever_scores
from a2d_tf.evaluation.published import published
from a2d_tf.reproduction.runner import ReproductionConfig, ReproductionResult
from a2d_tf.reproduction.table2 import THREATS
from a2d_tf.reports import comparison_figures
from a2d_tf.reports.tables import Table
from a2d_tf.robustness import TARGETS

LEVEL = 0.9


def run_table1(config: ReproductionConfig) -> ReproductionResult:
    """Table 1: means with their 90 % intervals, and benign ones over adversarial ones."""
    results: dict[str, Any] = {"sampling": repr(FEW_POINTS)}
    tables, panels = [], {}
    for dataset in config.datasets:
        every = config.data(dataset, THREATS, ["jsma"])
        runs = {kind: [clever_scores(one, kind) for one in every] for kind in every[0].input_types}
        paper = published("table1")[dataset]
        if min(len(one["top2"]) for scores in runs.values() for one in scores) < 2:
            raise InvalidInputError(
                f"expected two images of every type on {dataset}, got fewer; raise the limit"
            )
        results[dataset] = {
            target: _row({
                kind: np.concatenate([one[target] for one in scores])
                for kind, scores in runs.items()
            }) for target in TARGETS
        }
        sizes = {
            kind: one["images"] for kind, one in results[dataset]["top2"]["scores"].items()
        }
        header = ["target", "", f"{BENIGN} ({sizes[BENIGN]})"]
        for threat in THREATS:
            header += [f"{threat} ({sizes[threat]})", "ratio"]
        rows = []
        for target, ours in results[dataset].items():
            theirs = paper[target]
            means = {kind: one["mean"] for kind, one in ours["scores"].items()}
            spreads = {kind: one["half_interval90"] for kind, one in ours["scores"].items()}
            rows.append([target, "ours", *_cells(means, spreads, ours["average_ratio"])])
            rows.append(["", "paper", *_cells(
                {kind: theirs[kind][0] for kind in means},
                {kind: theirs[kind][1] for kind in means}, theirs["average_ratio"],
            )])
            panels[f"{dataset}, {target}"] = {
                kind: (mean, theirs[kind][0]) for kind, mean in means.items()
            }
        tables.append(Table(
            f"CLEVER of images (how many) of {dataset}, with half of its 90 % interval",
            [*header, "average ratio"], rows,
        ))
    draw = partial(comparison_figures.side_by_side, panels, "CLEVER score")
    return ReproductionResult(results, tables, draw)


def _row(scores: dict[str, Floats]) -> dict[str, Any]:
    """One target: scores by type of image, and the ratios to the benign ones."""
    intervals = {kind: metrics.mean_interval(values, LEVEL) for kind, values in scores.items()}
    means = {kind: mean for kind, (mean, _) in intervals.items()}
    return {
        "scores": {
            kind: {"images": len(scores[kind]), "mean": mean, "half_interval90": half}
            for kind, (mean, half) in intervals.items()
        },
        "ratio": {threat: means[BENIGN] / means[threat] for threat in THREATS},
        "average_ratio": means[BENIGN] / float(np.mean([means[threat] for threat in THREATS])),
    }


def _cells(means: dict[str, float], spreads: dict[str, float], average: float) -> list[str]:
    cells = [f"{means[BENIGN]:.4f} ± {spreads[BENIGN]:.4f}"]
    for threat in THREATS:
        cells += [
            f"{means[threat]:.4f} ± {spreads[threat]:.4f}",
            f"{means[BENIGN] / means[threat]:.1f}",
        ]
    return [*cells, f"{average:.2f}"]
