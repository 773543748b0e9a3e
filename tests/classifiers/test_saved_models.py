"""SavedModels of every making as classifiers."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Bounds, Classifier, InvalidInputError, UnsuitableClassifierError, detectors
from a2d_tf.attacks import BIM, DBA, preset
from a2d_tf.zoo import load_dataset

ATTACK = BIM(eps=0.3, step=0.003, max_iterations=90)
ANY = (None, 8, 8, 1)


def logits(weights: list[Any], pixels: tf.Tensor) -> tf.Tensor:
    """What the test classifier computes, without Keras."""
    features = tf.nn.relu(tf.nn.conv2d(pixels, weights[0], 1, "VALID") + weights[1])
    features = tf.reshape(tf.nn.max_pool2d(features, 2, 2, "VALID"), (-1, 144))
    return tf.nn.relu(features @ weights[2] + weights[3]) @ weights[4] + weights[5]


def names() -> tf.lookup.StaticHashTable:
    """What the classes are called."""
    digits = tf.range(10, dtype=tf.int64)
    called = tf.lookup.KeyValueTensorInitializer(digits, tf.strings.as_string(digits))
    return tf.lookup.StaticHashTable(called, "?")


class Module(tf.Module):  # type: ignore[misc]
    """A classifier of a team that uses no Keras: class names too, and a loop."""

    def __init__(self, model: keras.Model):
        super().__init__()
        self.weights = [tf.Variable(value) for value in model.get_weights()]
        self.table = names()

    def serve(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        _, doubled = tf.while_loop(
            lambda i, _: i < tf.shape(pixels)[0] * 0 + 2,
            lambda i, values: (i + 1, values * tf.cast(i + 1, tf.float32)),
            (0, logits(self.weights, tf.cast(pixels, tf.float32))),
        )
        probabilities = tf.nn.softmax(doubled / 2)
        best = tf.argmax(probabilities, axis=1)
        return {"chances": probabilities, "label": best, "name": self.table.lookup(best)}

    def of_bytes(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.serve(tf.cast(pixels, tf.float32) / 255)

    def guessed(self, pixels: tf.Tensor) -> tf.Tensor:
        """Probabilities that no softmax operation makes."""
        sharp = 300 * logits(self.weights, pixels)
        values = tf.exp(sharp - tf.reduce_max(sharp, axis=1, keepdims=True))
        return values / tf.reduce_sum(values, axis=1, keepdims=True)

    def looked_up(self, pixels: tf.Tensor) -> tf.Tensor:
        """No gradient leads through a table of tones."""
        tones = tf.gather(tf.range(256, dtype=tf.float32) / 255, tf.cast(pixels, tf.int32))
        return logits(self.weights, tones)

    def save(self, path: Path, method: str, shape: tuple[int | None, ...], kind: tf.DType) -> None:
        function = tf.function(
            getattr(self, method), autograph=False,
            input_signature=[tf.TensorSpec(shape, kind, "pixels")],
        )
        tf.saved_model.save(self, str(path), signatures={"judge": function})


def save_for_tensorflow_1(model: keras.Model, path: Path, *, resources: bool) -> None:
    """As models were saved by TensorFlow 1, with dropout, class names and all."""
    v1, values = tf.compat.v1, model.get_weights()
    with tf.Graph().as_default(), v1.Session() as session:
        pixels = v1.placeholder(tf.uint8, ANY, "pixels")
        weights = [
            v1.get_variable(f"w{i}", initializer=value, use_resource=resources)
            for i, value in enumerate(values)
        ]
        outputs = logits(weights, tf.cast(pixels, tf.float32) / 255)
        rate = v1.placeholder_with_default(tf.zeros(()), ())
        chances = tf.nn.softmax(v1.nn.dropout(outputs, rate=rate))
        name = names().lookup(tf.argmax(chances, axis=1))
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        v1.saved_model.simple_save(
            session, str(path), {"pixels": pixels}, {"chances": chances, "name": name},
            legacy_init_op=v1.tables_initializer(),
        )


MAKINGS: dict[str, Callable[[keras.Model, Path], object]] = {
    "keras": lambda model, path: model.export(path, verbose=False),
    "module": lambda model, path: Module(model).save(path, "serve", ANY, tf.float32),
    "double": lambda model, path: Module(model).save(path, "serve", ANY, tf.float64),
    "bytes": lambda model, path: Module(model).save(path, "of_bytes", ANY, tf.uint8),
    "batches of 4": lambda model, path: Module(model).save(
        path, "serve", (4, 8, 8, 1), tf.float32
    ),
    "tensorflow 1": lambda model, path: save_for_tensorflow_1(model, path, resources=True),
    "reference variables": lambda model, path: save_for_tensorflow_1(
        model, path, resources=False
    ),
}


@pytest.mark.parametrize("making", [
    name if quick < 3 else pytest.param(name, marks=pytest.mark.long)
    for quick, name in enumerate(MAKINGS)
])
def test_costs_are_those_of_the_keras_model(
    making: str, model: keras.Model, benign: np.ndarray, tmp_path: Path
) -> None:
    MAKINGS[making](model, tmp_path / "served")
    output = None if making == "keras" else "chances"
    images = np.round(benign[:50] * 255) / np.float32(255)
    served = Classifier.load(tmp_path / "served", output=output)
    shutil.rmtree(tmp_path / "served")
    expected = ATTACK.run(Classifier(model), images)
    found = ATTACK.run(served, images)
    assert (found.cost == expected.cost).mean() >= 0.98
    np.testing.assert_allclose(found.cost, expected.cost, atol=1)
    assert len(np.unique(found.cost)) > 5
    assert served.input_shape == (8, 8, 1) and not served.probabilities


@pytest.mark.long
def test_lenet_exported_by_keras(shared: Callable[[str], Path], tmp_path: Path) -> None:
    keras_file = shared("models/lenet_mnist.keras")
    keras.saving.load_model(keras_file).export(tmp_path / "served", verbose=False)
    images = load_dataset("mnist", shared("data")).x_test[:24]
    attack = preset("bim", "mnist")
    expected = attack.run(Classifier.load(keras_file), images).cost
    found = attack.run(Classifier.load(tmp_path / "served"), images).cost
    assert (found == expected).mean() >= 0.98
    np.testing.assert_allclose(found, expected, atol=1, rtol=0.01)


def test_bytes_of_other_bounds(model: keras.Model, benign: np.ndarray, tmp_path: Path) -> None:
    MAKINGS["bytes"](model, tmp_path / "served")
    images = np.round(benign[:20] * 255)
    unit = Classifier.load(tmp_path / "served", output="chances")
    wide = Classifier.load(tmp_path / "served", Bounds(0, 255), output="chances")
    np.testing.assert_allclose(
        ATTACK.run(wide, images).cost, ATTACK.run(unit, images / 255).cost, atol=1
    )


def test_labels_alone(model: keras.Model, benign: np.ndarray, tmp_path: Path) -> None:
    MAKINGS["bytes"](model, tmp_path / "served")
    labels = Classifier.load(tmp_path / "served", output="label")
    images = np.round(benign[:20] * 255) / np.float32(255)
    np.testing.assert_array_equal(labels.predict(images), Classifier(model).predict(images))
    assert DBA(mse_threshold=0.1, max_iterations=5).run(labels, images).cost.max() <= 5
    with pytest.raises(UnsuitableClassifierError, match="DBA"):
        ATTACK.run(labels, images)


def test_without_gradients_there_is_dba(
    model: keras.Model, benign: np.ndarray, tmp_path: Path
) -> None:
    Module(model).save(tmp_path / "served", "looked_up", ANY, tf.uint8)
    classifier = Classifier.load(tmp_path / "served")
    with pytest.raises(UnsuitableClassifierError, match="DBA, which needs labels alone"):
        ATTACK.run(classifier, benign[:10])
    result = DBA(mse_threshold=0.1, max_iterations=20).run(classifier, benign[:10])
    assert result.success.any()


def test_saturated_probabilities_are_refused(
    model: keras.Model, benign: np.ndarray, tmp_path: Path
) -> None:
    Module(model).save(tmp_path / "served", "guessed", ANY, tf.float32)
    with pytest.warns(UserWarning, match="gives probabilities, not logits"):
        classifier = Classifier.load(tmp_path / "served")
    assert classifier.probabilities
    with pytest.raises(UnsuitableClassifierError, match="probabilities are saturated"):
        ATTACK.run(classifier, benign[:32])
    told = Classifier.load(tmp_path / "served", probabilities=False)
    with pytest.raises(UnsuitableClassifierError, match="got outputs that are probabilities"):
        ATTACK.run(told, benign[:32])


def test_a_softmax_that_is_left_out_needs_no_logarithm(
    model: keras.Model, benign: np.ndarray, tmp_path: Path
) -> None:
    model.export(tmp_path / "served", verbose=False)
    told = Classifier.load(tmp_path / "served", probabilities=True)
    np.testing.assert_allclose(
        told.logits(benign[:5]), Classifier(model).logits(benign[:5]), atol=1e-4
    )
    np.testing.assert_array_equal(
        Classifier(model, probabilities=True).logits(benign[:5]),
        Classifier(model).logits(benign[:5]),
    )


def test_a_detector_keeps_signature_and_output(
    model: keras.Model, benign: np.ndarray, tmp_path: Path
) -> None:
    MAKINGS["module"](model, tmp_path / "served")
    classifier = Classifier.load(tmp_path / "served", signature="judge", output="chances")
    a2d = A2D(classifier, {"bim": ATTACK}, detectors.ZScore()).fit(benign[:40])
    a2d.save(tmp_path / "detector")
    shutil.rmtree(tmp_path / "served")
    again = A2D.load(tmp_path / "detector")
    assert (again.classifier.signature, again.classifier.output) == ("judge", "chances")
    np.testing.assert_array_equal(
        again.predict(benign[40:60]).costs, a2d.predict(benign[40:60]).costs
    )


def test_what_is_wrong_is_said_in_a_line(model: keras.Model, tmp_path: Path) -> None:
    MAKINGS["module"](model, tmp_path / "good")
    data = (tmp_path / "good" / "saved_model.pb").read_bytes()
    weights = next((tmp_path / "good" / "variables").glob("*.data*"))
    for name in ("half", "no weights", "half weights"):
        shutil.copytree(tmp_path / "good", tmp_path / name)
    (tmp_path / "half" / "saved_model.pb").write_bytes(data[:len(data) // 2])
    shutil.rmtree(tmp_path / "no weights" / "variables")
    cut = tmp_path / "half weights" / "variables" / weights.name
    cut.write_bytes(weights.read_bytes()[:1000])
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "saved_model.pb").write_text("a poem")
    tf.saved_model.save(tf.Module(), str(tmp_path / "nothing"))
    texts = tf.Module()
    texts.serve = tf.function(
        tf.strings.length, input_signature=[tf.TensorSpec((None, 1, 1, 1), tf.string)]
    )
    tf.saved_model.save(texts, str(tmp_path / "texts"), signatures=texts.serve)
    pair = tf.Module()
    pair.serve = tf.function(lambda a, b: a + b, input_signature=2 * [tf.TensorSpec(ANY)])
    tf.saved_model.save(pair, str(tmp_path / "pair"), signatures=pair.serve)
    model.save(tmp_path / "model.keras")
    for name, asked, message in (
        ("good", {}, r"one output, got \['chances', 'label', 'name'\]; name one of them"),
        ("good", {"output": "logits"}, "with the output 'logits', got"),
        ("good", {"output": "name"}, "integer labels, got 'name' of string"),
        ("good", {"signature": "serve"}, r"with the signature 'serve', got \['judge'\]"),
        ("half", {}, "does not load"),
        ("no weights", {"output": "chances"}, "does not load"),
        ("half weights", {"output": "chances"}, "does not load"),
        ("foreign", {}, "does not load"),
        ("nothing", {}, "one signature, got none; export it with one"),
        ("texts", {}, "pixels, floats or integers, got string"),
        ("pair", {}, "one input, got"),
        ("model.keras", {"signature": "judge"}, "a SavedModel folder to take"),
        ("model.keras", {"output": "chances"}, "or its index, got 'chances'"),
    ):
        with pytest.raises(InvalidInputError, match=message) as error:
            Classifier.load(tmp_path / name, **asked)
        assert "\n" not in str(error.value)
