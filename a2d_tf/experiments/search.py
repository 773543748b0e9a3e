"""Search mode beside counting every iteration, on the same inputs."""

from functools import partial
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from a2d_tf import metrics, plots
from a2d_tf.experiments.evidence import BENIGN, TEST, Evidence
from a2d_tf.experiments.reproduction import Outcome, Request
from a2d_tf.experiments.table2 import THREATS
from a2d_tf.report import Grid

ATTACKS = ("bim", "bim2")


def run(request: Request) -> Outcome:
    """What searching saves, and what it changes of the costs, for each dataset and seed.

    Times are those of the stages, the tracing of the graphs included.
    """
    results: dict[str, Any] = {}
    rows, panels = [], {}
    for dataset in request.datasets:
        evidences = request.evidences(dataset, THREATS, [*ATTACKS, *map(_search, ATTACKS)])
        results[dataset] = {
            attack: [_compare(evidence, attack) for evidence in evidences] for attack in ATTACKS
        }
        for attack, runs in results[dataset].items():
            rows += [_row(dataset, attack, one) for one in runs]
            panels[f"{attack} on {dataset}"] = {
                threat: (runs[0]["auroc"][threat]["search"], runs[0]["auroc"][threat]["counted"])
                for threat in THREATS
            }
    header = [
        "dataset", "attack", "fewer gradients, benign", "forward passes", "faster, benign",
        "faster, all", "Spearman", *(f"AUROC {threat} (counted)" for threat in THREATS),
    ]
    grid = Grid(f"Costs by search, limit {request.limit}", header, rows)
    sides = ("search", "every iteration counted")
    return Outcome(results, [grid], partial(plots.side_by_side, panels, "AUROC", names=sides))


def _compare(evidence: Evidence, attack: str) -> dict[str, Any]:
    """One attack in both modes.

    The benign costs in iterations, the gradients and forward passes in those of the search per
    image; ratios of the counting mode's figures to the search's; rank correlation over inputs of
    all kinds.
    """
    counted, searched = (
        {kind: _costs(evidence, kind, name) for kind in (BENIGN, *THREATS)}
        for name in (attack, _search(attack))
    )
    efforts = {
        name: {kind: evidence.effort(kind, TEST, name) for kind in (BENIGN, *THREATS)}
        for name in (attack, _search(attack))
    }
    slow, quick = efforts[attack][BENIGN], efforts[_search(attack)][BENIGN]
    images = len(counted[BENIGN])
    return {
        "images": {kind: len(costs) for kind, costs in counted.items()},
        "gradients": {"counted": slow.gradients / images, "search": quick.gradients / images},
        "forward_passes": (quick.queries - quick.gradients) / images,
        "fewer_gradients": slow.gradients / quick.gradients,
        "faster_benign": slow.seconds / quick.seconds,
        "faster": sum(e.seconds for e in efforts[attack].values())
        / sum(e.seconds for e in efforts[_search(attack)].values()),
        "spearman": float(scipy.stats.spearmanr(
            np.concatenate(list(counted.values())), np.concatenate(list(searched.values()))
        ).statistic),
        "auroc": {
            threat: {
                mode: metrics.auroc(-costs[BENIGN], -costs[threat])
                for mode, costs in (("counted", counted), ("search", searched))
            }
            for threat in THREATS
        },
    }


def _row(dataset: str, attack: str, found: dict[str, Any]) -> list[str]:
    return [
        dataset, attack, f"{found['fewer_gradients']:.1f} x", f"{found['forward_passes']:.1f}",
        f"{found['faster_benign']:.1f} x", f"{found['faster']:.1f} x", f"{found['spearman']:.4f}",
        *(f"{row['search']:.4f} ({row['counted']:.4f})" for row in found["auroc"].values()),
    ]


def _costs(evidence: Evidence, kind: str, name: str) -> NDArray[np.int32]:
    return evidence.costs(kind, TEST, [name])[:, 0]


def _search(attack: str) -> str:
    return f"{attack}-search"
