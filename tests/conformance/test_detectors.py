"""What every registered cost detector must satisfy."""

from pathlib import Path

import numpy as np
import pytest

from a2d_tf import InvalidInputError, NotFittedError, detectors
from a2d_tf.metrics import auroc


@pytest.fixture(params=sorted(detectors.REGISTRY))
def detector(request: pytest.FixtureRequest) -> detectors.CostDetector:
    return detectors.REGISTRY[request.param]()


def costs(count: int, seed: int, columns: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Benign costs about 200, adversarial ones about 5, some of both at the cap of 500."""
    rng = np.random.default_rng(seed)
    benign = np.minimum(rng.normal(200, 90, (count, columns)).clip(0).astype(int), 500)
    adversarial = rng.poisson(5, (count, columns))
    adversarial[: count // 20] = 500
    return benign, adversarial


def fitted(detector: detectors.CostDetector, columns: int = 2) -> detectors.CostDetector:
    benign, adversarial = costs(300, 0, columns)
    kinds = np.repeat([False, True], 300)
    return detector.fit(np.concatenate([benign, adversarial]), kinds)


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_tells_adversarial_costs_from_benign_ones(
    detector: detectors.CostDetector, columns: int
) -> None:
    fitted(detector, columns)
    benign, adversarial = costs(300, 1, columns)
    assert auroc(detector.score(benign), detector.score(adversarial)) > 0.9
    assert detector.score(benign).dtype == np.float32
    assert detector.predict(adversarial).mean() > 0.9 > detector.predict(benign).mean() + 0.5


def test_each_step_needs_the_fit(detector: detectors.CostDetector, tmp_path: Path) -> None:
    for step in (
        lambda: detector.score([[1, 2]]),
        lambda: detector.predict([[1, 2]]),
        lambda: detector.calibrate([[1, 2]], 0.1),
        lambda: detector.save(tmp_path / "detector.npz"),
    ):
        with pytest.raises(NotFittedError, match="call fit first"):
            step()
    assert not list(tmp_path.iterdir())


def test_score_depends_neither_on_batch_nor_on_the_order_of_the_fit(
    detector: detectors.CostDetector,
) -> None:
    fitted(detector)
    table = np.concatenate(costs(150, 2))
    whole = detector.score(table)
    one_by_one = np.concatenate([detector.score(row[None]) for row in table])
    np.testing.assert_array_equal(whole, one_by_one)
    benign, adversarial = costs(300, 0)
    other = type(detector)().fit(
        np.concatenate([adversarial[::-1], benign[::-1]]), np.repeat([True, False], 300)
    )
    np.testing.assert_allclose(other.score(table), whole, rtol=1e-5)


def test_calibrated_rate_holds_on_fresh_costs(detector: detectors.CostDetector) -> None:
    fitted(detector).calibrate(costs(4000, 3)[0], 0.05)
    rate = detector.predict(costs(4000, 4)[0]).mean()
    assert rate <= 0.05 + 3 * np.sqrt(2 * 0.05 * 0.95 / 4000)


def test_calibration_asks_for_enough_costs(detector: detectors.CostDetector) -> None:
    with pytest.raises(InvalidInputError, match="at least 99 benign images.*got 98"):
        fitted(detector).calibrate(costs(98, 5)[0], 0.01)
    fitted(detector).calibrate(costs(99, 5)[0], 0.01)


def test_saved_and_loaded_it_is_the_same(
    detector: detectors.CostDetector, tmp_path: Path
) -> None:
    fitted(detector).calibrate(costs(200, 6)[0], 0.1)
    detector.save(tmp_path / "detector.npz")
    loaded = detectors.load(tmp_path / "detector.npz")
    table = np.concatenate(costs(100, 7))
    assert loaded == detector and loaded.threshold == detector.threshold
    np.testing.assert_array_equal(loaded.score(table), detector.score(table))
    np.testing.assert_array_equal(loaded.predict(table), detector.predict(table))


def test_odd_costs_have_finite_scores(detector: detectors.CostDetector) -> None:
    benign, adversarial = costs(50, 8)
    benign[:, 1] = adversarial[:, 1] = 500  # a constant column
    detector.fit(np.concatenate([benign, adversarial]), np.repeat([False, True], 50))
    assert np.isfinite(detector.score([[0, 0], [500, 500], [2000, 0], [3, 500]])).all()


def test_an_empty_table_has_no_scores(detector: detectors.CostDetector) -> None:
    assert fitted(detector).score(np.zeros((0, 2))).shape == (0,)


def test_costs_at_the_cap_do_not_blind_it(detector: detectors.CostDetector) -> None:
    rng = np.random.default_rng(0)
    benign = np.where(rng.uniform(size=(500, 1)) < 0.98, 500, rng.integers(450, 500, (500, 1)))
    adversarial = rng.poisson(5, (500, 1))
    detector.fit(np.concatenate([benign, adversarial]), np.repeat([False, True], 500))
    assert detector.predict([[0], [5], [20]]).all()
    assert not detector.predict([[500]]).any()


@pytest.mark.parametrize("bad, message", [
    (np.ones((3, 5)), "2 columns as in the fit, got 5"),
    ([[np.nan, 1]], "finite costs"),
    ([[-1, 1]], "finite costs"),
    (np.ones((1, 2, 3)), r"shape \[N, A\]"),
])
def test_unfit_costs_are_refused(
    detector: detectors.CostDetector, bad: object, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        fitted(detector).score(bad)  # type: ignore[arg-type]


def test_too_few_inputs_for_a_fit(detector: detectors.CostDetector) -> None:
    with pytest.raises(InvalidInputError, match="expected .* benign"):
        detector.fit([[1, 2]])
    with pytest.raises(InvalidInputError, match="is_adversarial"):
        detector.fit([[1, 2]] * 30, [True])


def test_a_foreign_file_is_no_detector(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no zip")
    np.savez(tmp_path / "other.npz", a=1)
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("missing.npz", "text.npz", "other.npz", "empty.npz"):
        with pytest.raises(InvalidInputError, match="expected a"):
            detectors.load(tmp_path / name)
