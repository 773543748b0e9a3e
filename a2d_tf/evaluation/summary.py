"""From scores and costs to the figures of a comparison; `comparison_page` shows them."""

import warnings
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from a2d_tf.attacks.runner import Costs
from a2d_tf.detectors import Conformal
from a2d_tf.detectors.calibration import threshold_at
from a2d_tf.errors import DetectorWarning
from a2d_tf.evaluation import metrics
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.experiment_images import BENIGN
from a2d_tf.evaluation.methods import Scores, invalid, noisy_type
from a2d_tf.evaluation.published import published
from a2d_tf.evaluation.splits import CALIBRATION, TEST

RATES = (0.01, 0.05, 0.1)
RANDOM_SPLITS = 200
CONFIDENT = 0.9  # the least probability of the label that counts as confident
ScoresByThreat = dict[str, dict[str, Scores]]  # threat -> method -> scores


def summarize(
    data: ExperimentData, fitted: ScoresByThreat, unseen: ScoresByThreat, dataset: str
) -> dict[str, Any]:
    """All figures of a comparison.

    Args:
      data: the images and their features.
      fitted: scores of methods that could learn from the threat that they are tested on.
      unseen: scores of methods that learned from the other threats only.
      dataset: names the published figures.
    """
    table = published("table2_env1").get(dataset, {})
    return {
        "splits": {name: len(index) for name, index in data.splits.items()},
        "threats": {threat: threat_summary(data, threat) for threat in fitted},
        "cells": {
            threat: {
                name: cell(scores, threat, table.get(threat, {}).get(name))
                for name, scores in row.items()
            }
            for threat, row in fitted.items()
        },
        "unseen": {
            threat: {name: cell(scores, threat, None) for name, scores in row.items()}
            for threat, row in unseen.items()
        },
        "costs": {kind: _cost_summary(data, kind) for kind in (BENIGN, *fitted)},
        "false_positive_rate": _false_positive_rates(fitted),
        "conformal_rate": _conformal_rates(data),
        "auroc_confident": _auroc_confident(data),
    }


def threat_summary(data: ExperimentData, threat: str) -> dict[str, Any]:
    """How many images a threat crafted of the test images, and how many fooled the classifier."""
    samples = data.samples(threat, TEST)
    return {
        "crafted": len(data.splits[TEST]),
        "success_rate": samples.success_rate,
        "tested": len(samples.images),
    }


def cell(scores: Scores, threat: str, in_paper: float | None = None) -> dict[str, Any]:
    """The figures of a detector on a threat, from its scores by type of input."""
    benign, adversarial = scores[BENIGN], scores[threat]
    noisy = scores.get(noisy_type(threat))
    return {
        "tested": [len(benign), len(adversarial)],
        "invalid": [int(invalid(benign).sum()), int(invalid(adversarial).sum())],
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


def _cost_summary(data: ExperimentData, input_type: str) -> dict[str, Any]:
    def summary(costs: Costs, cap: int) -> dict[str, Any]:
        lower, median, upper = np.quantile(costs, [0.25, 0.5, 0.75])
        return {
            "n": len(costs),
            "median": float(median),
            "quartiles": [float(lower), float(upper)],
            "at_cap": float((costs == cap).mean()),
        }

    return {
        name: summary(data.costs(input_type, TEST, [name])[:, 0], attack.max_iterations)
        for name, attack in data.attacks.items()
    }


def _false_positive_rates(fitted: ScoresByThreat) -> dict[str, dict[str, float]]:
    """Method -> wanted rate -> rate on benign test images, the mean over the threats' fits."""
    return {
        name: {
            f"{rate:g}": float(np.mean([
                _flagged(row[name], rate).mean() for row in fitted.values()
            ]))
            for rate in RATES
        }
        for name, scores in next(iter(fitted.values())).items() if CALIBRATION in scores
    }


def _flagged(scores: Scores, rate: float) -> NDArray[np.bool_]:
    """Which benign test images are flagged; `A2D.calibrate` leaves out invalid images too."""
    calibration = scores[CALIBRATION]
    threshold = threshold_at(calibration[~invalid(calibration)], rate)
    return (scores[BENIGN] > threshold) | invalid(scores[BENIGN])


def _auroc_confident(data: ExperimentData) -> dict[str, dict[str, dict[str, float]]]:
    """Threat -> attack -> AUROC of its cost, for images of which the classifier is confident.

    Other benign images lie near a boundary, and are as cheap to attack as adversarial ones. The
    difference to the AUROC of all images is their effect.
    """
    confident = data.confidence(TEST) >= CONFIDENT

    def auroc(threat: str, attack: str) -> float | None:
        benign, adversarial = (data.costs(k, TEST, [attack])[:, 0] for k in (BENIGN, threat))
        source = data.samples(threat, TEST).source_index[:len(adversarial)]
        kept = -benign[confident[:len(benign)]], -adversarial[confident[source]]
        return metrics.auroc(*kept) if all(map(len, kept)) else None

    return {
        threat: {name: {"auroc": value} for name in data.attacks
                 if (value := auroc(threat, name)) is not None}
        for threat in data.threats
    }


def _conformal_rates(data: ExperimentData) -> dict[str, dict[str, Any]]:
    """Wanted rate -> the conformal detector's rate on fresh benign images.

    The splits of an experiment are the first images and those that follow, which may be harder.
    Here all benign images are split at random, many times: one half to fit, the other half to
    test. The mean tells whether the rate holds. A single split also varies with its threshold, and
    so leaves the binomial interval more often than one time in twenty.
    """
    attacks = [name for name in data.attacks if name not in data.slow_limits]
    if not attacks:
        return {}
    costs = np.concatenate([data.columns(BENIGN, split, attacks) for split in data.splits])
    costs = costs[np.isfinite(costs).all(axis=1)]
    half = len(costs) // 2
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(costs)) for _ in range(RANDOM_SPLITS)]

    def measured(rate: float) -> dict[str, Any]:
        with warnings.catch_warnings():  # a fit that flags nothing shows in the rate
            warnings.simplefilter("ignore", DetectorWarning)
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
            "splits_inside": float(np.mean([lower <= one <= upper for one in rates])),
        }

    return {f"{rate:g}": measured(rate) for rate in RATES if 1 / rate - 1 <= half // 2}
