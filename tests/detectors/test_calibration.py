"""Thresholds keep their rate in finite samples."""

import numpy as np
import pytest

from a2d_tf import InvalidInputError
from a2d_tf.detectors.calibration import threshold_at


def test_threshold_is_the_conformal_quantile() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1, 100))
    assert threshold_at(scores, 0.01) == 99  # the 99th smallest of 99
    assert threshold_at(scores, 0.05) == 95
    assert threshold_at(scores, 0.1) == 90


def test_mean_rate_over_many_calibrations_is_at_most_the_asked_one() -> None:
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(2000):
        scores = rng.exponential(size=1 + 39)
        rates.append(scores[0] > threshold_at(scores[1:], 0.05))
    assert 0.03 < np.mean(rates) < 0.065


def test_ties_never_exceed_the_rate() -> None:
    scores = np.repeat([0.0, 1.0], [50, 50])
    assert (scores > threshold_at(scores, 0.1)).mean() <= 0.1


@pytest.mark.parametrize("fpr", [0, 1, -0.1, float("nan")])
def test_rates_outside_0_and_1_are_refused(fpr: float) -> None:
    with pytest.raises(InvalidInputError, match=r"rate in \(0, 1\)"):
        threshold_at(np.arange(100), fpr)


def test_too_few_scores_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least 19 benign images.*got 18"):
        threshold_at(np.arange(18), 0.05)
