"""Table 4: confident adversarial images are robust, and far from their originals (6.1.2)."""

import dataclasses
import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2d_tf import threats
from a2d_tf.attacks import CarliniWagner
from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.reports import comparison_figures
from a2d_tf.reports.tables import Table
from a2d_tf.reproduction.measurements import Floats, nearest_clever, pooled
from a2d_tf.evaluation.published import published
from a2d_tf.evaluation.splits import TEST
from a2d_tf.reproduction.runner import ReproductionConfig, ReproductionResult
from a2d_tf.robustness import CHEAP
from a2d_tf.threats import AttackThreat, Threat

KAPPAS = (0, 2, 4, 6, 8)


def run_table4(config: ReproductionConfig) -> ReproductionResult:
    """Table 4: CLEVER, BIM's iterations and L2 of C&W's images by their confidence.

    CLEVER is that of the second most likely class; L2 is in units of the pixel range. Only
    originals count on which the attack succeeded with every confidence.
    """
    results: dict[str, Any] = {"kappa": list(KAPPAS), "sampling": repr(CHEAP)}
    rows, panels = [], {}
    for dataset in config.datasets:
        recipes = {_name(kappa): _confident(dataset, kappa) for kappa in KAPPAS}
        every = config.data(dataset, recipes, ["bim"])
        found = {
            quantity: [
                pooled(every, lambda data: measure(data, kappa)[_shared(data, kappa)])
                for kappa in KAPPAS
            ]
            for quantity, measure in QUANTITIES.items()
        }
        paper = published("table4")[dataset]
        cap = every[0].attacks["bim"].max_iterations
        count = len(found["l2"][0])
        if not count:
            raise InvalidInputError(
                f"expected an image of {dataset} that C&W succeeds on with every confidence, got "
                "none; raise the limit"
            )
        results[dataset] = {
            quantity: [float(one.mean()) for one in values] for quantity, values in found.items()
        } | {
            "images": count, "at_cap": [float((one == cap).mean()) for one in found["iterations"]],
        }
        for quantity in found:
            ours = results[dataset][quantity]
            means = (f"{value:.3g}" for value in ours)
            rows.append([f"{dataset} ({count})", quantity, "ours", *means])
            rows.append(["", "", "paper", *(f"{value:g}" for value in paper[quantity])])
            panels[f"{quantity} on {dataset}"] = {
                str(k): pair for k, pair in zip(KAPPAS, zip(ours, paper[quantity]))
            }
        shares = (f"{share:.0%}" for share in results[dataset]["at_cap"])
        rows.append(["", "iterations at their cap", "ours", *shares])
    header = ["dataset (images)", "mean", "", *(f"kappa {k}" for k in KAPPAS)]
    table = Table("C&W's images by confidence", header, rows)
    draw = functools.partial(comparison_figures.side_by_side, panels, "mean")
    return ReproductionResult(results, [table], draw)


def _confident(dataset: str, kappa: int) -> Threat:
    threat = threats.preset("cw", dataset)
    assert isinstance(threat, AttackThreat) and isinstance(threat.attack, CarliniWagner)
    return AttackThreat(attack=dataclasses.replace(threat.attack, confidence=float(kappa)))


def _name(kappa: int) -> str:
    return f"cw, kappa {kappa}"


def _shared(data: ExperimentData, kappa: int) -> NDArray[np.bool_]:
    """Which images of a confidence are of originals that have an image of every confidence."""
    sources = {k: data.samples(_name(k), TEST).source_index for k in KAPPAS}
    shared: NDArray[np.bool_] = np.isin(
        sources[kappa], functools.reduce(np.intersect1d, sources.values())
    )
    return shared


def _clever(data: ExperimentData, kappa: int) -> Floats:
    return nearest_clever(data, _name(kappa))


def _iterations(data: ExperimentData, kappa: int) -> Floats:
    return data.costs(_name(kappa), TEST, ["bim"])[:, 0].astype(np.float64)


def _l2(data: ExperimentData, kappa: int) -> Floats:
    adversarial, source, _ = data.samples(_name(kappa), TEST)
    original = data.samples("benign", TEST).images[source]
    away = (adversarial - original).astype(np.float64) / data.classifier.bounds.range
    distances: Floats = np.sqrt(np.square(away).sum(axis=(1, 2, 3)))
    return distances


QUANTITIES = {"clever": _clever, "iterations": _iterations, "l2": _l2}
