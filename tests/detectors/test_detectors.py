"""Hand-computed scores of each cost detector."""

import numpy as np
import pytest
import scipy.stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from a2d_tf import InvalidInputError
from a2d_tf.detectors import KNN, SVM, Conformal, Forest, Logistic, Tree, ZScore
from a2d_tf.evaluation.metrics import auroc


def test_zscore_is_computed_on_transformed_costs() -> None:
    costs = np.random.default_rng(0).gamma(2, 60, 400).astype(int)
    detector = ZScore().fit(costs)
    transformed, power = scipy.stats.boxcox(costs + 1.0)
    tested = np.array([0, 3, 50, 400])
    z = (scipy.stats.boxcox(tested + 1.0, power) - transformed.mean()) / transformed.std()
    np.testing.assert_allclose(detector.score(tested), -z, rtol=1e-3)
    # The published threshold flags about 10 % of benign inputs, whatever their skew.
    assert 0.06 < detector.predict(costs).mean() < 0.14


def test_zscore_ignores_adversarial_costs() -> None:
    benign = np.arange(50)
    kinds = np.repeat([False, True], 50)
    both = ZScore().fit(np.concatenate([benign, np.zeros(50)]), kinds)
    np.testing.assert_array_equal(both.score(benign), ZScore().fit(benign).score(benign))


@pytest.mark.parametrize("votes, verdicts", [
    # Attacks that call the input benign: none, one, two, all three.
    (1, [True, False, False, False]),
    (2, [True, True, False, False]),
    (3, [True, True, True, False]),
    (9, [True, True, True, False]),
])
def test_votes(votes: int, verdicts: list[bool]) -> None:
    benign = np.random.default_rng(0).integers(150, 250, (200, 3))
    low, high = 1, 200
    inputs = [[low, low, low], [low, high, low], [low, high, high], [high, high, high]]
    assert ZScore(votes=votes).fit(benign).predict(inputs).tolist() == verdicts


def test_settings_are_checked() -> None:
    with pytest.raises(InvalidInputError, match="votes of at least 1, got 0"):
        ZScore(votes=0)
    with pytest.raises(InvalidInputError, match="k of at least 1, got 0"):
        KNN(k=0)


def test_logistic_weighs_costs_against_one_another() -> None:
    # Neither column alone tells the two apart; their ratio does.
    rng = np.random.default_rng(0)
    first = rng.integers(10, 400, 600)
    kinds = np.repeat([False, True], 300)
    table = np.stack([first, np.where(kinds, first // 2, first)], axis=1)
    scores = Logistic().fit(table, kinds).score(table)
    assert auroc(scores[:300], scores[300:]) > 0.99
    assert auroc(-table[:300, 1], -table[300:, 1]) < 0.9


def test_knn_counts_neighbours() -> None:
    costs, kinds = [0, 1, 2, 10, 11, 12], [True, True, False, False, False, True]
    detector = KNN(k=15).fit(np.repeat(costs, 5), np.repeat(kinds, 5))
    np.testing.assert_allclose(detector.score([0, 12, 11]), [2 / 3, 1 / 3, 1 / 3])
    assert detector.predict([0, 12]).tolist() == [True, False]


def test_knn_shares_tied_places() -> None:
    # The nearest ten, cost 5, are adversarial; twenty places are left for forty at distance 1,
    # ten of which are adversarial: 10 + 20 x 10/40 of 30.
    kinds = [True, True, False, False, False]
    detector = KNN(k=30).fit(np.repeat([5, 4, 4, 6, 6], 10), np.repeat(kinds, 10))
    np.testing.assert_allclose(detector.score([5]), [(10 + 20 * 10 / 40) / 30])


def test_knn_with_fewer_than_k_uses_all() -> None:
    kinds = [True, False, False, False]
    detector = KNN(k=100).fit(np.repeat([1, 2, 3, 4], 10), np.repeat(kinds, 10))
    np.testing.assert_allclose(detector.score([0, 99]), [0.25, 0.25])


def mixed_costs() -> tuple[np.ndarray, np.ndarray]:
    """Costs [400, 3] of which the kinds overlap, in the order in which a fit sees them."""
    rng = np.random.default_rng(0)
    kinds = np.repeat([False, True], 200)
    costs = rng.poisson(np.where(kinds, 40, 70)[:, None], (400, 3)) * rng.integers(1, 4, (400, 1))
    order = np.lexsort((kinds, *costs.T))
    return costs[order].astype(float), kinds[order]


def test_an_svm_scores_as_scikit_learn_does() -> None:
    costs, kinds = mixed_costs()
    machine = SVC().fit(costs, kinds)
    detector = SVM().fit(costs, kinds)
    np.testing.assert_allclose(
        detector.score(costs), machine.decision_function(costs), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_array_equal(detector.predict(costs), machine.predict(costs))


def test_trees_score_as_scikit_learn_does() -> None:
    costs, kinds = mixed_costs()
    fresh = costs + np.array([1, 0, 2])
    for detector, model in (
        (Tree(), DecisionTreeClassifier(random_state=0)),
        (Forest(seed=3), RandomForestClassifier(random_state=3)),
    ):
        shares = model.fit(costs, kinds).predict_proba(fresh)[:, 1]
        np.testing.assert_allclose(detector.fit(costs, kinds).score(fresh), shares, atol=1e-6)


def test_conformal_scores_are_p_values_combined() -> None:
    # Benign costs are all 9: of those, p is 1; half as far from -1, where p is 0, it is 1/2.
    detector = Conformal().fit(np.full((100, 2), 9))
    np.testing.assert_allclose(
        detector.score([[4, 4], [4, 1000], [9, 9]]), [2 * np.log(2), np.log(2), 0], atol=1e-6
    )
    assert detector.predict([[4, 4], [9, 9], [1000, 1000]]).tolist() == [True, False, False]


@pytest.mark.parametrize("rate", [
    0.05, *(pytest.param(rate, marks=pytest.mark.long) for rate in (0.01, 0.1)),
])
def test_the_conformal_rate_needs_no_normality(rate: float) -> None:
    # Heavy tails, a cap, and two attacks that are all but copies of one another.
    rng = np.random.default_rng(1)

    def draw(count: int) -> np.ndarray:
        first = np.minimum(rng.pareto(0.7, count) * 300, 5000).astype(int)
        return np.stack([first, first // 3 + rng.integers(0, 9, count)], axis=1)

    rates = [Conformal(fpr=rate).fit(draw(400)).predict(draw(400)).mean() for _ in range(100)]
    lower, upper = (end / 40_000 for end in scipy.stats.binom.interval(0.95, 40_000, rate))
    # Calibrations differ too: their spread is that of the mean of 100 rates.
    spread = 2 * np.std(rates) / 10
    assert np.mean(rates) <= upper + spread
    assert np.mean(rates) >= lower - spread


def test_conformal_fits_ask_for_enough_images() -> None:
    with pytest.raises(InvalidInputError, match="at least 99 benign.*got 98.*197 in all"):
        Conformal(fpr=0.01).fit(np.arange(197))
    Conformal(fpr=0.01).fit(np.arange(198))
