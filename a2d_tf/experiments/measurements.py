"""From scores and costs to the figures of a comparison; `report` describes their form."""

import json
from importlib import resources
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from a2d_tf import metrics
from a2d_tf.calibration import threshold_at
from a2d_tf.detectors import Conformal
from a2d_tf.experiments.columns import Scores, noisy_kind
from a2d_tf.experiments.evidence import BENIGN, CALIBRATION, TEST, Evidence

RATES = (0.01, 0.05, 0.1)
PARTINGS = 200
SURE = 0.9  # the least probability of the label that counts as sure
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
    table = published("table2_env1").get(dataset, {})
    return {
        "splits": {name: len(index) for name, index in evidence.splits.items()},
        "threats": {threat: _threat_summary(evidence, threat) for threat in seen},
        "cells": {
            threat: {
                name: _cell(scores, threat, table.get(threat, {}).get(name))
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
        "conformal_rate": _conformal_rates(evidence),
        "auroc_where_sure": _where_sure(evidence),
    }


def _threat_summary(evidence: Evidence, threat: str) -> dict[str, Any]:
    inputs = evidence.inputs(threat, TEST)
    return {
        "crafted": len(evidence.splits[TEST]),
        "success_rate": inputs.success_rate,
        "tested": len(inputs.images),
    }


def _cell(scores: Scores, threat: str, in_paper: float | None) -> dict[str, Any]:
    benign, adversarial = scores[BENIGN], scores[threat]
    noisy = scores.get(noisy_kind(threat))
    return {
        "tested": [len(benign), len(adversarial)],
        "auroc": metrics.auroc(benign, adversarial),
        "auroc_noisy": None if noisy is None else metrics.auroc(
            np.concatenate([benign, noisy]), adversarial
        ),
        "auroc_ci95": list(metrics.auroc_interval(benign, adversarial)),
        "tpr_at_fpr": {
            f"{rate:g}": metrics.tpr_at_fpr(benign, adversarial, rate) for rate in RATES
        },
        "published": in_paper,
    }


def published(experiment: str) -> dict[str, Any]:
    """The paper's figures of an experiment."""
    text = resources.files(__package__).joinpath("published.json").read_text(encoding="utf-8")
    figures: dict[str, Any] = json.loads(text)[experiment]
    return figures


def _cost_summary(evidence: Evidence, kind: str) -> dict[str, Any]:
    def summary(costs: NDArray[np.int32], cap: int) -> dict[str, Any]:
        lower, median, upper = np.quantile(costs, [0.25, 0.5, 0.75])
        return {
            "n": len(costs),
            "median": float(median),
            "quartiles": [float(lower), float(upper)],
            "at_cap": float((costs == cap).mean()),
        }

    return {
        name: summary(evidence.costs(kind, TEST, [name])[:, 0], attack.max_iterations)
        for name, attack in evidence.attacks.items()
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
        for name, scores in next(iter(seen.values())).items() if CALIBRATION in scores
    }


def _where_sure(evidence: Evidence) -> dict[str, dict[str, dict[str, float]]]:
    """Threat -> attack -> AUROC of its cost on what was made from images the classifier is sure of.

    Benign images that it is unsure of lie near a boundary and are as cheap to attack as
    adversarial ones: the difference to the whole is what they cost.
    """
    sure = evidence.confidence(TEST) >= SURE

    def auroc(threat: str, attack: str) -> float | None:
        benign, adversarial = (evidence.costs(k, TEST, [attack])[:, 0] for k in (BENIGN, threat))
        source = evidence.inputs(threat, TEST).source[:len(adversarial)]
        kept = -benign[sure[:len(benign)]], -adversarial[sure[source]]
        return metrics.auroc(*kept) if all(map(len, kept)) else None

    return {
        threat: {name: {"auroc": value} for name in evidence.attacks
                 if (value := auroc(threat, name)) is not None}
        for threat in evidence.threats
    }


def _conformal_rates(evidence: Evidence) -> dict[str, dict[str, Any]]:
    """Asked rate -> the conformal detector's rate on fresh benign images.

    The splits of an experiment are the first images and those that follow, which may be harder.
    Here all its benign images are parted at random, again and again: one half to fit, the other
    to test. The mean says whether the rate holds; single partings vary by the luck of their
    threshold too, and so leave the binomial interval more often than one time in twenty.
    """
    attacks = [name for name in evidence.attacks if name not in evidence.first]
    if not attacks:
        return {}
    costs = np.concatenate([evidence.costs(BENIGN, split, attacks) for split in evidence.splits])
    half = len(costs) // 2
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(costs)) for _ in range(PARTINGS)]

    def measured(rate: float) -> dict[str, Any]:
        rates = [
            Conformal(fpr=rate).fit(costs[order[:half]]).predict(costs[order[half:]]).mean()
            for order in orders
        ]
        fresh = len(costs) - half
        lower, upper = (float(end) / fresh for end in scipy.stats.binom.interval(0.95, fresh, rate))
        return {
            "measured": float(np.mean(rates)),
            "deviation": float(np.std(rates)),
            "fresh_images": fresh,
            "binomial_interval95": [lower, upper],
            "partings_inside": float(np.mean([lower <= one <= upper for one in rates])),
        }

    return {f"{rate:g}": measured(rate) for rate in RATES if 1 / rate - 1 <= half // 2}
