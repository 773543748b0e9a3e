"""Price and quality: detectors from benign images alone, by the passes that they take."""

from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from a2d_tf.detectors import Conformal, Profile
from a2d_tf.evaluation.comparison import prepare
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.methods import Method, Scorer
from a2d_tf.evaluation.summary import cell, threat_summary
from a2d_tf.features import DirectionCosts, Feature, Response
from a2d_tf.reports.axes import PALETTE, save
from a2d_tf.reports.detector_tables import detector_tables
from a2d_tf.reproduction.runner import ReproductionConfig, ReproductionResult

# The paper's threats, and one that goes far across the boundary.
THREATS = ("fgsm", "bim-a", "jsma", "cw", "pgd")
GRADIENTS = (0, 1, 2, 3, 5, 10)
FILTERS = "filters"  # what `A2D` takes by default
DIGITS = tuple("0123456789")  # how the names of detectors without filters start
LINES: dict[str | tuple[str, ...], dict[str, Any]] = {
    DIGITS: {"linestyle": ":", "marker": "o", "markerfacecolor": "white"},
    FILTERS: {"marker": "o"},
}
ATTACKS = ("bim-search", "bim")


def run_frontier(config: ReproductionConfig) -> ReproductionResult:
    """The AUROC and the shares detected of each detector, and its passes, for each dataset."""
    results: dict[str, Any] = {"datasets": {}}
    tables = []
    for dataset in config.datasets:
        runs = [
            _measure(prepare(
                comparison, folder, _methods({}), data_dir=config.data_dir,
                model=config.model(dataset), progress=config.progress,
            )[0])
            for comparison, folder in config.comparisons(dataset, THREATS, ATTACKS)
        ]
        results["datasets"][dataset] = runs
        tables += detector_tables(
            dataset, [one["cells"] for one in runs], runs[0]["threats"], runs[0]["passes"]
        )
    return ReproductionResult(results, tables, partial(_draw, results["datasets"]))


def _methods(costs: dict[str, Feature]) -> dict[str, Method]:
    """Detectors by price; `costs` are those of attacks that stand behind the default."""
    features: dict[str, dict[str, Feature]] = {
        **{
            f"{count} gradient{'s' * (count != 1)}": {
                f"gradients-{count}": Response(top_k=count, filters=False)
            }
            for count in GRADIENTS
        },
        FILTERS: {"response": Response()},
        f"{FILTERS}, 1 gradient": {"response-1": Response(top_k=1)},
        "directions": {"directions-margins": DirectionCosts(margins=True)},
        **{
            f"{FILTERS}, {name}": {"response": Response(), name: cost}
            for name, cost in costs.items()
        },
        **{name: {name: cost} for name, cost in costs.items()},
    }
    return {
        name: Method(
            features=parts, description=", ".join(parts),
            detector=Profile() if any(
                one.adversarial_is == "either" for one in parts.values()
            ) else Conformal(),
        )
        for name, parts in features.items()
    }


def _measure(data: ExperimentData) -> dict[str, Any]:
    methods = _methods({name: data.features[name] for name in ATTACKS})
    scorers = {name: Scorer(method, data) for name, method in methods.items()}
    scores = {name: scorer.scores(()) for name, scorer in scorers.items()}
    return {
        "accuracy": data.accuracy,
        "splits": {name: len(index) for name, index in data.splits.items()},
        "threats": {threat: threat_summary(data, threat) for threat in data.threats},
        "cells": {
            threat: {name: cell(found, threat) for name, found in scores.items()}
            for threat in data.threats
        },
        "passes": {name: scorer.passes() for name, scorer in scorers.items()},
    }


def _draw(datasets: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """A panel per dataset: the share detected at 5 % false positives over the passes per image."""
    figure = Figure(figsize=(5.2 * len(datasets) + 1.6, 4.4), layout="constrained")
    every = figure.subplots(1, len(datasets), squeeze=False, sharey=True)[0]
    for axes, (dataset, (run, *_)) in zip(every, datasets.items(), strict=True):
        for start, style in LINES.items():
            names = sorted(
                (name for name in run["passes"] if name.startswith(start)),
                key=lambda name: sum(run["passes"][name].values()),
            )
            for color, (threat, row) in zip(PALETTE, run["cells"].items()):
                axes.plot(
                    [sum(run["passes"][name].values()) for name in names],
                    [row[name]["tpr_at_fpr"]["0.05"] for name in names], color=color,
                    label=threat if start == FILTERS else None, **style,
                )
        axes.plot([], [], color="0.4", label="without filters", **LINES[DIGITS])
        axes.set_xscale("log")
        axes.set(
            title=dataset, xlabel="forward passes and gradients per image",
            ylabel="detected at 5 % false positives", ylim=(-0.02, 1.02),
        )
        axes.grid(color="0.92")
    figure.legend(*every[-1].get_legend_handles_labels(), loc="outside right center")
    save(figure, path)
