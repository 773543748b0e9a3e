"""A threshold for each predicted class: goldens, the rate within each, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Classifier, InvalidInputError, detectors
from a2d_tf.attacks import BIM
from a2d_tf.detectors import Profile, class_thresholds
from a2d_tf.detectors.stored import from_stored
from a2d_tf.errors import DetectorWarning
from a2d_tf.evaluation.methods import baseline

SIDES = ("low", "either", "either", "class")


def columns_of_classes(count: int, seed: int) -> np.ndarray:
    """Three columns like costs, which are ten times as low in class 2, and the class."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 3, count)
    costs = np.exp(rng.normal(4, 1, (count, 1)) + rng.normal(0, 0.3, (count, 3)))
    costs[:, 0] *= np.where(classes == 2, 0.1, 1)
    return np.column_stack([costs, classes])


def fitted(fpr: float, columns: np.ndarray) -> Profile:
    return Profile(fpr=fpr).fit_sided(columns, np.zeros(len(columns), bool), SIDES)


def test_thresholds_by_hand() -> None:
    scores = np.arange(1.0, 15)  # 1 to 14
    classes = np.array([7] * 9 + [3] * 4 + [5])
    with pytest.warns(DetectorWarning, match=r"too few benign images share one threshold: 5, 8 \(a "
                                             "false-positive rate of 0.2 takes 4 of a class that "
                                             "nothing is learned from, 8 in all"):
        found = class_thresholds.thresholds_by_class(scores, classes, 0.2, np.array([7.0, 8]))
    np.testing.assert_array_equal(found["class_numbers"], [3, 5, 7, 8])
    # The 4th smallest of 4 scores, the 8th of 9, and the 12th of 14 for the others.
    np.testing.assert_array_equal(found["class_thresholds"], [13, 12, 8, 12])
    assert found["other_threshold"] == 12
    each = class_thresholds.thresholds_of(tf.constant([7.0, 3, 5, 0, 7], tf.float64), found)
    np.testing.assert_array_equal(each, [8, 13, 12, 12, 8])


def test_classes_that_are_all_rare_are_stored_too() -> None:
    columns = columns_of_classes(60, 5)
    columns[:, 3] = np.arange(60) % 15  # four of each, of which a rate of 10 % takes 18
    with pytest.warns(DetectorWarning, match="too few benign images share one threshold: 0, 1, 2"):
        detector = fitted(0.1, columns)
    arrays = {key: np.asarray(one) for key, one in detector.to_arrays().items()}
    again = from_stored(arrays, detectors.REGISTRY, "here")
    np.testing.assert_array_equal(again.score(columns), detector.score(columns))


def test_each_class_is_parted_by_itself() -> None:
    benign = np.arange(100.0)[:, None]
    classes = np.repeat([0.0, 1, 2, 3], [60, 30, 8, 2])  # with 10 %, 18 images are the least
    known, fresh = class_thresholds.training_and_calibration(benign, classes, 0.1)
    np.testing.assert_array_equal(np.sort(np.concatenate([known, fresh])[:, 0]), benign[:, 0])
    of_class = classes[fresh[:, 0].astype(int)]
    # A third, and such that 10 % of one more is a whole number; too few are learned from.
    assert [int((of_class == number).sum()) for number in range(4)] == [19, 9, 0, 0]


def test_the_score_is_what_is_above_the_threshold_of_the_class() -> None:
    detector = fitted(0.1, columns_of_classes(900, 0))
    fresh = columns_of_classes(50, 1)
    whole = profile_of(detector).score(fresh[:, :3])
    own = dict(zip(detector.class_numbers_, detector.class_thresholds_))
    expected = whole - np.array([own[number] for number in fresh[:, 3]])
    np.testing.assert_allclose(detector.score(fresh), expected, atol=1e-5)
    assert detector.threshold_ == 0 and not (detector.predict(fresh) != (expected > 0)).any()
    unseen = np.where([False, False, False, True], 9.0, fresh)
    np.testing.assert_allclose(
        detector.score(unseen), whole - detector.other_threshold_, atol=1e-5
    )


def profile_of(detector: Profile) -> Profile:
    """The profile without classes that learned from the same images."""
    plain = Profile(fpr=detector.fpr)
    arrays = detector.to_arrays()
    for key in ("benign", "either", "shift", "mean", "deviation"):
        arrays[f"fitted_{key}"] = arrays[f"fitted_{key}"][..., :3]
    arrays["fitted_precision"] = arrays["fitted_precision"][:3, :3]
    arrays["fitted_columns"] = np.array(3)
    for key in ("class_column", "class_numbers", "class_thresholds", "other_threshold"):
        del arrays[f"fitted_{key}"]
    return type(plain).from_arrays(arrays)


def test_the_rate_holds_within_each_class() -> None:
    columns, fresh = columns_of_classes(3000, 0), columns_of_classes(30_000, 1)
    by_class = fitted(0.1, columns)
    together = Profile(fpr=0.1).fit(columns[:, :3], either=[False, True, True])
    of_class = [fresh[fresh[:, 3] == number] for number in range(3)]
    own = [float(by_class.predict(some).mean()) for some in of_class]
    pooled = [float(together.predict(some[:, :3]).mean()) for some in of_class]
    assert max(pooled) > 0.2 and min(pooled) < 0.05
    assert all(0.06 < rate < 0.14 for rate in own)
    # About 333 images of a class set its threshold: a standard deviation of 0.016.
    by_class.calibrate(columns_of_classes(3000, 2), 0.02)
    assert all(0.005 < by_class.predict(some).mean() < 0.04 for some in of_class)


def test_the_order_of_inputs_changes_nothing_and_it_is_stored_whole(tmp_path: Path) -> None:
    columns, fresh = columns_of_classes(600, 3), columns_of_classes(40, 4)
    detector = fitted(0.1, columns)
    np.testing.assert_array_equal(fitted(0.1, columns[::-1]).score(fresh), detector.score(fresh))
    arrays = {key: np.asarray(one) for key, one in detector.to_arrays().items()}
    again = from_stored(arrays, detectors.REGISTRY, "here")
    np.testing.assert_array_equal(again.score(fresh), detector.score(fresh))
    for key, wrong, message in (
        ("class_column", np.array(9), "the place of a column"),
        ("class_numbers", arrays["fitted_class_numbers"][::-1], "increasing 'fitted_class_num"),
        ("class_thresholds", arrays["fitted_class_thresholds"][:1], "'fitted_class_thresholds'"),
        ("other_threshold", np.array(np.nan), "finite numbers in 'fitted_other_threshold'"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            from_stored(arrays | {f"fitted_{key}": wrong}, detectors.REGISTRY, "here")
    del arrays["fitted_class_thresholds"]
    with pytest.raises(InvalidInputError, match="expected 'fitted_class_thresholds'"):
        from_stored(arrays, detectors.REGISTRY, "here")


@pytest.mark.long
@pytest.mark.parametrize("feature", ["response", BIM(eps=0.3, step=0.003, max_iterations=90)])
def test_saved_and_exported(
    feature: object, classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    assert A2D(classifier, ["bim-search", "predicted-class"]).detector.name == "profile"
    a2d = A2D(classifier, [feature, "predicted-class"]).fit(benign[:300])
    assert a2d.detector.name == "profile" and len(a2d.detector.class_numbers_) == 10
    fresh = benign[300:400]
    expected = a2d.predict(fresh)
    np.testing.assert_array_equal(expected["predicted-class"], classifier.predict(fresh))
    np.testing.assert_array_equal(a2d.is_adversarial(fresh), expected.is_adversarial)
    a2d.save(tmp_path / "saved")
    np.testing.assert_array_equal(A2D.load(tmp_path / "saved").score(fresh), expected.score)
    a2d.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served"))
    for name in ("serving_default", "classify"):
        outputs = served.signatures[name](images=tf.constant(fresh))
        np.testing.assert_array_equal(outputs["is_adversarial"], expected.is_adversarial)


@pytest.mark.parametrize("features, detector, message", [
    (["margin", "predicted-class"], "conformal", "judges each class by itself for predicted-class,"
                                                 " got conformal; choose profile"),
    (["response", "predicted-class"], "logistic", "got logistic; choose profile"),
    ("predicted-class", None, "the predicted class once, beside another feature, got predicted-c"),
])
def test_what_cannot_judge_by_class_is_refused(
    classifier: Classifier, features: object, detector: str | None, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        A2D(classifier, features, detector)  # type: ignore[arg-type]


def test_it_is_compared_by_the_names_of_features() -> None:
    method = baseline("response+predicted-class", seed=0)
    assert list(method.features) == ["response", "predicted-class"]
    assert method.detector.name == "profile" and not method.learns_from_threats
    with pytest.raises(InvalidInputError, match="beside another feature"):
        baseline("predicted-class", seed=0)


def test_a_class_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="a class in one of several columns, got column 3"):
        Profile().fit(np.ones((100, 3)), class_column=3)
