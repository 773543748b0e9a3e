"""Figures 2, 4 and 10: what the time of an attack says (sections 3.2, 5.1.1 and D)."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import scipy.stats

from a2d_tf import attacks, charts, metrics
from a2d_tf.attacks import BIM, BIM2, Attack
from a2d_tf.charts import Axis
from a2d_tf.experiments.evidence import BENIGN, Evidence
from a2d_tf.experiments.measured import (
    ADVERSARIAL,
    Floats,
    Timed,
    kinds,
    nearest_clever,
    pooled,
    timed,
)
from a2d_tf.experiments.reproduction import Outcome, Request
from a2d_tf.experiments.table2 import THREATS
from a2d_tf.report import Grid

SECONDS = Axis("attack time, s", log=True)
EIGHT = ("fgsm", "bim", "bim2", "jsma", "cw", "lbfgs", "lsa", "dba")
# Foolbox's defaults, which Figure 4 takes for these two; the presets are Figure 5's.
FEW_STEPS: dict[str, Attack] = {
    "bim": BIM(eps=0.3, step=0.05, max_iterations=10),
    "bim2": BIM2(eps=0.3, step=0.05, max_iterations=10),
}
PAPERS_RANGE = 0.3  # the CLEVER scores of Figure 2 go from 0 to this


def figure2(request: Request) -> Outcome:
    """CLEVER against the time of JSMA."""
    results: dict[str, Any] = {}
    rows, panels = [], {}
    for dataset in request.datasets:
        panels[dataset] = _against_time(request, dataset, nearest_clever)
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
    draw = partial(charts.scatter, panels, Axis("CLEVER score, top 2"), SECONDS)
    return Outcome(results, [Grid("CLEVER against time of JSMA", header, rows)], draw)


def figure4(request: Request) -> Outcome:
    """The time of eight attacks on benign images and as many adversarial ones of all threats."""
    whole, rest = divmod(request.limit, len(THREATS))
    shares = {threat: whole + (place < rest) for place, threat in enumerate(THREATS)}
    results: dict[str, Any] = {}
    rows, panels = [], {}
    for dataset in request.datasets:
        evidences = request.evidences(dataset, THREATS, EIGHT)
        results[dataset] = {}
        for name in EIGHT:
            attack = FEW_STEPS.get(name) or attacks.preset(name, dataset)
            seconds = {
                BENIGN: pooled(evidences, lambda e: timed(e, BENIGN, name, attack).seconds),
                ADVERSARIAL: np.concatenate([
                    pooled(evidences, lambda e: timed(e, threat, name, attack, share).seconds)
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
    grid = Grid(f"Attack time of up to {request.limit} images of each kind", header, rows)
    return Outcome(results, [grid], partial(charts.boxes, panels, SECONDS))


def figure10(request: Request) -> Outcome:
    """The time of JSMA against the iterations that it made."""
    results: dict[str, Any] = {}
    rows, panels = [], {}
    for dataset in request.datasets:
        panels[dataset] = _against_time(request, dataset, _iterations_of_jsma)
        iterations, seconds = _joined(panels[dataset].values())
        correlation = float(scipy.stats.pearsonr(iterations, seconds).statistic)
        results[dataset] = {"images": len(seconds), "pearson": correlation}
        rows.append([dataset, str(len(seconds)), f"{correlation:.4f}"])
    grid = Grid("Time of JSMA against its iterations", ["dataset", "images", "Pearson"], rows)
    draw = partial(charts.scatter, panels, Axis("iterations"), Axis("attack time, s"))
    return Outcome(results, [grid], draw)


def _against_time(
    request: Request, dataset: str, measure: Callable[[Evidence, str], Floats]
) -> dict[str, tuple[Floats, Floats]]:
    """For each kind of images what is measured of them [N], and the seconds of JSMA [N]."""
    evidences = request.evidences(dataset, THREATS, ["jsma"])
    return {
        kind: (
            pooled(evidences, lambda e: measure(e, kind)),
            pooled(evidences, lambda e: _jsma(e, kind).seconds),
        ) for kind in kinds(evidences[0])
    }


def _iterations_of_jsma(evidence: Evidence, kind: str) -> Floats:
    return _jsma(evidence, kind).queries.astype(np.float64)


def _jsma(evidence: Evidence, kind: str) -> Timed:
    return timed(evidence, kind, "jsma", evidence.attacks["jsma"])


def _joined(kinds_of_points: Iterable[tuple[Floats, Floats]]) -> list[Floats]:
    """All points of a panel, as x [N] and y [N]."""
    return [np.concatenate(values) for values in zip(*kinds_of_points)]


def _spearman(first: Floats, second: Floats) -> float | None:
    """None where there is nothing to correlate."""
    if len(first) < 2 or not (np.ptp(first) and np.ptp(second)):
        return None
    return float(scipy.stats.spearmanr(first, second).statistic)
