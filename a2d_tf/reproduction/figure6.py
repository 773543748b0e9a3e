"""Figure 6: accuracies of the K-NN and Z-score detectors."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from a2d_tf.reports import comparison_figures
from a2d_tf.detectors import KNN, ZScore
from a2d_tf.reproduction.accuracy import Accuracy, accuracy
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.published import published, with_searches
from a2d_tf.evaluation.splits import FIT
from a2d_tf.reproduction.runner import ReproductionConfig, ReproductionResult
from a2d_tf.reproduction.table2 import ATTACKS, THREATS
from a2d_tf.reports.tables import Table

ENSEMBLE = "ensemble"
Bars = dict[str, Accuracy]  # one attack or the ensemble of all


def run_figure6(config: ReproductionConfig) -> ReproductionResult:
    """Figure 6, for each dataset; DBA is counted for all images, since it votes.

    The paper's mean accuracies are those of Env 2.
    """
    return assemble({
        dataset: config.data(dataset, THREATS, ATTACKS) for dataset in config.datasets
    })


def assemble(datasets: Mapping[str, list[ExperimentData]]) -> ReproductionResult:
    """The tables and the figure of every dataset, from its data for every seed."""
    results: dict[str, Any] = {}
    tables, panels = [], {}
    for dataset, every in datasets.items():
        threats = list(every[0].threats)
        paper = with_searches(published("figure6_knn_mean_accuracy")[dataset])
        results[dataset] = {}
        for name, bars in (("knn", _knn), ("zscore", _zscore)):
            table = _mean([bars(data) for data in every])
            published_means = paper if name == "knn" else {}
            results[dataset][name] = {
                key: one._asdict() | {"mean": one.mean} for key, one in table.items()
            }
            tables.append(Table(
                f"Accuracy of {name} on {dataset}",
                ["detector", "benign", *threats, "mean", "paper's mean, Env 2"],
                [
                    [key, f"{one.benign:.4f}", *(f"{one.by_threat[t]:.4f}" for t in threats),
                     f"{one.mean:.4f}",
                     f"{published_means[key]:.4f}" if key in published_means else ""]
                    for key, one in table.items()
                ],
            ))
            panels[f"{name}, {dataset}: mean accuracy"] = {
                key: (one.mean, published_means.get(key)) for key, one in table.items()
            }
    draw = partial(comparison_figures.side_by_side, panels, "accuracy")
    return ReproductionResult(results, tables, draw)


def _knn(data: ExperimentData) -> Bars:
    """A single attack's detector is fitted on the threat that it is tested on (section 5.3.1)."""
    bars, threats = {}, list(data.threats)
    for attack in data.attacks:
        fits = {
            threat: accuracy(
                data, [attack], KNN(), [threat],
                ratio=data.samples(threat, FIT).success_rate,  # all there are
            )
            for threat in threats
        }
        bars[attack] = Accuracy(
            benign=float(np.mean([fit.benign for fit in fits.values()])),
            by_threat={t: fit.by_threat[t] for t, fit in fits.items()},
        )
    return bars | {ENSEMBLE: accuracy(data, list(data.attacks), KNN(), threats)}


def _zscore(data: ExperimentData) -> Bars:
    threats, attacks = list(data.threats), list(data.attacks)
    single = {a: accuracy(data, [a], ZScore(), threats) for a in attacks}
    return single | {ENSEMBLE: accuracy(data, attacks, ZScore(), threats)}


def _mean(runs: list[Bars]) -> Bars:
    """The mean over the seeds."""
    return {
        name: Accuracy(
            benign=float(np.mean([bars[name].benign for bars in runs])),
            by_threat={
                t: float(np.mean([bars[name].by_threat[t] for bars in runs]))
                for t in runs[0][name].by_threat
            },
        )
        for name in runs[0]
    }
