"""From scores and costs to the figures of a comparison; `report` describes their form."""

import json
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2d_tf import metrics
from a2d_tf.calibration import threshold_at
from a2d_tf.experiments.columns import Scores, noisy_kind
from a2d_tf.experiments.evidence import BENIGN, CALIBRATION, TEST, Evidence

RATES = (0.01, 0.05, 0.1)
ScoresByThreat = dict[str, dict[str, Scores]]  # threat -> column -> scores


def measure(
    evidence: Evidence, seen: ScoresByThreat, unseen: ScoresByThreat, dataset: str
) -> dict[str, Any]:
    """All figures of a comparison.

    Args:
      evidence: the inputs and their costs.
      seen: scores of columns that could learn from the threat they are tested on.
      unseen: scores of columns that learnt from the other threats only.
      dataset: names the published figures.
    """
    published = _published(dataset)
    return {
        "splits": {name: len(index) for name, index in evidence.splits.items()},
        "threats": {threat: _threat_summary(evidence, threat) for threat in seen},
        "cells": {
            threat: {
                name: _cell(scores, threat, published.get(threat, {}).get(name))
                for name, scores in row.items()
            }
            for threat, row in seen.items()
        },
        "unseen": {
            threat: {name: _cell(scores, threat, None) for name, scores in row.items()}
            for threat, row in unseen.items()
        },
        "costs": {kind: _cost_summary(evidence, kind) for kind in (BENIGN, *seen)},
        "false_positive_rate": _false_positive_rates(seen),
    }


def _threat_summary(evidence: Evidence, threat: str) -> dict[str, Any]:
    inputs = evidence.inputs(threat, TEST)
    return {
        "crafted": len(evidence.splits[TEST]),
        "success_rate": inputs.success_rate,
        "tested": len(inputs.images),
    }


def _cell(scores: Scores, threat: str, published: float | None) -> dict[str, Any]:
    benign, adversarial = scores[BENIGN], scores[threat]
    noisy = scores.get(noisy_kind(threat))
    return {
        "auroc": metrics.auroc(benign, adversarial),
        "auroc_noisy": None if noisy is None else metrics.auroc(
            np.concatenate([benign, noisy]), adversarial
        ),
        "auroc_ci95": list(metrics.auroc_interval(benign, adversarial)),
        "tpr_at_fpr": {
            f"{rate:g}": metrics.tpr_at_fpr(benign, adversarial, rate) for rate in RATES
        },
        "published": published,
    }


def _published(dataset: str) -> dict[str, dict[str, float]]:
    text = resources.files(__package__).joinpath("published.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, dict[str, float]]] = json.loads(text)["table2_env1"]
    return table.get(dataset, {})


def _cost_summary(evidence: Evidence, kind: str) -> dict[str, Any]:
    def summary(costs: NDArray[np.int32], cap: int) -> dict[str, Any]:
        lower, median, upper = np.quantile(costs, [0.25, 0.5, 0.75])
        return {
            "n": len(costs),
            "median": float(median),
            "quartiles": [float(lower), float(upper)],
            "at_cap": float((costs == cap).mean()),
        }

    costs = evidence.costs(kind, TEST)
    return {
        name: summary(column, attack.max_iterations)
        for column, (name, attack) in zip(costs.T, evidence.attacks.items(), strict=True)
    }


def _false_positive_rates(seen: ScoresByThreat) -> dict[str, dict[str, float]]:
    """Column -> asked rate -> rate on benign test images, the mean over the threats' fits."""
    return {
        name: {
            f"{rate:g}": float(np.mean([
                (row[name][BENIGN] > threshold_at(row[name][CALIBRATION], rate)).mean()
                for row in seen.values()
            ]))
            for rate in RATES
        }
        for name in next(iter(seen.values()))
    }
