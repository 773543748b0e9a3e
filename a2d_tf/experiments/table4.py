"""Table 4: confident adversarial images are robust, and far from their originals (6.1.2)."""

import dataclasses
import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2d_tf import plots, threats
from a2d_tf.clever import CHEAP
from a2d_tf.errors import InvalidInputError
from a2d_tf.experiments.evidence import TEST, Evidence
from a2d_tf.experiments.measured import Floats, nearest_clever, pooled
from a2d_tf.experiments.measurements import published
from a2d_tf.experiments.reproduction import Outcome, Request
from a2d_tf.report import Grid

KAPPAS = (0, 2, 4, 6, 8)


def run(request: Request) -> Outcome:
    """Table 4: CLEVER, BIM's iterations and L2 of C&W's images by their confidence.

    CLEVER is that of the second most likely class; L2 is in units of the pixel range. Only images
    that the attack succeeded on with every confidence count, so that all are of the same originals.
    """
    results: dict[str, Any] = {"kappa": list(KAPPAS), "sampling": repr(CHEAP)}
    rows, panels = [], {}
    for dataset in request.datasets:
        evidences = request.evidences(dataset, ["cw"], ["bim"])
        for evidence in evidences:
            evidence.threats |= {_name(k): _confident(dataset, k) for k in KAPPAS}
        found = {
            quantity: [pooled(evidences, lambda e: measure(e, k)[_shared(e, k)]) for k in KAPPAS]
            for quantity, measure in QUANTITIES.items()
        }
        paper = published("table4")[dataset]
        cap = evidences[0].attacks["bim"].max_iterations
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
    grid = Grid("C&W's images by confidence", header, rows)
    return Outcome(results, [grid], functools.partial(plots.side_by_side, panels, "mean"))


def _confident(dataset: str, kappa: int) -> threats.Threat:
    settings = dataclasses.asdict(threats.preset("cw", dataset))
    return threats.CW(**settings | {"kappa": float(kappa)})


def _name(kappa: int) -> str:
    return f"cw, kappa {kappa}"


def _shared(evidence: Evidence, kappa: int) -> NDArray[np.bool_]:
    """Which inputs of a confidence are of originals that all have one of."""
    sources = {k: evidence.inputs(_name(k), TEST).source for k in KAPPAS}
    shared: NDArray[np.bool_] = np.isin(
        sources[kappa], functools.reduce(np.intersect1d, sources.values())
    )
    return shared


def _clever(evidence: Evidence, kappa: int) -> Floats:
    return nearest_clever(evidence, _name(kappa))


def _iterations(evidence: Evidence, kappa: int) -> Floats:
    return evidence.costs(_name(kappa), TEST, ["bim"])[:, 0].astype(np.float64)


def _l2(evidence: Evidence, kappa: int) -> Floats:
    adversarial, source, _ = evidence.inputs(_name(kappa), TEST)
    original = evidence.inputs("benign", TEST).images[source]
    away = (adversarial - original).astype(np.float64) / evidence.classifier.bounds.range
    distances: Floats = np.sqrt(np.square(away).sum(axis=(1, 2, 3)))
    return distances


QUANTITIES = {"clever": _clever, "iterations": _iterations, "l2": _l2}
