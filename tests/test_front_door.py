"""What a user of Keras or scikit-learn types first works, or says in one line what to type."""

import copy
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from a2d_tf import (
    A2D,
    Bounds,
    Classifier,
    Detection,
    InvalidInputError,
    UnsuitableClassifierError,
    attacks,
    detectors,
    features,
)
from a2d_tf.detectors import KNN, ZScore
from a2d_baselines import KD

BIM = attacks.BIM(eps=0.3, step=0.004, max_iterations=60)


def test_a_keras_model_is_wrapped(model: keras.Model, benign: np.ndarray) -> None:
    a2d = A2D(model).fit(benign[:60])
    assert list(a2d.features) == ["response"] and a2d.detector.name == "profile"
    a2d = A2D(model, "bim-search").fit(benign[:60])
    assert a2d.detector.name == "conformal"
    # No preset was named: `fit` chose the steps, on the benign images.
    assert a2d.attacks["bim-search"].step != attacks.preset("bim-search").step
    costs = a2d.predict(benign[60:120]).costs
    assert 150 < np.median(costs) < 350
    assert A2D(model, BIM, ZScore(), bounds=(0, 2)).classifier.bounds == Bounds(0, 2)
    with pytest.raises(InvalidInputError, match="no bounds beside a Classifier, which has its own"):
        A2D(Classifier(model), bounds=(0, 2))
    with pytest.raises(InvalidInputError, match="a Classifier or a Keras model, got int; wrap it"):
        A2D(3)


def test_a_single_attack_is_a_sequence_of_one(classifier: Classifier) -> None:
    assert A2D(classifier, BIM, ZScore()).attacks == {"bim": BIM}
    assert A2D(classifier, attacks=BIM).attacks == {"bim": BIM}
    with pytest.raises(InvalidInputError, match="features or attacks, got both"):
        A2D(classifier, BIM, attacks=BIM)


def test_names_instead_of_objects(classifier: Classifier) -> None:
    a2d = A2D(classifier, ["bim-search", "margin"], "zscore", preset="mnist")
    assert a2d.attacks == {"bim-search": attacks.preset("bim-search", "mnist")}
    assert a2d.features["margin"] == features.Margin() and isinstance(a2d.detector, ZScore)
    assert A2D(classifier, "bim-search", "conformal").features == {"bim-search": "bim-search"}
    for arguments, message in (
        ((["bin"], "zscore"), "a feature out of bim, bim2, .*margin.*, got 'bin'"),
        ((["bim"], "z-score"), "a detector out of zscore, conformal, .*, got 'z-score'"),
        ((["bim"], 3), "a detector out of zscore, .*, got int; give one of these names"),
        (([3], "zscore"), "an attack, another feature or its name, got int"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            A2D(classifier, *arguments)
    with pytest.raises(InvalidInputError, match="a preset out of mnist, cifar10, own, got 'svhn'"):
        A2D(classifier, "bim", preset="svhn")


def test_a_class_instead_of_an_object(classifier: Classifier) -> None:
    with pytest.raises(
        InvalidInputError, match=r"a detector, got the class ZScore; write ZScore\(\)"
    ):
        A2D(classifier, [BIM], ZScore)
    with pytest.raises(InvalidInputError, match=r"got the class BIM; write BIM\(\)"):
        A2D(classifier, [attacks.BIM], ZScore())


@pytest.mark.parametrize("batched", [False, True])
def test_datasets_wherever_predict_takes_them(
    batched: bool, classifier: Classifier, benign: np.ndarray
) -> None:
    def dataset(images: np.ndarray) -> tf.data.Dataset:
        every = tf.data.Dataset.from_generator(
            lambda: iter(images), output_signature=tf.TensorSpec((8, 8, 1), tf.float32)
        )
        return every.batch(13) if batched else every

    first, second = benign[:90], benign[90:180]
    expected = A2D(classifier, BIM, "zscore").fit(first).calibrate(second, 0.05)
    found = A2D(classifier, BIM, "zscore").fit(dataset(first)).calibrate(dataset(second), 0.05)
    assert found.detector.threshold == expected.detector.threshold
    assert found.detector.calibration == (0.05, 90)
    result = BIM.run(classifier, dataset(first))
    np.testing.assert_array_equal(result.cost, BIM.run(classifier, first).cost)
    np.testing.assert_array_equal(classifier.predict(dataset(first)), classifier.predict(first))


def test_attacks_have_the_settings_of_the_paper_by_default(classifier: Classifier) -> None:
    assert attacks.preset("bim") == attacks.BIM() == attacks.preset("bim", "mnist")
    for name in attacks.REGISTRY:
        assert attacks.REGISTRY[name]().max_iterations > 0


def test_an_attack_is_a_function_of_images(classifier: Classifier, benign: np.ndarray) -> None:
    result = BIM.run(classifier, benign[:9])
    np.testing.assert_array_equal(BIM(classifier, benign[:9]), result.adversarial)
    labels = classifier.predict(benign[:9])
    np.testing.assert_array_equal(BIM(classifier, benign[:9], labels), result.adversarial)


def test_the_mask_of_a_detection(classifier: Classifier, benign: np.ndarray) -> None:
    a2d = A2D(classifier, {"mine": BIM, "margin": "margin"}, "conformal").fit(benign[:120])
    detection = a2d.predict(benign[120:150])
    assert isinstance(detection, Detection) and len(detection) == 30
    np.testing.assert_array_equal(detection.is_adversarial, a2d.is_adversarial(benign[120:150]))
    np.testing.assert_array_equal(detection.score, a2d.score(benign[120:150]))
    np.testing.assert_array_equal(detection.score, a2d.decision_function(benign[120:150]))
    np.testing.assert_array_equal(detection["mine"], detection.costs[:, 0])
    np.testing.assert_array_equal(detection["margin"], detection.columns[:, 1])
    with pytest.raises(InvalidInputError, match="a column out of mine, margin, got 'bim'"):
        detection["bim"]
    frame = detection.to_frame()
    assert list(frame) == ["label", "score", "is_adversarial", "valid", "mine", "margin"]
    assert len(frame) == 30 and frame["is_adversarial"].sum() == detection.is_adversarial.sum()
    assert "of 30 images adversarial; columns mine, margin" in repr(detection)


def test_fit_with_a_rate_splits_and_calibrates(classifier: Classifier, benign: np.ndarray) -> None:
    a2d = A2D(classifier, "margin", "zscore").fit(benign[:200], fpr=0.05)
    learned = A2D(classifier, "margin", "zscore").fit(benign[:200:2])
    by_hand, on_itself = (
        copy.deepcopy(learned).calibrate(benign[start:200:2], 0.05) for start in (1, 0)
    )
    assert a2d.detector.threshold == by_hand.detector.threshold != on_itself.detector.threshold
    assert a2d.detector.calibration == (0.05, 100)
    assert a2d.predict(benign[200:]).is_adversarial.mean() < 0.15
    with pytest.raises(InvalidInputError, match=r"rate in \(0, 1\)"):
        A2D(classifier, BIM, "zscore").fit(benign[:200], fpr=5)


def test_a2d_is_cloned_and_searched_like_an_estimator(
    classifier: Classifier, benign: np.ndarray
) -> None:
    a2d = A2D(classifier, ["margin", BIM], "zscore")
    twin = clone(a2d).fit(benign[:60])
    assert list(twin.features) == ["margin", "bim"] and twin.detector.name == "zscore"
    assert clone(A2D(classifier)).get_params(deep=False)["features"] is None
    a2d.set_params(detector="knn", detector__k=5)
    assert isinstance(a2d.detector, KNN) and a2d.detector.k == 5
    with pytest.raises(InvalidInputError, match="expected parameters out of .*, got detector__h"):
        a2d.set_params(detector="knn", detector__h=1)


def test_rows_of_adversarial_images_stay_those_of_all_benign_ones(
    classifier: Classifier, benign: np.ndarray
) -> None:
    benign = benign[:120]
    # Those of odd rows are among the images that set the threshold.
    source = np.array([100, 4, 7, 118, 62, 8, 30, 31, 32, 34, 36, 99])
    crafted = np.clip(benign[source] + 0.05, 0, 1)
    parts = []

    def spy(given: Classifier, feature: dict, images: np.ndarray, **options: object) -> object:
        parts.append(images)
        return features.measure(given, feature, images, **options)

    A2D(classifier, "margin", KNN(k=2)).fit(
        benign, crafted, source=source, fpr=0.2, noisy_negatives=True, measure=spy
    )
    noisy = parts[1]
    known = source[source % 2 == 0]
    assert len(noisy) == len(known) == 9
    away = np.linalg.norm((noisy - benign[known]).reshape(9, -1), axis=1)
    wanted = np.linalg.norm((crafted - benign[source])[source % 2 == 0].reshape(9, -1), axis=1)
    assert (away <= wanted + 1e-3).all() and (away > 0).all()


def test_small_batches_bound_what_a_feature_is_given(benign: np.ndarray) -> None:
    sizes = set()

    def counted(images: tf.Tensor) -> tf.Tensor:
        def note(batch: tf.Tensor) -> tf.Tensor:
            sizes.add(len(batch))
            return batch

        seen = tf.py_function(note, [images], tf.float32)
        seen.set_shape(images.shape)
        mean = tf.reduce_mean(seen, axis=(1, 2, 3))
        return tf.stack([mean, 0.3 - mean], axis=1)

    classifier = Classifier(counted, input_shape=benign.shape[1:], preflight=False)
    sizes.clear()
    features.by_name("margin").stream(classifier, batch_size=4).update(
        next(iter(classifier.batches(benign[:32], needs_labels=False, preflight=False)))
    )
    assert max(sizes) <= 8  # batches are filled up to a multiple of 8


def test_detectors_are_estimators() -> None:
    twin = clone(KNN(k=7))
    assert twin.k == 7
    rng = np.random.default_rng(0)
    columns = np.concatenate([rng.normal(200, 50, (60, 2)), rng.normal(20, 30, (60, 2))])
    search = GridSearchCV(KNN(), {"k": [3, 15]}).fit(columns, np.repeat([False, True], 60))
    assert search.best_score_ > 0.9


def test_a_path_instead_of_a_model(
    model: keras.Model, classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    model.save(tmp_path / "model.keras")
    for path in (tmp_path / "model.keras", str(tmp_path / "model.keras")):
        loaded = Classifier(path)
        np.testing.assert_allclose(
            loaded.logits(benign[:5]), classifier.logits(benign[:5]), rtol=1e-5, atol=1e-5
        )
        assert loaded.path == tmp_path / "model.keras"
    with pytest.raises(InvalidInputError, match="expected a model at nothing.keras"):
        Classifier("nothing.keras")
    with pytest.raises(InvalidInputError, match="a Keras model, a callable or the path of a model"):
        Classifier(3)


def test_a_function_of_numpy_arrays_is_told_from_one_of_tensors(model: keras.Model) -> None:
    weights = np.ones((64, 3), np.float32)

    def logits(images: np.ndarray) -> np.ndarray:
        return np.asarray(images).reshape(-1, 64) @ weights

    with pytest.raises(
        (InvalidInputError, UnsuitableClassifierError),
        match="NumPy array.*Classifier.label_only|TensorFlow operations",
    ):
        Classifier(logits, input_shape=(8, 8, 1))


def test_the_data_of_a_baseline_go_into_its_fit(
    classifier: Classifier, benign: np.ndarray, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    adversarial = attacks.BIM(eps=0.4, step=0.02, max_iterations=50)(classifier, benign[:60])
    a2d = A2D(classifier, KD(dropout_passes=5), detectors.Logistic(transform_costs=False))
    a2d.fit(
        benign[:60], adversarial, noisy_negatives=True,
        training_data=(digits[0][:1200], digits[1][:1200]),
    )
    assert a2d.score(benign[60:70]).shape == (10,)


def test_parameters_as_scikit_learn_has_them(classifier: Classifier, benign: np.ndarray) -> None:
    a2d = A2D(classifier, BIM, KNN(k=5))
    params = a2d.get_params()
    assert params["detector__k"] == 5 and params["batch_size"] == 128
    assert a2d.set_params(detector__k=7, batch_size=16) is a2d
    assert (a2d.detector.k, a2d.batch_size) == (7, 16)
    a2d.set_params(detector="zscore").fit(benign[:20])
    with pytest.raises(InvalidInputError, match="parameters out of classifier, .*, got colour"):
        a2d.set_params(colour="red")
    assert "[fitted]" in repr(a2d) and "BIM(" in repr(a2d)
    assert "[not fitted]" in repr(a2d.set_params(batch_size=8))


def test_what_must_not_change_cannot_be_changed(
    classifier: Classifier, benign: np.ndarray
) -> None:
    a2d = A2D(classifier, BIM, "zscore").fit(benign[:20])
    for holder, name, value in (
        (a2d, "order", ["bim"]), (a2d, "classifier", classifier), (a2d, "detector", ZScore()),
        (a2d, "features", {}), (classifier, "bounds", Bounds(0, 2)), (classifier, "model", None),
        (a2d.detector, "h", -1.0), (a2d.attacks["bim"], "eps", 0.1),
        (a2d.state, "order", ()), (features.Margin(), "learned", {}),
    ):
        with pytest.raises(AttributeError):
            setattr(holder, name, value)
    before = a2d.features
    a2d.features["margin"] = features.Margin()  # a copy
    assert a2d.features == before
