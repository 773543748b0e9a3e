"""Figures 3 and 5: the iterations of attacks as a measure (sections 3.2 and 5.1.2)."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation import metrics
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.experiment_images import BENIGN
from a2d_tf.evaluation.published import published
from a2d_tf.evaluation.splits import TEST
from a2d_tf.reports import comparison_figures, measurement_figures
from a2d_tf.reports.tables import Table
from a2d_tf.reproduction.measurements import Floats, pooled
from a2d_tf.reproduction.runner import ReproductionConfig, ReproductionResult
from a2d_tf.reproduction.table2 import ATTACKS, THREATS

FIGURE3_THREATS = ("fgsm", "bim-a", "deepfool", "cw")


def figure3(config: ReproductionConfig) -> ReproductionResult:
    """Distances between the mean iterations of JSMA, for two halves of each type of images."""
    names = [f"{input_type} {half}" for input_type in (BENIGN, *FIGURE3_THREATS) for half in (1, 2)]
    paper = np.array(published("figure3"))
    results: dict[str, Any] = {"order": names}
    tables, panels = [], {}
    for dataset in config.datasets:
        every = config.data(dataset, FIGURE3_THREATS, ["jsma"])
        halves = [
            pooled(every, lambda data: _costs(data, input_type, "jsma")[half::2])
            for input_type in every[0].input_types for half in (0, 1)
        ]
        if not all(map(len, halves)):
            raise InvalidInputError(
                f"expected two images of every type on {dataset}, got fewer; raise the limit"
            )
        cap = every[0].attacks["jsma"].max_iterations
        at_cap = [float((half == cap).mean()) for half in halves]
        matrix = _distances(halves)
        panels[dataset] = matrix
        results[dataset] = {
            "matrix": matrix.tolist(), "images": [len(half) for half in halves],
            "mean_iterations": [float(half.mean()) for half in halves],
            "at_cap": at_cap, **_summary(matrix),
        }
        tables.append(Table(f"Distances on {dataset}", ["", *names, "at cap"], [
            [name, *(f"{value:.3f}" for value in row), f"{share:.1%}"]
            for name, row, share in zip(names, matrix, at_cap)
        ]))
    panels["paper"] = paper
    summaries = [[d, *_figures(results[d])] for d in config.datasets]
    header = ["", "same type, most", "benign to adversarial, least", "adversarial, most"]
    summaries.append(["paper", *_figures(_summary(paper))])
    tables.insert(0, Table("Distances", header, summaries))
    return ReproductionResult(results, tables, partial(measurement_figures.matrices, panels, names))


def figure5(config: ReproductionConfig) -> ReproductionResult:
    """Iterations of four attacks on benign and adversarial images."""
    results: dict[str, Any] = {}
    rows, costs, caps = [], {}, {}
    for dataset in config.datasets:
        every = config.data(dataset, THREATS, ATTACKS)
        results[dataset] = {}
        for name, attack in every[0].attacks.items():
            title = f"{name} on {dataset}"
            by_type = {
                input_type: pooled(every, lambda data: _costs(data, input_type, name))
                for input_type in every[0].input_types
            }
            costs[title] = {
                input_type: one.astype(np.int64) for input_type, one in by_type.items()
            }
            caps[title] = attack.max_iterations
            results[dataset][name] = {
                kind: {
                    "images": len(one), "median": float(np.median(one)),
                    "at_cap": float((one == attack.max_iterations).mean()),
                    "auroc": None if kind == BENIGN else metrics.auroc(-by_type[BENIGN], -one),
                } for kind, one in by_type.items()
            }
            medians = [f"{one['median']:g}" for one in results[dataset][name].values()]
            rows.append([dataset, name, *medians])
    header = ["dataset", "attack", BENIGN, *THREATS]
    table = Table(f"Median iterations of up to {config.limit} images of each type", header, rows)
    return ReproductionResult(results, [table], partial(comparison_figures.cost_boxes, costs, caps))


def _costs(data: ExperimentData, input_type: str, name: str) -> Floats:
    costs: NDArray[np.int32] = data.costs(input_type, TEST, [name])[:, 0]
    return costs.astype(np.float64)


def _distances(halves: list[Floats]) -> Floats:
    """Between the means of all pairs, as shares of the largest."""
    means = np.array([half.mean() for half in halves])
    apart = np.abs(means[:, None] - means)
    shares: Floats = apart / (apart.max() or 1.0)
    return shares


def _summary(matrix: Floats) -> dict[str, float]:
    """The largest distances within a type and between threats, and the least to benign images."""
    halves = range(0, len(matrix), 2)
    return {
        "same_type_most": max(float(matrix[i, i + 1]) for i in halves),
        "benign_to_adversarial_least": float(matrix[:2, 2:].min()),
        "adversarial_most": float(matrix[2:, 2:].max()),
    }


def _figures(summary: dict[str, float]) -> list[str]:
    names = ("same_type_most", "benign_to_adversarial_least", "adversarial_most")
    return [f"{summary[name]:.3f}" for name in names]
