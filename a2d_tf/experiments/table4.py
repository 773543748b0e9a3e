"""Table 4: confident adversarial images are robust, and far from their originals (6.1.2)."""

import dataclasses
from functools import partial
from typing import Any

import numpy as np

from a2d_tf import plots, threats
from a2d_tf.clever import CHEAP
from a2d_tf.experiments.evidence import TEST, Evidence
from a2d_tf.experiments.measured import Floats, nearest_clever, pooled
from a2d_tf.experiments.measurements import published
from a2d_tf.experiments.reproduction import Outcome, Request
from a2d_tf.report import Grid

KAPPAS = (0, 2, 4, 6, 8)


def run(request: Request) -> Outcome:
    """Table 4: CLEVER, BIM's iterations and L2 of C&W's images by their confidence.

    CLEVER is that of the second most likely class; L2 is in units of the pixel range. Only images
    that the attack succeeded on count.
    """
    results: dict[str, Any] = {"kappa": list(KAPPAS), "sampling": repr(CHEAP)}
    rows, panels = [], {}
    for dataset in request.datasets:
        evidences = request.evidences(dataset, ["cw"], ["bim"])
        for evidence in evidences:
            evidence.threats |= {_name(k): _confident(dataset, k) for k in KAPPAS}
        found = {
            "clever": [
                pooled(evidences, lambda e: nearest_clever(e, _name(k))) for k in KAPPAS
            ],
            "iterations": [
                pooled(evidences, lambda e: e.costs(_name(k), TEST, ["bim"])[:, 0].astype(float))
                for k in KAPPAS
            ],
            "l2": [pooled(evidences, lambda e: _l2(e, _name(k))) for k in KAPPAS],
        }
        paper = published("table4")[dataset]
        results[dataset] = {
            quantity: [float(one.mean()) for one in values] for quantity, values in found.items()
        } | {"images": [len(one) for one in found["l2"]]}
        for quantity in found:
            ours = results[dataset][quantity]
            rows.append([dataset, quantity, "ours", *(f"{value:.3g}" for value in ours)])
            rows.append(["", "", "paper", *(f"{value:g}" for value in paper[quantity])])
            panels[f"{quantity} on {dataset}"] = {
                str(k): pair for k, pair in zip(KAPPAS, zip(ours, paper[quantity]))
            }
    header = ["dataset", "mean", "", *(f"kappa {k}" for k in KAPPAS)]
    grid = Grid(f"C&W's images by confidence, {request.limit} images", header, rows)
    return Outcome(results, [grid], partial(plots.side_by_side, panels, "mean"))


def _confident(dataset: str, kappa: int) -> threats.Threat:
    settings = dataclasses.asdict(threats.preset("cw", dataset))
    return threats.CW(**settings | {"kappa": float(kappa)})


def _name(kappa: int) -> str:
    return f"cw, kappa {kappa}"


def _l2(evidence: Evidence, kind: str) -> Floats:
    adversarial, source, _ = evidence.inputs(kind, TEST)
    original = evidence.inputs("benign", TEST).images[source]
    away = (adversarial - original).astype(np.float64) / evidence.classifier.bounds.range
    distances: Floats = np.sqrt(np.square(away).sum(axis=(1, 2, 3)))
    return distances
