"""Search mode beside counting every iteration, on the same inputs."""

from functools import partial
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from a2d_tf.evaluation import metrics
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.experiment_images import BENIGN
from a2d_tf.evaluation.splits import TEST
from a2d_tf.reports import comparison_figures
from a2d_tf.reports.tables import Table
from a2d_tf.reproduction.runner import ReproductionConfig, ReproductionResult
from a2d_tf.reproduction.table2 import THREATS

ATTACKS = ("bim", "bim2")


def run_search(config: ReproductionConfig) -> ReproductionResult:
    """What a search saves, and how it changes the costs, for each dataset and seed.

    Times are those of the stages, which include the tracing of the graphs.
    """
    results: dict[str, Any] = {}
    rows, panels = [], {}
    for dataset in config.datasets:
        every = config.data(dataset, THREATS, [*ATTACKS, *map(_search, ATTACKS)])
        results[dataset] = {
            attack: [_compare(data, attack) for data in every] for attack in ATTACKS
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
    table = Table(f"Costs by search, limit {config.limit}", header, rows)
    sides = ("search", "every iteration counted")
    draw = partial(comparison_figures.side_by_side, panels, "AUROC", names=sides)
    return ReproductionResult(results, [table], draw)


def _compare(data: ExperimentData, attack: str) -> dict[str, Any]:
    """One attack in both modes: passes per benign image, and ratios of counting to search.

    The rank correlation is over images of all types.
    """
    counted, searched = (
        {kind: _costs(data, kind, name) for kind in (BENIGN, *THREATS)}
        for name in (attack, _search(attack))
    )
    efforts = {
        name: {kind: data.query_count(kind, TEST, name) for kind in (BENIGN, *THREATS)}
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


def _costs(data: ExperimentData, kind: str, name: str) -> NDArray[np.int32]:
    return data.costs(kind, TEST, [name])[:, 0]


def _search(attack: str) -> str:
    return f"{attack}-search"
