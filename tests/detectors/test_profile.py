"""The profile detector: low or unusual, from benign images alone."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from sklearn.ensemble import IsolationForest

from a2d_tf import A2D, Classifier, InvalidInputError, detectors
from a2d_tf.attacks import BIM
from a2d_tf.detectors import profile, trees
from a2d_tf.evaluation.metrics import auroc
from a2d_tf.features import DirectionCosts


def benign_columns(count: int, seed: int) -> np.ndarray:
    """Five columns like costs, that rise and fall together."""
    rng = np.random.default_rng(seed)
    return np.exp(rng.normal(4, 1, (count, 1)) + rng.normal(0, 0.3, (count, 5)))


def test_the_forest_is_that_of_scikit_learn() -> None:
    columns = np.random.default_rng(0).normal(size=(300, 4))
    forest = IsolationForest(random_state=0).fit(columns.astype(np.float32))
    grown = [one.tree_ for one in forest.estimators_]
    tables = trees.tables(grown, [profile._path_lengths(tree) for tree in grown])
    others = 3 * np.random.default_rng(1).normal(size=(200, 4)).astype(np.float32)
    length = trees.mean_of_leaves(tf.constant(others, tf.float64), tables)
    usual = profile._average_path(np.array([256]))  # images that a tree is grown on
    np.testing.assert_allclose(-(2.0 ** (-length / usual)), forest.score_samples(others), rtol=1e-6)


def test_p_values_beyond_the_benign_ones_go_on_falling() -> None:
    tail = profile._tail("mine", np.array([1.0, 2, 3, 4]))
    np.testing.assert_allclose(tail["mine_places"][1:], [1, 2, 3, 4])
    np.testing.assert_allclose(
        np.exp(-tail["mine_heights"][1:]), [5 / 5, 4 / 5, 3 / 5, 2 / 5], rtol=1e-6
    )
    assert tail["mine_decay"] == pytest.approx(0.3)  # 4 exceeds the 90 % quantile, 3.7, by 0.3


@pytest.mark.parametrize("unlike, least", [
    (lambda columns: columns / 30, 0.95),  # all are low
    (lambda columns: columns * [0.01, 1, 1, 1, 1], 0.98),  # one is low
    (lambda columns: columns * 30, 0.95),  # all are high
    (lambda columns: columns[:, ::-1] * [9, 1 / 9, 9, 1 / 9, 9], 0.98),  # an unlike pattern
], ids=["low", "one low", "high", "pattern"])
def test_it_is_two_sided(unlike: object, least: float) -> None:
    detector = detectors.Profile(fpr=0.05).fit(benign_columns(400, 0))
    fresh = benign_columns(200, 1)
    adversarial = unlike(benign_columns(200, 2))  # type: ignore[operator]
    assert auroc(detector.score(fresh), detector.score(adversarial)) > least
    assert detector.predict(adversarial).mean() > 0.7 > 0.15 > detector.predict(fresh).mean()


@pytest.mark.long
@pytest.mark.parametrize("rate", [0.05, 0.1])
def test_the_rate_holds_in_random_partings(rate: float) -> None:
    every, rng, rates = benign_columns(1000, 5), np.random.default_rng(0), []
    for _ in range(200):
        order = rng.permutation(len(every))
        detector = detectors.Profile(fpr=rate).fit(every[order[:400]])
        rates.append(detector.predict(every[order[400:]]).mean())
    assert 0.5 * rate < np.mean(rates) < rate + 3 * np.std(rates) / np.sqrt(len(rates))


def test_too_few_benign_images_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least 19 benign images.*quarter set the thr"):
        detectors.Profile(fpr=0.05).fit(benign_columns(75, 0))
    with pytest.raises(InvalidInputError, match="at least 40 benign images to fit a profile"):
        detectors.Profile(fpr=0.5).fit(benign_columns(39, 0))


def test_it_judges_directions_from_benign_images_alone(
    classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    threat = BIM(eps=0.4, step=0.02, max_iterations=50).run(classifier, benign[300:400])
    a2d = A2D(classifier, DirectionCosts(margins=True), "profile").fit(benign[:300])
    found = a2d.predict(threat.adversarial[threat.success])
    assert found.is_adversarial.mean() > 0.7 and len(found.column_names) == 47
    a2d.save(tmp_path / "saved")
    again = A2D.load(tmp_path / "saved").predict(threat.adversarial[threat.success])
    np.testing.assert_array_equal(again.score, found.score)
    a2d.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    outputs = served(images=tf.constant(threat.adversarial[threat.success]))
    np.testing.assert_allclose(outputs["score"], found.score, rtol=2e-3, atol=1e-3)
