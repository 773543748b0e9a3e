"""Table 1: CLEVER scores of benign and adversarial images (section 3.1)."""

from functools import partial
from typing import Any

import numpy as np

from a2d_tf import metrics, plots
from a2d_tf.clever import KINDS
from a2d_tf.errors import InvalidInputError
from a2d_tf.experiments.evidence import BENIGN
from a2d_tf.experiments.measured import FEW, Floats, clever_scores, kinds
from a2d_tf.experiments.measurements import published
from a2d_tf.experiments.reproduction import Outcome, Request
from a2d_tf.experiments.table2 import THREATS
from a2d_tf.report import Grid

LEVEL = 0.9


def run(request: Request) -> Outcome:
    """Table 1: means with their 90 % intervals, and benign ones over adversarial ones."""
    results: dict[str, Any] = {"sampling": repr(FEW)}
    grids, panels = [], {}
    for dataset in request.datasets:
        evidences = request.evidences(dataset, THREATS, ["jsma"])
        runs = {kind: [clever_scores(e, kind) for e in evidences] for kind in kinds(evidences[0])}
        paper = published("table1")[dataset]
        if min(len(one["top2"]) for scores in runs.values() for one in scores) < 2:
            raise InvalidInputError(
                f"expected two images of every kind on {dataset}, got fewer; raise the limit"
            )
        results[dataset] = {
            target: _row({
                kind: np.concatenate([one[target] for one in scores])
                for kind, scores in runs.items()
            }) for target in KINDS
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
        grids.append(Grid(
            f"CLEVER of images (how many) of {dataset}, with half of its 90 % interval",
            [*header, "average ratio"], rows,
        ))
    return Outcome(results, grids, partial(plots.side_by_side, panels, "CLEVER score"))


def _row(scores: dict[str, Floats]) -> dict[str, Any]:
    """One kind of target: scores by kind of image, and the ratios to the benign ones."""
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
