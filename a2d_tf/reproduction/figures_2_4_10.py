"""Figures 2, 4 and 10: the time of an attack as a measure (sections 3.2, 5.1.1 and D)."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import scipy.stats

from a2d_tf import attacks
from a2d_tf.attacks import BIM, BIM2, Attack
from a2d_tf.evaluation import metrics
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.experiment_images import BENIGN
from a2d_tf.reproduction.measurements import (
    ADVERSARIAL,
    Floats,
    Timed,
    nearest_clever,
    pooled,
    timed,
)
from a2d_tf.reproduction.runner import ReproductionConfig, ReproductionResult
from a2d_tf.reproduction.table2 import THREATS
from a2d_tf.reports import measurement_figures
from a2d_tf.reports.axes import Axis
from a2d_tf.reports.tables import Table

SECONDS = Axis("attack time, s", log=True)
EIGHT_ATTACKS = ("fgsm", "bim", "bim2", "jsma", "cw", "lbfgs", "lsa", "dba")
# Figure 4 has Foolbox's defaults for these two attacks; the presets are those of Figure 5.
FEW_STEPS: dict[str, Attack] = {
    "bim": BIM(eps=0.3, step=0.05, max_iterations=10),
    "bim2": BIM2(eps=0.3, step=0.05, max_iterations=10),
}
PAPERS_RANGE = 0.3  # the largest CLEVER score of Figure 2


def figure2(config: ReproductionConfig) -> ReproductionResult:
    """CLEVER against the time of JSMA."""
    results: dict[str, Any] = {}
    rows, panels = [], {}
    for dataset in config.datasets:
        panels[dataset] = _against_time(config, dataset, nearest_clever)
        scores, seconds = _joined(panels[dataset].values())
        near = scores <= PAPERS_RANGE
        results[dataset] = {
            "images": len(scores), "spearman": _spearman(scores, seconds),
            f"images_up_to_{PAPERS_RANGE}": int(near.sum()),
            f"spearman_up_to_{PAPERS_RANGE}": _spearman(scores[near], seconds[near]),
        }
        figures = ["" if one is None else f"{one:.4g}" for one in results[dataset].values()]
        rows.append([dataset, *figures])
    header = ["dataset", "images", "Spearman", f"images of CLEVER <= {PAPERS_RANGE}", "Spearman"]
    draw = partial(measurement_figures.scatter, panels, Axis("CLEVER score, top 2"), SECONDS)
    return ReproductionResult(results, [Table("CLEVER against time of JSMA", header, rows)], draw)


def figure4(config: ReproductionConfig) -> ReproductionResult:
    """The time of eight attacks on benign images and as many adversarial ones of all threats."""
    whole, rest = divmod(config.limit, len(THREATS))
    shares = {threat: whole + (place < rest) for place, threat in enumerate(THREATS)}
    results: dict[str, Any] = {}
    rows, panels = [], {}
    for dataset in config.datasets:
        every = config.data(dataset, THREATS, EIGHT_ATTACKS)
        results[dataset] = {}
        for name in EIGHT_ATTACKS:
            attack = FEW_STEPS.get(name) or attacks.preset(name, dataset)
            seconds = {
                BENIGN: pooled(every, lambda data: timed(data, BENIGN, name, attack).seconds),
                ADVERSARIAL: np.concatenate([
                    pooled(every, lambda data: timed(data, threat, name, attack, share).seconds)
                    for threat, share in shares.items() if share
                ]),
            }
            panels[f"{name} on {dataset}"] = seconds
            medians = {kind: float(np.median(values)) for kind, values in seconds.items()}
            auroc = metrics.auroc(-seconds[BENIGN], -seconds[ADVERSARIAL])
            results[dataset][name] = {
                "images": {kind: len(values) for kind, values in seconds.items()},
                "median_seconds": medians, "auroc_of_time": auroc, "attack": repr(attack),
            }
            rows.append([
                dataset, name, f"{medians[BENIGN]:.4f}", f"{medians[ADVERSARIAL]:.4f}",
                f"{medians[BENIGN] / medians[ADVERSARIAL]:.1f}", f"{auroc:.3f}",
            ])
    header = ["dataset", "attack", "benign, median s", "adversarial, median s", "ratio",
              "AUROC of time"]
    grid = Table(f"Attack time of up to {config.limit} images of each type", header, rows)
    return ReproductionResult(results, [grid], partial(measurement_figures.boxes, panels, SECONDS))


def figure10(config: ReproductionConfig) -> ReproductionResult:
    """The time of JSMA against the iterations that it made."""
    results: dict[str, Any] = {}
    rows, panels = [], {}
    for dataset in config.datasets:
        panels[dataset] = _against_time(config, dataset, _iterations_of_jsma)
        iterations, seconds = _joined(panels[dataset].values())
        correlation = float(scipy.stats.pearsonr(iterations, seconds).statistic)
        results[dataset] = {"images": len(seconds), "pearson": correlation}
        rows.append([dataset, str(len(seconds)), f"{correlation:.4f}"])
    grid = Table("Time of JSMA against its iterations", ["dataset", "images", "Pearson"], rows)
    draw = partial(measurement_figures.scatter, panels, Axis("iterations"), Axis("attack time, s"))
    return ReproductionResult(results, [grid], draw)


def _against_time(
    config: ReproductionConfig, dataset: str, measure: Callable[[ExperimentData, str], Floats]
) -> dict[str, tuple[Floats, Floats]]:
    """For each type of images a measurement of them [N], and the seconds of JSMA [N]."""
    every = config.data(dataset, THREATS, ["jsma"])
    return {
        input_type: (
            pooled(every, lambda data: measure(data, input_type)),
            pooled(every, lambda data: _jsma(data, input_type).seconds),
        ) for input_type in every[0].input_types
    }


def _iterations_of_jsma(data: ExperimentData, input_type: str) -> Floats:
    return _jsma(data, input_type).queries.astype(np.float64)


def _jsma(data: ExperimentData, input_type: str) -> Timed:
    return timed(data, input_type, "jsma", data.attacks["jsma"])


def _joined(points: Iterable[tuple[Floats, Floats]]) -> list[Floats]:
    """All points of a panel, as x [N] and y [N]."""
    return [np.concatenate(values) for values in zip(*points)]


def _spearman(first: Floats, second: Floats) -> float | None:
    """The rank correlation; None where there is nothing to correlate."""
    if len(first) < 2 or not (np.ptp(first) and np.ptp(second)):
        return None
    return float(scipy.stats.spearmanr(first, second).statistic)
