"""Figure 6: accuracies of the K-NN and Z-score detectors, on the threats of Env 1."""

from functools import partial
from typing import Any

import numpy as np

from a2d_tf import plots
from a2d_tf.detectors import KNN, ZScore
from a2d_tf.experiments.accuracies import Accuracy, accuracy
from a2d_tf.experiments.evidence import FIT, Evidence
from a2d_tf.experiments.measurements import published
from a2d_tf.experiments.reproduction import Outcome, Request
from a2d_tf.experiments.table2 import DEFENCES, THREATS
from a2d_tf.report import Grid

ENSEMBLE = "ensemble"
Bars = dict[str, Accuracy]  # one attack or the ensemble of all


def run(request: Request) -> Outcome:
    """Figure 6, for each dataset; DBA counts all images, since it votes.

    The paper's mean accuracies are those of Env 2.
    """
    results: dict[str, Any] = {}
    grids, panels = [], {}
    for dataset in request.datasets:
        evidences = request.evidences(dataset, THREATS, DEFENCES)
        paper = published("figure6_knn_mean_accuracy")[dataset]
        results[dataset] = {}
        for name, bars in (("knn", _knn), ("zscore", _zscore)):
            table = _mean([bars(evidence) for evidence in evidences])
            published_means = paper if name == "knn" else {}
            results[dataset][name] = {
                key: one._asdict() | {"mean": one.mean} for key, one in table.items()
            }
            grids.append(Grid(
                f"Accuracy of {name} on {dataset}",
                ["detector", "benign", *THREATS, "mean", "paper's mean, Env 2"],
                [
                    [key, f"{one.benign:.4f}", *(f"{one.by_threat[t]:.4f}" for t in THREATS),
                     f"{one.mean:.4f}",
                     f"{published_means[key]:.4f}" if key in published_means else ""]
                    for key, one in table.items()
                ],
            ))
            panels[f"{name}, {dataset}: mean accuracy"] = {
                key: (one.mean, published_means.get(key)) for key, one in table.items()
            }
    return Outcome(results, grids, partial(plots.side_by_side, panels, "accuracy"))


def _knn(evidence: Evidence) -> Bars:
    """A single attack's detector is fitted on the threat that it is tested on (section 5.3.1)."""
    bars = {}
    for attack in DEFENCES:
        fits = {
            threat: accuracy(
                evidence, [attack], KNN(), [threat],
                ratio=evidence.inputs(threat, FIT).success_rate,  # all there are
            )
            for threat in THREATS
        }
        bars[attack] = Accuracy(
            benign=float(np.mean([fit.benign for fit in fits.values()])),
            by_threat={t: fit.by_threat[t] for t, fit in fits.items()},
        )
    return bars | {ENSEMBLE: accuracy(evidence, DEFENCES, KNN(), THREATS)}


def _zscore(evidence: Evidence) -> Bars:
    single = {a: accuracy(evidence, [a], ZScore(), THREATS) for a in DEFENCES}
    return single | {ENSEMBLE: accuracy(evidence, DEFENCES, ZScore(), THREATS)}


def _mean(runs: list[Bars]) -> Bars:
    """The mean over the seeds."""
    return {
        name: Accuracy(
            benign=float(np.mean([bars[name].benign for bars in runs])),
            by_threat={
                t: float(np.mean([bars[name].by_threat[t] for bars in runs])) for t in THREATS
            },
        )
        for name in runs[0]
    }
