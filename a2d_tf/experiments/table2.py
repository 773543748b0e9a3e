"""Table 2, Env 1: the AUROC of every defence and baseline on every threat."""

from functools import partial
from typing import Any

import numpy as np

from a2d_tf import plots
from a2d_tf.experiments import comparison
from a2d_tf.experiments.measurements import PARTINGS, published
from a2d_tf.experiments.reproduction import Outcome, Request
from a2d_tf.report import Grid

THREATS = ("fgsm", "bim-a", "jsma", "cw")
DEFENCES = ("jsma", "bim", "bim2", "dba")
# DBA takes seconds for an image: it counts a twentieth, and nothing where that says nothing.
DBA_SHARE, DBA_FEWEST = 20, 10
# What of a comparison's results stands in the table's, run by run.
KEPT = ("model", "splits", "first", "threats", "cells", "conformal_rate", "false_positive_rate",
        "columns", "settings", "seconds")
Aurocs = dict[str, dict[str, list[float]]]  # threat -> column -> a value for each seed


def run(request: Request) -> Outcome:
    """Table 2, a comparison for each dataset and seed."""
    enough = request.limit // DBA_SHARE >= DBA_FEWEST
    defences = DEFENCES if enough else [name for name in DEFENCES if name != "dba"]
    results: dict[str, Any] = {"datasets": {}}
    grids, panels = [], {}
    for dataset in request.datasets:
        runs = [
            comparison.run(
                asked, folder, request.baselines,
                data_dir=request.data_dir, model=request.model(dataset),
                progress=request.progress,
            )
            for asked, folder in request.comparisons(
                dataset, THREATS, defences, first=request.limit // DBA_SHARE
            )
        ]
        paper = published("table2_env1")[dataset]
        aurocs, unseen = _aurocs(runs, "cells"), _aurocs(runs, "unseen")
        sure = _aurocs(runs, "auroc_where_sure")
        results["datasets"][dataset] = {
            "auroc": aurocs, "auroc_unseen": unseen, "auroc_where_sure": sure, "published": paper,
            "runs": [{key: one[key] for key in KEPT} for one in runs],
        }
        part = "".join(f"; {a}: first {n} images" for a, n in runs[0]["first"].items())
        grids.append(Grid(f"AUROC on {dataset}{part}", *_rows(aurocs, paper)))
        grids.append(Grid(
            f"AUROC on {dataset}, fitted on the other threats", *_rows(unseen, {})
        ))
        grids.append(Grid(
            f"AUROC on {dataset} where the classifier is sure of the benign image",
            *_rows(sure, {}),
        ))
        grids.append(Grid(
            f"Conformal detector on fresh benign images of {dataset}",
            ["asked", f"mean of {PARTINGS} partings", "± sd", "95 % interval of the asked rate",
             "partings inside"],
            [_rate(asked, measured) for asked, measured in runs[0]["conformal_rate"].items()],
        ))
        for threat, columns in aurocs.items():
            panels[f"{dataset}, {threat}"] = {
                _short(name): (float(np.mean(values)), paper[threat].get(name))
                for name, values in columns.items()
            }
    return Outcome(results, grids, partial(plots.side_by_side, panels, "AUROC"))


def _aurocs(runs: list[dict[str, Any]], section: str) -> Aurocs:
    return {
        threat: {
            name: [
                one[section][threat][name]["auroc"]
                for one in runs if name in one[section][threat]
            ]
            for name in row
        }
        for threat, row in runs[0][section].items()
    }


def _rows(
    aurocs: Aurocs, paper: dict[str, dict[str, float]]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows; the highest of a row is bold, and its spread stands below."""
    columns = list(dict.fromkeys(name for row in aurocs.values() for name in row))
    rows = []
    for threat, row in aurocs.items():
        means = {name: float(np.mean(values)) for name, values in row.items()}
        best = max(means.values(), default=0.0)
        rows.append([threat, "ours", *(_figure(means.get(name), best) for name in columns)])
        if any(len(values) > 1 for values in row.values()):
            spread = {n: float(np.std(v, ddof=1)) for n, v in row.items() if len(v) > 1}
            rows.append(["", "± sd", *(_figure(spread.get(name)) for name in columns)])
        if threat in paper:
            rows.append(["", "paper", *(_figure(paper[threat].get(name)) for name in columns)])
    return ["threat", "", *map(_short, columns)], rows


def _short(name: str) -> str:
    return name.removeprefix("ensemble_")


def _figure(value: float | None, best: float | None = None) -> str:
    if value is None:
        return ""
    return f"**{value:.4f}**" if value == best else f"{value:.4f}"


def _rate(asked: str, measured: dict[str, Any]) -> list[str]:
    lower, upper = measured["binomial_interval95"]
    return [
        f"{float(asked):.0%}", f"{measured['measured']:.2%}", f"{measured['deviation']:.2%}",
        f"{lower:.2%} to {upper:.2%}", f"{measured['partings_inside']:.0%}",
    ]
