"""The profile detector: near a boundary, or unlike others, from benign images alone."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from sklearn.covariance import LedoitWolf

from a2d_tf import A2D, Classifier, InvalidInputError, detectors
from a2d_tf.attacks import BIM
from a2d_tf.detectors import profile
from a2d_tf.evaluation.metrics import auroc
from a2d_tf.features import DirectionCosts

SIDES = np.array([False, True, True, True, True])  # the first column is low for adversarial inputs


def benign_columns(count: int, seed: int) -> np.ndarray:
    """Five columns like costs, that rise and fall together."""
    rng = np.random.default_rng(seed)
    return np.exp(rng.normal(4, 1, (count, 1)) + rng.normal(0, 0.3, (count, 5)))


def test_p_values_beyond_the_benign_ones_go_on_falling() -> None:
    tail = profile._tail(np.array([1.0, 2, 3, 4]))
    np.testing.assert_allclose(tail["places"][1:], [1, 2, 3, 4])
    np.testing.assert_allclose(np.exp(-tail["heights"][1:]), [5 / 5, 4 / 5, 3 / 5, 2 / 5], 1e-6)
    assert tail["decay"] == pytest.approx(0.3)  # 4 exceeds the 90 % quantile, 3.7, by 0.3


def test_hand_computed() -> None:
    """Both questions, as their definitions say, on columns that need no logarithm."""
    rng = np.random.default_rng(0)
    columns = rng.normal(0, [1, 2, 3], (200, 3))
    detector = detectors.Profile().fit(columns, either=[False, True, True])
    known = detector.benign_
    assert len(known) == 141 and not detector.shift_.any()
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    precision = LedoitWolf(assume_centered=True).fit(((known - mean) / deviation)[:, 1:]).precision_

    def distance(rows: np.ndarray) -> np.ndarray:
        scaled = ((rows - mean) / deviation)[:, 1:]
        return np.einsum("ni,ij,nj->n", scaled, precision, scaled)

    def share(values: np.ndarray, others: np.ndarray) -> np.ndarray:
        return (1 + (others[None] >= values[:, None]).sum(axis=1)) / (1 + len(others))

    some = known[:20]
    near = share(-some[:, 0], -known[:, 0])  # of one column, Fisher's sum has the same order
    unlike = share(distance(some), distance(known))
    expected = np.maximum(-np.log(near / 0.8), -np.log(unlike / 0.2))
    np.testing.assert_allclose(detector.score(some), expected, rtol=1e-5)


@pytest.mark.parametrize("unlike, least", [
    (lambda columns: columns / 30, 0.95),  # all are low
    (lambda columns: columns * [0.01, 1, 1, 1, 1], 0.98),  # the one that may be low is
    (lambda columns: columns * 300, 0.95),  # all are high
    (lambda columns: columns[:, ::-1] * [9, 1 / 9, 9, 1 / 9, 9], 0.98),  # an unlike pattern
], ids=["low", "one low", "high", "pattern"])
@pytest.mark.parametrize("either", [None, SIDES], ids=["no side is known", "one is"])
def test_it_is_two_sided(unlike: object, least: float, either: np.ndarray | None) -> None:
    detector = detectors.Profile(fpr=0.05).fit(benign_columns(400, 0), either=either)
    fresh = benign_columns(200, 1)
    adversarial = unlike(benign_columns(200, 2))  # type: ignore[operator]
    assert auroc(detector.score(fresh), detector.score(adversarial)) > least
    assert detector.predict(adversarial).mean() > 0.7 > 0.15 > detector.predict(fresh).mean()


def test_low_columns_alone_are_judged_on_one_side() -> None:
    detector = detectors.Profile(fpr=0.05).fit(benign_columns(400, 0), either=np.zeros(5, bool))
    assert detector.predict(benign_columns(200, 2) / 30).mean() > 0.9
    assert detector.predict(benign_columns(200, 2) * 30).mean() < 0.01


class Uncompiled(detectors.Profile):
    """A profile whose scores are computed without a graph, which would be traced for each fit."""

    is_compiled = False


@pytest.mark.long
@pytest.mark.parametrize("rate", [0.05, 0.1])
def test_the_rate_holds_in_random_partings(rate: float) -> None:
    every, rng, rates = benign_columns(1000, 5), np.random.default_rng(0), []
    for _ in range(60):
        order = rng.permutation(len(every))
        detector = Uncompiled(fpr=rate).fit(every[order[:400]], either=SIDES)
        rates.append(detector.predict(every[order[400:]]).mean())
    assert 0.5 * rate < np.mean(rates) < rate + 3 * np.std(rates) / np.sqrt(len(rates))


def test_rounding_and_the_order_of_inputs_draw_the_same_training_set() -> None:
    """Another processor rounds otherwise; the detector must not be another one for that."""
    columns = benign_columns(90, 3)
    noise = 1 + 1e-7 * np.random.default_rng(4).standard_normal(columns.shape)
    one, other = (
        detectors.Profile(fpr=0.05).fit(given, either=SIDES)
        for given in (columns, (columns * noise)[::-1])
    )
    assert len(one.benign_) == 71  # 19 of 30 use up the rate of 5 %
    np.testing.assert_allclose(np.sort(one.benign_, 0), np.sort(other.benign_, 0), rtol=1e-6)
    assert one.threshold_ == pytest.approx(other.threshold_, rel=1e-5)
    again = benign_columns(90, 6)
    another = detectors.Profile(fpr=0.05).fit(again, either=SIDES)
    ranks, others = (
        set(np.searchsorted(np.sort(given[:, 0]), its.benign_[:, 0]))
        for given, its in ((columns, one), (again, another))
    )
    assert ranks != others  # otherwise the same ranks would be learned from, whatever the inputs


@pytest.mark.parametrize("fpr, count, message", [
    (0.05, 37, "at least 38 benign images .* of 0.05, at most half of which set its .*, got 37"),
    (0.5, 19, "at least 20 benign images to fit a profile .*, got 19"),
])
def test_too_few_benign_images_are_refused(fpr: float, count: int, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        detectors.Profile(fpr=fpr).fit(benign_columns(count, 0))


def test_sides_of_other_columns_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="a side for each of 5 columns, got 2"):
        detectors.Profile().fit(benign_columns(100, 0), either=[True, False])


@pytest.mark.long
def test_it_judges_directions_from_benign_images_alone(
    classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    threat = BIM(eps=0.4, step=0.02, max_iterations=50).run(classifier, benign[300:400])
    a2d = A2D(classifier, DirectionCosts(margins=True)).fit(benign[:300])
    assert a2d.detector.name == "profile"
    found = a2d.predict(threat.adversarial[threat.success])
    assert found.is_adversarial.mean() > 0.7 and len(found.column_names) == 47
    a2d.save(tmp_path / "saved")
    again = A2D.load(tmp_path / "saved").predict(threat.adversarial[threat.success])
    np.testing.assert_array_equal(again.score, found.score)
    a2d.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    outputs = served(images=tf.constant(threat.adversarial[threat.success]))
    np.testing.assert_allclose(outputs["score"], found.score, rtol=2e-3, atol=1e-3)
