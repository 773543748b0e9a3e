"""What every registered detector must satisfy."""

import copy
import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
import sklearn.base
import tensorflow as tf
from sklearn.model_selection import GridSearchCV

from a2d_tf import InvalidInputError, NotFittedError, detectors
from a2d_tf.evaluation.metrics import auroc

COLUMNS = {"threshold": 1}  # of a detector that does not judge several
# Other settings than the default ones, for a search.
SETTINGS = {
    "zscore": {"h": [-1.0, -2.0]}, "conformal": {"fpr": [0.05, 0.1]}, "knn": {"k": [5, 15]},
    "svm": {}, "tree": {"seed": [0, 1]}, "forest": {"seed": [0, 1]},
    "logistic": {"transform_costs": [True, False]}, "threshold": {},
    "profile": {"fpr": [0.05, 0.1]},
}


@pytest.fixture(params=sorted(detectors.REGISTRY))
def detector(request: pytest.FixtureRequest) -> detectors.Detector:
    return detectors.REGISTRY[request.param]()


def width(detector: detectors.Detector) -> int:
    return COLUMNS.get(detector.name, 2)


def costs(count: int, seed: int, columns: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Benign costs about 200, adversarial ones about 5, some of both at the cap of 500."""
    rng = np.random.default_rng(seed)
    benign = np.minimum(rng.normal(200, 90, (count, columns)).clip(0).astype(int), 500)
    adversarial = rng.poisson(5, (count, columns))
    adversarial[: count // 20] = 500
    return benign, adversarial


def fitted(detector: detectors.Detector, columns: int | None = None) -> detectors.Detector:
    benign, adversarial = costs(300, 0, columns or width(detector))
    is_adversarial = np.repeat([False, True], 300)
    return detector.fit(np.concatenate([benign, adversarial]), is_adversarial)


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_adversarial_costs_are_told_from_benign_ones(
    detector: detectors.Detector, columns: int
) -> None:
    columns = min(columns, COLUMNS.get(detector.name, columns))
    fitted(detector, columns)
    benign, adversarial = costs(300, 1, columns)
    assert auroc(detector.score(benign), detector.score(adversarial)) > 0.9
    assert detector.score(benign).dtype == np.float32
    assert detector.predict(adversarial).mean() > 0.9 > detector.predict(benign).mean() + 0.5


def test_each_step_needs_the_fit(detector: detectors.Detector, tmp_path: Path) -> None:
    for step in (
        lambda: detector.score([[1, 2]]),
        lambda: detector.decision_function([[1, 2]]),
        lambda: detector.predict([[1, 2]]),
        lambda: detector.calibrate([[1, 2]], 0.1),
        lambda: detector.save(tmp_path / "detector.npz"),
    ):
        with pytest.raises(NotFittedError, match="call fit first"):
            step()
    assert not list(tmp_path.iterdir())


def test_score_depends_neither_on_batch_nor_on_the_order_of_the_fit(
    detector: detectors.Detector,
) -> None:
    columns = width(detector)
    fitted(detector)
    table = np.concatenate(costs(150, 2, columns))
    whole = detector.score(table)
    one_by_one = np.concatenate([detector.score(row[None]) for row in table])
    np.testing.assert_array_equal(whole, one_by_one)
    benign, adversarial = costs(300, 0, columns)
    other = type(detector)().fit(
        np.concatenate([adversarial[::-1], benign[::-1]]), np.repeat([True, False], 300)
    )
    np.testing.assert_allclose(other.score(table), whole, rtol=1e-5)


def test_scores_in_a_graph_are_those_in_python(detector: detectors.Detector) -> None:
    columns = width(detector)
    fitted(detector).calibrate(costs(200, 6, columns)[0], 0.1)
    rng = np.random.default_rng(1)
    table = np.concatenate([
        *costs(100, 2, columns), rng.integers(0, 90, (2000, columns)),
        np.full((2, columns), 1e6), np.full((2, columns), 0.25),
    ]).astype(np.float64)
    signature = [tf.TensorSpec((None, columns), tf.float64)]
    score = tf.function(detector.graph_score, input_signature=signature, autograph=False)
    predict = tf.function(detector.graph_predict, input_signature=signature, autograph=False)
    np.testing.assert_allclose(score(table), detector.score(table), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(predict(table), detector.predict(table))
    assert score(table[:0]).shape == (0,)


def test_calibrated_rate_holds_on_fresh_costs(detector: detectors.Detector) -> None:
    # In one column of counts many scores are equal, and the rate is below the wanted one.
    rng = np.random.default_rng(3)
    columns = width(detector)
    noise = [rng.uniform(size=(4000, columns)) for _ in range(2)]
    first, second = (
        costs(4000, seed, columns)[0] + part for seed, part in zip((3, 4), noise, strict=True)
    )
    rate = fitted(detector).calibrate(first, 0.05).predict(second).mean()
    tolerance = 3 * np.sqrt(2 * 0.05 * 0.95 / 4000)
    assert rate <= 0.05 + tolerance
    # Those whose scores are shares of few neighbours or trees have coarse thresholds.
    coarse = {"knn", "tree", "forest"}
    assert rate > (0 if detector.name in coarse else 0.05 - tolerance) or detector.name == "tree"


def test_calibration_asks_for_enough_costs(detector: detectors.Detector) -> None:
    columns = width(detector)
    with pytest.raises(InvalidInputError, match="at least 99 benign images.*got 98"):
        fitted(detector).calibrate(costs(98, 5, columns)[0], 0.01)
    fitted(detector).calibrate(costs(99, 5, columns)[0], 0.01)


def test_saved_and_loaded_it_is_the_same(detector: detectors.Detector, tmp_path: Path) -> None:
    columns = width(detector)
    fitted(detector).calibrate(costs(200, 6, columns)[0], 0.1)
    detector.save(tmp_path / "detector.npz")
    table = np.concatenate(costs(100, 7, columns))
    for other in (
        detectors.load(tmp_path / "detector.npz"), copy.deepcopy(detector),
        pickle.loads(pickle.dumps(detector)),
    ):
        assert other.get_params() == detector.get_params()
        assert (other.threshold_, other.calibration_) == (
            detector.threshold_, detector.calibration_
        )
        np.testing.assert_array_equal(other.score(table), detector.score(table))
        np.testing.assert_array_equal(other.predict(table), detector.predict(table))


def test_odd_costs_have_finite_scores(detector: detectors.Detector) -> None:
    columns = width(detector)
    benign, adversarial = costs(50, 8, columns)
    benign[:, -1] = adversarial[:, -1] = 500  # a constant column
    detector.fit(np.concatenate([benign, adversarial]), np.repeat([False, True], 50))
    table = np.array([[0, 0], [500, 500], [2000, 0], [3, 500]])[:, :columns]
    assert np.isfinite(detector.score(table)).all()


def test_columns_that_can_be_negative_are_judged_too(detector: detectors.Detector) -> None:
    rng = np.random.default_rng(0)
    columns = width(detector)
    benign, adversarial = rng.normal(5, 3, (200, columns)), rng.normal(-5, 3, (200, columns))
    detector.fit(np.concatenate([benign, adversarial]), np.repeat([False, True], 200))
    assert auroc(detector.score(benign), detector.score(adversarial)) > 0.95
    assert np.isfinite(detector.score(np.full((1, columns), -1e6))).all()


def test_an_empty_table_has_no_scores(detector: detectors.Detector) -> None:
    assert fitted(detector).score(np.zeros((0, width(detector)))).shape == (0,)


def test_costs_at_the_cap_do_not_blind_it(detector: detectors.Detector) -> None:
    rng = np.random.default_rng(0)
    benign = np.where(rng.uniform(size=(500, 1)) < 0.98, 500, rng.integers(450, 500, (500, 1)))
    adversarial = rng.poisson(5, (500, 1))
    detector.fit(np.concatenate([benign, adversarial]), np.repeat([False, True], 500))
    assert detector.predict([[0], [5], [20]]).all()
    assert not detector.predict([[500]]).any()


@pytest.mark.parametrize("bad, message", [
    (np.ones((3, 5)), "columns as in the fit, got 5"),
    ([[np.nan, 1]], "finite columns"),
    ([["a", "b"]], "columns of real numbers, got <U1"),
    (np.ones((1, 2, 3)), r"shape \[N, D\], got \[1, 2, 3\]"),
])
def test_unfit_columns_are_refused(
    detector: detectors.Detector, bad: object, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        fitted(detector).score(bad)  # type: ignore[call-overload]


def test_too_few_inputs_for_a_fit(detector: detectors.Detector) -> None:
    with pytest.raises(InvalidInputError, match="expected .* benign"):
        detector.fit([[1]] * 3)
    with pytest.raises(InvalidInputError, match=r"is_adversarial of shape \[30\], got \[1\]"):
        detector.fit([[1]] * 30, [True])


def test_settings_cannot_be_changed_but_by_set_params(detector: detectors.Detector) -> None:
    fitted(detector)
    for name, value in detector.get_params().items():
        with pytest.raises(dataclasses.FrozenInstanceError, match="make another detector"):
            setattr(detector, name, value)
    with pytest.raises(InvalidInputError, match="expected settings out of"):
        detector.set_params(colour="red")
    assert detector.__sklearn_is_fitted__()
    for name, (value, *_) in SETTINGS[detector.name].items():
        assert detector.set_params(**{name: value}) is detector
        assert detector.get_params()[name] == value
        with pytest.raises(NotFittedError):
            detector.score([[1, 2]])


def test_it_is_an_estimator_of_scikit_learn(detector: detectors.Detector) -> None:
    columns = width(detector)
    fitted(detector)
    twin = sklearn.base.clone(detector)
    assert twin.get_params() == detector.get_params() and not twin.__sklearn_is_fitted__()
    benign, adversarial = costs(100, 0, columns)
    search = GridSearchCV(twin, SETTINGS[detector.name], cv=2)
    search.fit(np.concatenate([benign, adversarial]), np.repeat([False, True], 100))
    assert search.best_score_ > 0.7
    assert search.predict(adversarial).mean() > 0.8


def test_a_fit_leaves_nothing_of_an_earlier_one(detector: detectors.Detector) -> None:
    columns = width(detector)
    once = copy.deepcopy(fitted(detector)).calibrate(costs(200, 6, columns)[0], 0.1)
    assert once.calibration_ is not None
    again = fitted(once)
    assert again.threshold_ == fitted(detector).threshold_
    assert again.calibration_ == fitted(detector).calibration_


def test_a_foreign_file_is_no_detector(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no zip")
    np.savez(tmp_path / "other.npz", a=1)
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("missing.npz", "text.npz", "other.npz", "empty.npz"):
        with pytest.raises(InvalidInputError, match="expected a"):
            detectors.load(tmp_path / name)
