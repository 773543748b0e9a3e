"""Warnings of drift: seldom where all is well, and certain where it is not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from a2d_tf.detectors.calibration import KEPT_SCORES, kept_scores, threshold_at
from a2d_tf.serving import drift

FPR = 0.05


def known(scores: np.ndarray) -> drift.Calibrated:
    return drift.Calibrated(threshold_at(scores, FPR), FPR, len(scores), kept_scores(scores))


@pytest.mark.parametrize("images", [100, 500, 5000])
def test_like_images_raise_no_alarm_and_have_fair_probabilities(images: int) -> None:
    rng = np.random.default_rng(0)
    flagged, below = [], []
    for _ in range(300):
        found = drift.compare(known(rng.gamma(2, size=images)), rng.gamma(2, size=1000))
        assert not found.has_drifted and not found.is_flagged_more
        assert found.psi is not None and found.psi < 0.4
        flagged.append(found.flagged_p)
        below.append(found.ks_below_p)
    for values in (flagged, below):  # a probability below 0.1 in about a tenth of the windows
        assert np.mean(np.array(values) < 0.1) < 0.16


def test_drift_and_attacks_are_told_apart() -> None:
    rng = np.random.default_rng(1)
    benign = known(rng.gamma(2, size=500))
    attacked = np.concatenate([rng.gamma(2, size=800), 8 + rng.gamma(2, size=200)])
    found = drift.compare(benign, attacked)
    assert found.is_flagged_more and not found.has_drifted
    assert "are flagged, where 5.0% were promised" in drift.messages(benign, found)[0]
    found = drift.compare(benign, 0.6 * rng.gamma(2, size=1000))  # no more images are flagged
    assert found.has_drifted and not found.is_flagged_more
    assert found.psi is not None and found.psi > 0.25
    assert "the false-positive rate 0.05 no longer holds" in drift.messages(benign, found)[0]


def test_figures_are_those_of_scipy() -> None:
    rng = np.random.default_rng(2)
    scores, live = rng.normal(size=300), rng.normal(0.1, size=700)
    found = drift.compare(known(scores), live)
    assert found.ks == pytest.approx(stats.ks_2samp(scores, live).statistic)
    assert found.flagged_share == np.mean(live > threshold_at(scores, FPR))
    many = rng.integers(0, 30, size=5000).astype(float)  # kept in part, with equal ones
    found = drift.compare(known(many), rng.integers(0, 30, size=1000).astype(float))
    assert len(kept_scores(many)) == KEPT_SCORES
    assert found.ks is not None and found.ks < 0.08


def test_where_little_is_known_nothing_is_said() -> None:
    scores = np.arange(100.0)
    assert drift.compare(known(scores), scores[:99]).ks is None
    old = drift.calibrated({"threshold": 3.0})
    found = drift.compare(old, scores)
    assert found.flagged_share == 0.96 and found.flagged_p is None and found.ks is None
    assert drift.messages(old, found) == []


def test_an_export_says_how_its_benign_images_scored(saved: Any, benign: np.ndarray) -> None:
    settings = json.loads((Path(saved.served) / "assets.extra" / "a2d.json").read_text())
    found = drift.calibrated(settings)
    # Of 100 images, 29 set the threshold: a tenth of one more is a whole number.
    assert found.images == len(found.scores) == 29 and found.fpr == 0.1
    every = saved.a2d.predict(benign[:100]).score
    assert all(np.isclose(every, score, atol=1e-6).any() for score in found.scores)
    assert found.threshold == threshold_at(found.scores, 0.1)
