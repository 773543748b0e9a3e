"""Detectors as SavedModels, served without this library."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Bounds, Classifier, InvalidInputError, NotFittedError, detectors
from a2d_tf.attacks import BIM, BIM2, DBA, JSMA
from a2d_tf.export.request_checks import guard_float_images
from a2d_tf.features import REGISTRY, Feature
from a2d_tf.images import Batch

ATTACKS = {
    "jsma": JSMA(theta=0.1, max_changes_per_pixel=7, max_iterations=40),
    "bim": BIM(eps=0.3, step=0.003, max_iterations=90),
    "bim2-search": BIM2(eps=0.3, step=0.001, max_iterations=300, search=True),
}
THREAT = BIM(eps=0.4, step=0.02, max_iterations=50)
PROGRAM = """
import sys
sys.modules["a2d_tf"] = sys.modules["keras"] = None  # not to be had
import numpy, tensorflow
served = tensorflow.saved_model.load(sys.argv[1]).signatures["serving_default"]
images = numpy.load(sys.argv[2])
for count in (0, 1, 7, len(images)):
    found = served(images=tensorflow.constant(images[:count]))
    numpy.savez(f"{sys.argv[3]}/{count}.npz", **{k: v.numpy() for k, v in found.items()})
"""


@pytest.fixture(scope="module")
def mixed(classifier: Classifier, benign: np.ndarray) -> np.ndarray:
    crafted = THREAT.run(classifier, benign[200:240])
    return np.concatenate([benign[240:280], crafted.adversarial[crafted.success]])


def fitted(
    classifier: Classifier, benign: np.ndarray, detector: detectors.Detector,
    attacks: dict[str, Any] = ATTACKS, **settings: Any,
) -> A2D:
    a2d = A2D(classifier, attacks, detector, **settings)
    crafted = THREAT.run(classifier, benign[:60])
    learns = detector.learns_from_adversarial
    a2d.fit(benign[:60], crafted.adversarial[crafted.success] if learns else None)
    return a2d.calibrate(benign[60:120], 0.1)


@pytest.fixture(scope="module")
def a2d(classifier: Classifier, benign: np.ndarray) -> A2D:
    return fitted(classifier, benign, detectors.ZScore())


@pytest.fixture(scope="module")
def served(a2d: A2D, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "first"
    a2d.export(folder)
    return folder.rename(folder.with_name("moved"))


def assert_as_predicted(found: dict[str, np.ndarray], a2d: A2D, images: np.ndarray) -> None:
    expected = a2d.predict(images)
    np.testing.assert_array_equal(found["costs"], expected.costs)
    np.testing.assert_array_equal(found["label"], expected.label)
    np.testing.assert_allclose(found["score"], expected.score, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found["is_adversarial"], expected.is_adversarial)
    np.testing.assert_array_equal(found["probabilities"].argmax(axis=1), expected.label)
    assert found["probabilities"].shape == (len(images), 10)


def test_a_process_without_the_library_says_the_same(
    served: Path, a2d: A2D, mixed: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "images.npy", mixed)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, served, tmp_path / "images.npy", tmp_path],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    for count in (0, 1, 7, len(mixed)):
        with np.load(tmp_path / f"{count}.npz") as found:
            assert_as_predicted(dict(found), a2d, mixed[:count])


def test_a_feature_outside_a_graph_is_refused(
    classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Brightness(Feature):
        name: ClassVar[str] = "brightness"

        def measure_batch(self, classifier: Classifier, batch: Batch) -> np.ndarray:
            return batch.images.mean(axis=(1, 2, 3))

    try:
        a2d = A2D(classifier, {"bim": ATTACKS["bim"], "light": Brightness()}, "zscore")
        a2d.fit(benign[:20])
        assert a2d.predict(benign[:5]).columns.shape == (5, 2)
        with pytest.raises(InvalidInputError, match="to export, got light; implement"):
            a2d.export(tmp_path / "served")
        assert not list(tmp_path.iterdir())
    finally:
        del REGISTRY["brightness"]


@pytest.mark.parametrize("detector, attacks, others", [
    pytest.param(
        detectors.Logistic(), ("jsma", "bim2-search"), ["directions"], marks=pytest.mark.long
    ),
    pytest.param(  # no verdict before all costs are known
        detectors.Forest(), ("jsma", "bim2-search"), [], marks=pytest.mark.long
    ),
    (detectors.Conformal(), ("jsma", "bim2-search"), []),
    pytest.param(detectors.ZScore(), ("bim",), [], marks=pytest.mark.long),
    (detectors.KNN(k=20), ("bim",), []),  # asked about every cost beforehand
], ids=["directions", "all costs", "in turn", "one attack", "one attack, not monotone"])
def test_classify_gives_the_verdicts(
    detector: detectors.Detector, attacks: tuple[str, ...], others: list[str],
    classifier: Classifier, benign: np.ndarray, mixed: np.ndarray, tmp_path: Path,
) -> None:
    chosen = {name: ATTACKS[name] for name in attacks} | {name: name for name in others}
    a2d = fitted(classifier, benign, detector, chosen)
    a2d.export(tmp_path / "served")
    classify = tf.saved_model.load(str(tmp_path / "served")).signatures["classify"]
    expected = a2d.predict(mixed).is_adversarial
    assert 0 < expected.mean() < 1
    for count in (0, 1, len(mixed)):
        verdicts = classify(images=tf.constant(mixed[:count]))["is_adversarial"]
        np.testing.assert_array_equal(verdicts, expected[:count])


@pytest.mark.long
def test_bytes(served: Path, a2d: A2D, mixed: np.ndarray) -> None:
    signatures = tf.saved_model.load(str(served)).signatures
    whole = np.round(255 * mixed[:20]).astype(np.uint8)
    found = signatures["serving_default_uint8"](images=tf.constant(whole))
    expected = a2d.predict(whole / np.float32(255))
    np.testing.assert_array_equal(found["costs"], expected.costs)
    few = signatures["classify_uint8"](images=tf.constant(whole))["is_adversarial"]
    np.testing.assert_array_equal(few, expected.is_adversarial)


def test_neighbours_and_padding_change_nothing(served: Path, mixed: np.ndarray) -> None:
    judge = tf.saved_model.load(str(served)).signatures["serving_default"]
    alone = judge(images=tf.constant(mixed[:5]))
    bad = np.stack([np.full((8, 8, 1), value, np.float32) for value in (np.nan, -0.1, 1.1)])
    for padding in (np.zeros((11, 8, 8, 1)), np.repeat(mixed[:1], 11, axis=0), bad):
        padded = np.concatenate([padding[:1], mixed[:5], padding[1:]]).astype(np.float32)
        together = judge(images=tf.constant(padded))
        for name, values in alone.items():
            np.testing.assert_array_equal(together[name][1:6], values, err_msg=name)
    assert together["is_adversarial"].numpy()[[0, 6, 7]].all()
    assert together["label"].numpy()[[0, 6, 7]].tolist() == [-1] * 3
    assert np.isfinite(together["score"]).all() and not together["costs"].numpy()[0].any()


def test_equal_rows_are_judged_once() -> None:
    def rows(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"rows": tf.fill(tf.shape(images)[:1], len(images))}

    seen = guard_float_images(rows, Bounds())
    images = np.zeros((9, 2, 2, 1), np.float32)
    images[:2, 0, 0, 0] = 0.1, 0.2
    images[2] = np.nan
    assert seen(tf.constant(images))["rows"].numpy().tolist() == [3, 3, 0, 3, 3, 3, 3, 3, 3]


@pytest.mark.long
def test_threads_and_batch_sizes_share_one_graph(
    served: Path, a2d: A2D, mixed: np.ndarray
) -> None:
    judge = tf.saved_model.load(str(served)).signatures["serving_default"]
    expected = a2d.predict(mixed)
    starts = [(7 * i) % (len(mixed) - 9) for i in range(16)]

    def ask(start: int) -> np.ndarray:
        size = 1 + start % 9
        found: np.ndarray = judge(images=tf.constant(mixed[start:start + size]))["costs"].numpy()
        return found

    with ThreadPoolExecutor(8) as pool:
        for start, costs in zip(starts, pool.map(ask, starts), strict=True):
            np.testing.assert_array_equal(costs, expected.costs[start:start + 1 + start % 9])


def test_what_lies_beside_the_graph(served: Path, a2d: A2D, model: keras.Model) -> None:
    settings = json.loads((served / "assets.extra" / "a2d.json").read_text())
    assert settings["threshold"] == a2d.detector.threshold
    assert (settings["fpr"], settings["calibration_images"]) == (0.1, 60)
    assert list(settings["attacks"]) == list(ATTACKS)
    assert settings["detector"]["detector"] == "zscore" and settings["detector"]["votes"] == 2
    assert settings["versions"]["tensorflow"] == tf.__version__
    records = list(tf.data.TFRecordDataset(
        str(served / "assets.extra" / "tf_serving_warmup_requests")
    ).as_numpy_iterator())
    tensor = tf.make_tensor_proto(np.zeros((1, 8, 8, 1), np.float32)).SerializeToString()
    assert len(records) == 2 and all(tensor in record for record in records)
    assert b"serving_default" in records[0] and b"classify" in records[1]
    size = sum(file.stat().st_size for file in served.rglob("*") if file.is_file())
    weights = sum(weight.nbytes for weight in model.get_weights())
    assert size < weights + 2e6


@pytest.mark.long
def test_a_classifier_that_was_a_savedmodel(
    model: keras.Model, benign: np.ndarray, mixed: np.ndarray, tmp_path: Path
) -> None:
    logits = keras.Sequential([*model.layers[:-1], keras.layers.Dense(10)])
    logits.build((None, 8, 8, 1))
    logits.layers[-1].set_weights(model.layers[-1].get_weights())
    logits.export(tmp_path / "classifier", verbose=False)
    a2d = fitted(Classifier.load(tmp_path / "classifier"), benign, detectors.ZScore())
    a2d.export(tmp_path / "served")
    shutil.rmtree(tmp_path / "classifier")
    found = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"](
        images=tf.constant(mixed)
    )
    assert_as_predicted({name: value.numpy() for name, value in found.items()}, a2d, mixed)


@pytest.mark.long
def test_labels_alone_are_served_too(
    model: keras.Model, benign: np.ndarray, tmp_path: Path
) -> None:
    shape = tf.TensorSpec((None, 8, 8, 1))
    module = tf.Module()
    module.model = model
    module.serve = tf.function(lambda x: tf.argmax(model(x), axis=1), input_signature=[shape])
    tf.saved_model.save(module, str(tmp_path / "labels"), signatures=module.serve)
    dba = {"dba": DBA(mse_threshold=0.05, max_iterations=20)}
    a2d = A2D(Classifier.load(tmp_path / "labels"), dba, detectors.ZScore()).fit(benign[:20])
    a2d.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    found, expected = served(images=tf.constant(benign[20:30])), a2d.predict(benign[20:30])
    np.testing.assert_array_equal(found["costs"], expected.costs)
    np.testing.assert_array_equal(found["is_adversarial"], expected.is_adversarial)
    np.testing.assert_array_equal(found["label"], expected.label)
    assert "probabilities" not in found


@pytest.mark.long
def test_images_of_any_size(tmp_path: Path) -> None:
    weights = tf.Variable(np.linspace(-1, 1, 3 * 4).reshape(3, 4), dtype=tf.float32)
    module = tf.Module()
    module.weights = weights
    module.serve = tf.function(
        lambda x: tf.reduce_mean(x, axis=(1, 2)) @ weights,
        input_signature=[tf.TensorSpec((None, None, None, 3))],
    )
    tf.saved_model.save(module, str(tmp_path / "classifier"), signatures=module.serve)
    images = np.random.default_rng(0).uniform(size=(30, 5, 6, 3)).astype(np.float32)
    classifier = Classifier.load(tmp_path / "classifier", probabilities=False)
    a2d = A2D(classifier, {"bim": ATTACKS["bim"]}, detectors.ZScore()).fit(images)
    a2d.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    for few in (images[:4], images[:0], images[:3, :4]):
        found, expected = served(images=tf.constant(few)), a2d.predict(few)
        np.testing.assert_array_equal(found["costs"], expected.costs)
    assert not (tmp_path / "served" / "assets.extra" / "tf_serving_warmup_requests").exists()


@pytest.mark.long
def test_what_cannot_be_exported_is_refused(
    a2d: A2D, classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(NotFittedError):
        A2D(classifier, ATTACKS, detectors.ZScore()).export(tmp_path / "served")
    (tmp_path / "mine").mkdir()
    with pytest.raises(InvalidInputError, match="choose another place"):
        a2d.export(tmp_path / "mine")
    dba = {"dba": DBA(mse_threshold=0.1, max_iterations=20)}
    for one, message in (
        (Classifier.label_only(lambda images: classifier.predict(images), input_shape=(8, 8, 1)),
         "made of TensorFlow operations"),
        (Classifier(classifier.decide, probabilities=False), "known input shape"),
        (Classifier(classifier.decide, input_shape=(8, 8, 1), probabilities=False),
         "variables can be saved"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            A2D(one, dba, detectors.ZScore()).fit(benign[:20]).export(tmp_path / "served")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
