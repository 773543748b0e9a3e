"""Figures 3 and 5: what the iterations of attacks say (sections 3.2 and 5.1.2)."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2d_tf import charts, metrics, plots
from a2d_tf.errors import InvalidInputError
from a2d_tf.experiments.evidence import BENIGN, TEST, Evidence
from a2d_tf.experiments.measured import Floats, kinds, pooled
from a2d_tf.experiments.measurements import published
from a2d_tf.experiments.reproduction import Outcome, Request
from a2d_tf.experiments.table2 import DEFENCES, THREATS
from a2d_tf.report import Grid

HALVED = ("fgsm", "bim-a", "deepfool", "cw")


def figure3(request: Request) -> Outcome:
    """Distances between the mean iterations of JSMA, for two halves of each kind of images."""
    names = [f"{kind} {half}" for kind in (BENIGN, *HALVED) for half in (1, 2)]
    paper = np.array(published("figure3"))
    results: dict[str, Any] = {"order": names}
    grids, panels = [], {}
    for dataset in request.datasets:
        evidences = request.evidences(dataset, HALVED, ["jsma"])
        halves = [
            pooled(evidences, lambda e: _costs(e, kind, "jsma")[half::2])
            for kind in kinds(evidences[0]) for half in (0, 1)
        ]
        if not all(map(len, halves)):
            raise InvalidInputError(
                f"expected two images of every kind on {dataset}, got fewer; raise the limit"
            )
        cap = evidences[0].attacks["jsma"].max_iterations
        at_cap = [float((half == cap).mean()) for half in halves]
        matrix = _distances(halves)
        panels[dataset] = matrix
        results[dataset] = {
            "matrix": matrix.tolist(), "images": [len(half) for half in halves],
            "mean_iterations": [float(half.mean()) for half in halves],
            "at_cap": at_cap, **_summary(matrix),
        }
        grids.append(Grid(f"Distances on {dataset}", ["", *names, "at cap"], [
            [name, *(f"{value:.3f}" for value in row), f"{share:.1%}"]
            for name, row, share in zip(names, matrix, at_cap)
        ]))
    panels["paper"] = paper
    summaries = [[d, *_figures(results[d])] for d in request.datasets]
    header = ["", "same kind, most", "benign to adversarial, least", "adversarial, most"]
    grids.insert(0, Grid("Distances", header, [*summaries, ["paper", *_figures(_summary(paper))]]))
    return Outcome(results, grids, partial(charts.matrices, panels, names))


def figure5(request: Request) -> Outcome:
    """Iterations of four attacks on benign and adversarial images."""
    results: dict[str, Any] = {}
    rows, costs, caps = [], {}, {}
    for dataset in request.datasets:
        evidences = request.evidences(dataset, THREATS, DEFENCES)
        results[dataset] = {}
        for name, attack in evidences[0].attacks.items():
            title = f"{name} on {dataset}"
            of_kinds = {
                kind: pooled(evidences, lambda e: _costs(e, kind, name))
                for kind in kinds(evidences[0])
            }
            costs[title] = {kind: one.astype(np.int64) for kind, one in of_kinds.items()}
            caps[title] = attack.max_iterations
            results[dataset][name] = {
                kind: {
                    "images": len(one), "median": float(np.median(one)),
                    "at_cap": float((one == attack.max_iterations).mean()),
                    "auroc": None if kind == BENIGN else metrics.auroc(-of_kinds[BENIGN], -one),
                } for kind, one in of_kinds.items()
            }
            medians = [f"{one['median']:g}" for one in results[dataset][name].values()]
            rows.append([dataset, name, *medians])
    header = ["dataset", "attack", BENIGN, *THREATS]
    grid = Grid(f"Median iterations of up to {request.limit} images of each kind", header, rows)
    return Outcome(results, [grid], partial(plots.cost_boxes, costs, caps))


def _costs(evidence: Evidence, kind: str, name: str) -> Floats:
    costs: NDArray[np.int32] = evidence.costs(kind, TEST, [name])[:, 0]
    return costs.astype(np.float64)


def _distances(halves: list[Floats]) -> Floats:
    """Between the means of all pairs, as shares of the largest."""
    means = np.array([half.mean() for half in halves])
    apart = np.abs(means[:, None] - means)
    shares: Floats = apart / (apart.max() or 1.0)
    return shares


def _summary(matrix: Floats) -> dict[str, float]:
    """The largest distance within a kind and between threats, the least to benign images."""
    halves = range(0, len(matrix), 2)
    return {
        "same_kind_most": max(float(matrix[i, i + 1]) for i in halves),
        "benign_to_adversarial_least": float(matrix[:2, 2:].min()),
        "adversarial_most": float(matrix[2:, 2:].max()),
    }


def _figures(summary: dict[str, float]) -> list[str]:
    names = ("same_kind_most", "benign_to_adversarial_least", "adversarial_most")
    return [f"{summary[name]:.3f}" for name in names]
