"""First-order costs in every direction."""

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Classifier, InvalidInputError, detectors
from a2d_tf.attacks import BIM
from a2d_tf.features import DirectionCosts, measure
from a2d_tf.features.direction_costs import MAX_STEPS

WEIGHTS = np.array([1.0, -2.0, 3.0, -1.0], np.float32)


def linear(images: tf.Tensor) -> tf.Tensor:
    margin = tf.linalg.matvec(tf.reshape(images, (-1, 4)), WEIGHTS)
    return tf.stack([margin, tf.zeros_like(margin)], axis=1)


def test_hand_computed_costs_on_a_linear_model() -> None:
    # At 0.5 the margin is 0.5. A step of 1e-4 takes 7e-4 off it in L-infinity, and
    # 1e-4 x sqrt(4) x sqrt(15) in RMS. The second logit is flat.
    costs = DirectionCosts().measure(Classifier(linear), np.full((3, 2, 2, 1), 0.5))
    linf, rms = 7e-4, 2e-4 * np.sqrt(15)
    expected = [0.5 / linf, 1 / linf, MAX_STEPS, 0.5 / rms, 1 / rms, MAX_STEPS]
    np.testing.assert_allclose(costs, [expected] * 3, rtol=1e-5)


def test_margins_follow_the_costs() -> None:
    classifier, images = Classifier(linear), np.full((3, 2, 2, 1), 0.5)
    both = DirectionCosts(margins=True)
    found = both.measure(classifier, images)
    np.testing.assert_array_equal(found[:, :6], DirectionCosts().measure(classifier, images))
    np.testing.assert_allclose(found[:, 6:], [[0.5]] * 3, rtol=1e-6)
    assert both.column_names("d", 7)[-2:] == ["d_raise_rms_2", "d_margin_1"]


def thousand(images: tf.Tensor) -> tf.Tensor:
    """1,000 classes: class k has the logit (1 - k/1000) x the first pixel."""
    return tf.reshape(images, (-1, 4))[:, :1] * (1 - tf.range(1000.0) / 1000)


def test_of_a_thousand_classes_the_most_likely_ones() -> None:
    classifier, images = Classifier(thousand), np.full((2, 2, 2, 1), 0.5)
    feature = DirectionCosts(margins=True)
    table = measure(classifier, {"mine": feature}, images)
    found = table.values[0]
    # Class k is led by 0.5 k/1000, and a step takes 1e-4 k/1000 off it: all are equally far.
    assert found.shape == (2 * 9 + 2 * 10 + 9,)
    np.testing.assert_allclose(found[:9], 0.5 / 1e-4, rtol=1e-3)
    np.testing.assert_allclose(found[9:19], 1e4 / (1 - np.arange(10) / 1000), rtol=1e-4)
    np.testing.assert_allclose(found[-9:], 0.5 * np.arange(1, 10) / 1000, rtol=1e-3)
    assert len(feature.column_names("mine", 47)) == 47
    assert table.passes == {"mine": 2 + 10}  # forward passes, and a gradient for each class
    three = DirectionCosts(top_k=3).measure(classifier, images)[0]
    of_three = [*found[:2], *found[9:12], *found[19:21], *found[28:31]]
    np.testing.assert_allclose(three, of_three, rtol=1e-6)
    assert DirectionCosts(top_k=None).measure(classifier, images).shape == (2, 2 * 999 + 2 * 1000)


def test_a_feature_of_an_earlier_version_has_all_classes() -> None:
    assert DirectionCosts.from_config({}, None) == DirectionCosts(top_k=None)
    for wrong in (1, 2.5):
        with pytest.raises(InvalidInputError, match="expected DirectionCosts's top_k"):
            DirectionCosts(top_k=wrong)  # type: ignore[arg-type]


def test_costs_do_not_depend_on_the_scale_of_the_pixels() -> None:
    wide = Classifier(lambda images: linear(images / 255), (0, 255), input_shape=(2, 2, 1))
    np.testing.assert_allclose(
        DirectionCosts().measure(wide, np.full((1, 2, 2, 1), 127.5)),
        DirectionCosts().measure(Classifier(linear), np.full((1, 2, 2, 1), 0.5)), rtol=1e-5,
    )


def test_bim_takes_as_many_steps_as_foretold(classifier: Classifier, benign: np.ndarray) -> None:
    foretold = DirectionCosts().measure(classifier, benign[:100])[:, 0]
    counted = BIM(eps=0.5, step=1e-3, max_iterations=500).run(classifier, benign[:100])
    found = counted.success
    assert np.corrcoef(foretold[found], counted.cost[found])[0, 1] > 0.7


def test_batch_changes_nothing(classifier: Classifier, benign: np.ndarray) -> None:
    heard: list[int] = []
    whole = DirectionCosts().measure(classifier, benign[:20], on_finished=heard.append)
    assert whole.shape == (20, 2 * 9 + 2 * 10) and sum(heard) == 20
    np.testing.assert_allclose(
        DirectionCosts().measure(classifier, benign[:20], batch_size=7), whole, rtol=1e-3
    )
    assert (np.diff(whole[:, :9], axis=1) >= 0).all()
    with pytest.raises(InvalidInputError, match="expected pixels"):
        DirectionCosts().measure(classifier, benign[:2] + 1)


def test_a_detector_can_judge_them(
    classifier: Classifier, benign: np.ndarray, tmp_path: object
) -> None:
    attack = BIM(eps=0.3, step=0.004, max_iterations=60)
    threat = BIM(eps=0.4, step=0.02, max_iterations=50).run(classifier, benign)
    crafted = threat.adversarial[threat.success]
    a2d = A2D(classifier, [attack, "directions"], detectors.Logistic())
    a2d.fit(benign[:150], crafted[:150]).calibrate(benign[150:300], 0.1)
    detection = a2d.predict(crafted[150:250])
    assert detection.is_adversarial.mean() > 0.75
    assert detection.costs.shape == (100, 1) and detection.columns.shape == (100, 39)
    assert detection.column_names[:2] == ("bim", "directions_reach_linf_1")
    assert detection.column_names[-1] == "directions_raise_rms_10"
    assert a2d.predict(benign[:0]).score.shape == (0,)
    with pytest.raises(InvalidInputError, match="weighs its columns"):
        A2D(classifier, [attack, "directions"], detectors.ZScore())
    a2d.save(f"{tmp_path}/detector")
    again = A2D.load(f"{tmp_path}/detector").predict(crafted[150:250])
    np.testing.assert_array_equal(again.is_adversarial, detection.is_adversarial)
