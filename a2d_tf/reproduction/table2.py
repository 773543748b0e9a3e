"""Table 2, Env 1: the AUROC of every cost attack and baseline on every threat."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from a2d_tf.evaluation.comparison import run_comparison
from a2d_tf.evaluation.published import published
from a2d_tf.evaluation.summary import RANDOM_SPLITS
from a2d_tf.reports import comparison_figures
from a2d_tf.reports.detector_tables import detector_tables, with_benign_only
from a2d_tf.reproduction.runner import ReproductionConfig, ReproductionResult
from a2d_tf.reports.tables import Table

THREATS = ("fgsm", "bim-a", "jsma", "cw")
ATTACKS = ("jsma", "bim", "bim2", "dba")
# DBA takes seconds for an image: it is counted for a twentieth of them.
DBA_SHARE = 20
FEWEST_SLOW = 10  # a slow attack that would be counted for fewer images is left out
# The parts of a comparison's results that are kept for each run.
KEPT = (
    "model", "splits", "slow_limits", "threats", "cells", "unseen", "benign_only", "passes",
    "conformal_rate", "false_positive_rate", "columns", "settings", "seconds",
)
Aurocs = dict[str, dict[str, list[float]]]  # threat -> method -> a value for each seed


Runs = dict[str, list[dict[str, Any]]]  # dataset -> the results of a comparison for each seed


def run_table2(config: ReproductionConfig) -> ReproductionResult:
    """Table 2, a comparison for each dataset and seed."""
    runs = {
        dataset: [
            run_comparison(
                comparison, folder, data_dir=config.data_dir, model=config.model(dataset),
                progress=config.progress,
            )
            for comparison, folder in config.comparisons(
                dataset, THREATS, counted(ATTACKS, slow_limits(config)),
                slow_limits=slow_limits(config),
                baselines=config.baselines,
            )
        ]
        for dataset in config.datasets
    }
    return assemble(runs, published("table2_env1"))


def counted(attacks: Sequence[str], slow_limits: Mapping[str, int]) -> list[str]:
    """The attacks without the slow ones that would be counted for too few images."""
    return [name for name in attacks if slow_limits.get(name, FEWEST_SLOW) >= FEWEST_SLOW]


def slow_limits(config: ReproductionConfig) -> dict[str, int]:
    """Of how many images DBA is counted."""
    return {"dba": config.limit // DBA_SHARE}


def assemble(every: Runs, papers: Mapping[str, dict[str, dict[str, float]]]) -> ReproductionResult:
    """The tables and the figure of comparisons, with the published AUROCs of each dataset."""
    results: dict[str, Any] = {"datasets": {}}
    tables, panels = [], {}
    for dataset, runs in every.items():
        paper = papers[dataset]
        aurocs, unseen = _aurocs(runs, "cells"), _aurocs(runs, "unseen")
        confident = _aurocs(runs, "auroc_confident")
        results["datasets"][dataset] = {
            "auroc": aurocs, "auroc_unseen": unseen, "auroc_confident": confident,
            "published": paper,
            "runs": [{key: one[key] for key in KEPT} for one in runs],
        }
        part = "".join(f"; {a}: first {n} images" for a, n in runs[0]["slow_limits"].items())
        threats, passes = runs[0]["threats"], runs[0]["passes"]
        tables += detector_tables(
            f"{dataset}{part}", [one["cells"] for one in runs], threats, passes, paper
        )
        if runs[0]["unseen"]:
            tables += detector_tables(
                f"{dataset}, fitted on the other threats or on none",
                [with_benign_only(one["unseen"], one["cells"], one["benign_only"])
                 for one in runs],
                threats, passes,
            )
        tables.append(Table(
            f"AUROC on {dataset} where the classifier is confident of the benign image",
            *_rows(confident),
        ))
        tables.append(Table(
            f"Conformal detector on fresh benign images of {dataset}",
            [
                "wanted", f"mean of {RANDOM_SPLITS} splits", "± sd",
                "95 % interval of the wanted rate", "splits inside",
            ],
            [_rate(wanted, measured) for wanted, measured in runs[0]["conformal_rate"].items()],
        ))
        for threat, columns in aurocs.items():
            panels[f"{dataset}, {threat}"] = {
                _short(name): (float(np.mean(values)), paper.get(threat, {}).get(name))
                for name, values in columns.items()
            }
    draw = partial(comparison_figures.side_by_side, panels, "AUROC")
    return ReproductionResult(results, tables, draw)


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


def _rows(aurocs: Aurocs) -> tuple[list[str], list[list[str]]]:
    """Header and rows, one per detector, of the means over the seeds."""
    names = dict.fromkeys(name for row in aurocs.values() for name in row)
    return ["detector", *aurocs], [
        [_short(name), *(
            f"{np.mean(row[name]):.4f}" if name in row else "" for row in aurocs.values()
        )]
        for name in names
    ]


def _short(name: str) -> str:
    return name.removeprefix("ensemble_")


def _rate(wanted: str, measured: dict[str, Any]) -> list[str]:
    lower, upper = measured["binomial_interval95"]
    return [
        f"{float(wanted):.0%}", f"{measured['measured']:.2%}", f"{measured['deviation']:.2%}",
        f"{lower:.2%} to {upper:.2%}", f"{measured['splits_inside']:.0%}",
    ]
