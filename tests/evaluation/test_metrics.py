"""The metrics against numbers computed by hand and against known distributions."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from a2d_tf.evaluation import metrics

# 9 pairs, of which the adversarial score wins 4 and ties 2: (4 + 1) / 9.
TIED_BENIGN = [1.0, 2.0, 3.0]
TIED_ADVERSARIAL = [2.0, 3.0, 1.5]


def test_auroc_counts_ties_half() -> None:
    wins = sum(a > b for a in TIED_ADVERSARIAL for b in TIED_BENIGN)
    ties = sum(a == b for a in TIED_ADVERSARIAL for b in TIED_BENIGN)
    assert (wins, ties) == (4, 2)
    assert metrics.auroc(TIED_BENIGN, TIED_ADVERSARIAL) == pytest.approx(5 / 9)


def test_auroc_of_separated_equal_and_reversed_scores() -> None:
    assert metrics.auroc([0, 1], [2, 3]) == 1
    assert metrics.auroc([1, 1, 1], [1, 1]) == 0.5
    assert metrics.auroc([2, 3], [0, 1]) == 0


def test_infinite_scores_are_ranked() -> None:
    # Pairs won by the adversarial scores: -inf none, 1 one (over -inf), inf both; one tie.
    assert metrics.auroc([-np.inf, 5], [-np.inf, 1, np.inf]) == pytest.approx(3.5 / 6)


def test_interval_is_built_on_the_same_auroc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bootstrap that draws every score once must give the AUROC itself, ties included."""

    class Identity:
        def integers(self, high: int, size: tuple[int, int]) -> Any:
            return np.broadcast_to(np.arange(high), size)

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Identity())
    rng = np.random.RandomState(0)
    benign, adversarial = rng.randint(0, 9, 50), rng.randint(3, 12, 70)
    expected = metrics.auroc(benign, adversarial)
    assert metrics.auroc_interval(benign, adversarial) == pytest.approx((expected, expected))


def test_interval_is_deterministic_and_depends_on_the_seed() -> None:
    rng = np.random.default_rng(0)
    benign, adversarial = rng.normal(size=200), rng.normal(1, 1, 200)
    first = metrics.auroc_interval(benign, adversarial, seed=3)
    assert first == metrics.auroc_interval(benign, adversarial, seed=3)
    assert first != metrics.auroc_interval(benign, adversarial, seed=4)


def test_interval_covers_the_true_auroc_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    truth = norm.cdf(1 / np.sqrt(2))
    covered = 0
    for _ in range(100):
        lower, upper = metrics.auroc_interval(
            rng.normal(size=100), rng.normal(1, 1, 100), resamples=400
        )
        covered += lower <= truth <= upper
    assert 88 <= covered <= 99


def test_interval_narrows_with_the_sample_and_widens_with_the_level() -> None:
    rng = np.random.default_rng(2)
    benign, adversarial = rng.normal(size=4000), rng.normal(1, 1, 4000)

    def width(size: int, level: float = 0.95) -> float:
        lower, upper = metrics.auroc_interval(benign[:size], adversarial[:size], level=level)
        assert lower < metrics.auroc(benign[:size], adversarial[:size]) < upper
        return upper - lower

    assert width(4000) < 0.025
    assert width(250) / width(4000) == pytest.approx(4, rel=0.4)
    assert width(250, 0.5) < width(250) < width(250, 0.99)


def test_interval_of_separated_scores_is_a_point() -> None:
    assert metrics.auroc_interval([0, 1], [2, 3]) == (1, 1)


@pytest.mark.parametrize(
    "fpr, expected",
    [
        (0.0, 0.25),  # threshold 4: only 5 is above
        (0.19, 0.25),  # less than one of five may be flagged
        (0.2, 0.25),  # the two 4s tie: the threshold stays 4
        (0.4, 0.5),  # both 4s may be flagged: threshold 3
        (0.6, 0.75),  # threshold 2
        (0.8, 0.75),  # threshold 1, and 1 is not above itself
        (1.0, 1.0),
    ],
)
def test_tpr_at_fpr_with_ties(fpr: float, expected: float) -> None:
    assert metrics.tpr_at_fpr([1, 2, 3, 4, 4], [1, 3, 4, 5], fpr) == expected


def test_tpr_at_fpr_is_not_lost_to_float_error() -> None:
    assert 0.29 * 100 < 29
    scores = np.arange(100)
    assert metrics.tpr_at_fpr(scores, scores, 0.29) == 0.29


def test_tpr_at_fpr_lies_on_the_roc_curve() -> None:
    rng = np.random.default_rng(4)
    benign, adversarial = rng.integers(0, 20, 200), rng.integers(5, 30, 150)
    fpr, tpr = metrics.roc(benign, adversarial)
    for allowed in (0.01, 0.05, 0.1, 0.5):
        assert metrics.tpr_at_fpr(benign, adversarial, allowed) <= np.interp(allowed, fpr, tpr)
        assert metrics.tpr_at_fpr(benign, adversarial, allowed) >= tpr[fpr <= allowed].max()


def test_roc_golden_and_area() -> None:
    fpr, tpr = metrics.roc([1, 2], [2, 3])
    np.testing.assert_allclose(fpr, [0, 0, 0.5, 1])
    np.testing.assert_allclose(tpr, [0, 0.5, 1, 1])
    assert np.trapezoid(tpr, fpr) == pytest.approx(metrics.auroc([1, 2], [2, 3]))


@pytest.mark.parametrize(
    "bad, got",
    [([], "got shape (0,)"), ([[1.0]], "got shape (1, 1)"), ([1.0, np.nan], "got 1 NaN of 2")],
)
@pytest.mark.parametrize("position", [0, 1])
def test_bad_scores_are_refused_in_one_line(bad: Any, got: str, position: int) -> None:
    scores = [[1.0, 2.0], [1.0, 2.0]]
    scores[position] = bad
    name = ("benign", "adversarial")[position]
    for call in (metrics.auroc, metrics.auroc_interval, metrics.roc):
        with pytest.raises(ValueError) as error:
            call(*scores)
        assert str(error.value) == (
            f"expected {name} scores to be a non-empty 1-D array without NaN, {got}"
        )
    with pytest.raises(ValueError, match="expected .* got"):
        metrics.tpr_at_fpr(scores[0], scores[1], 0.1)


def test_bad_options_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected fpr in \[0, 1\], got 5"):
        metrics.tpr_at_fpr([1], [2], 5)
    with pytest.raises(ValueError, match=r"expected level in \(0, 1\), got 95"):
        metrics.auroc_interval([1], [2], level=95)
    with pytest.raises(ValueError, match="expected at least one resample, got 0"):
        metrics.auroc_interval([1], [2], resamples=0)
