"""Precisions, devices, layouts and sizes; what Keras computes with; models that end a process."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from a2d_tf import A2D, Classifier, InvalidInputError, UnsuitableClassifierError
from a2d_tf.attacks import BIM, DBA, JSMA, LocalSearch, loop

ATTACK = BIM(eps=0.5, step=0.01, max_iterations=30)
ROOT = Path(__file__).parents[2]


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(20, *shape)).astype(np.float32)


def network(*shape: int, classes: int = 3) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([
        keras.Input(shape), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(),
        layers.Dense(classes, activation="softmax"),
    ])


def run(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], text=True, capture_output=True, timeout=300, cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | variables,
    )


@pytest.mark.long
@pytest.mark.parametrize("backend", [
    "jax", pytest.param("torch", marks=pytest.mark.long),
])
def test_another_backend_is_refused_at_the_import(backend: str) -> None:
    done = run("import a2d_tf", KERAS_BACKEND=backend)
    last = done.stderr.strip().splitlines()[-1]
    assert "expected Keras with the backend tensorflow, got " + backend in last
    assert "KERAS_BACKEND=tensorflow" in last
    script = subprocess.run(
        [sys.executable, "scripts/detect.py"], text=True, capture_output=True, cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": backend},
    )
    assert script.returncode == 1 and script.stderr.startswith("detect.py: expected Keras with")
    assert script.stderr.count("\n") == 1


@pytest.mark.long
def test_the_preflight_does_not_end_the_process() -> None:
    """The gradient of this kernel, which nobody asked for, does so on some machines."""
    done = run(
        "import keras, numpy\n"
        "from a2d_tf import Classifier\n"
        "image = keras.Input((60, 60, 8))\n"
        "hidden = keras.layers.Conv2D(16, 1, strides=2)(image)\n"
        "pooled = keras.layers.GlobalAveragePooling2D()(hidden)\n"
        "model = keras.Model(image, keras.layers.Dense(10)(pooled))\n"
        "images = numpy.random.default_rng(0).uniform(0, 1, (32, 60, 60, 8))\n"
        "Classifier(model).preflight(images.astype('float32'))\n"
        "print('passed')\n"
    )
    assert (done.returncode, done.stdout) == (0, "passed\n"), done.stderr


@pytest.mark.long
def test_the_preflight_queries_once_whatever_the_attack_needs() -> None:
    model, calls = network(6, 6, 1), 0

    def counted(batch: tf.Tensor) -> tf.Tensor:
        nonlocal calls
        calls += 1
        return model(batch)

    classifier = Classifier(counted, input_shape=(6, 6, 1))
    for attack in (LocalSearch(max_iterations=1), DBA(mse_threshold=0.5, max_iterations=1)):
        attack.run(classifier, images(6, 6, 1)[:4])
        before = calls
        for _ in range(3):
            attack.run(classifier, images(6, 6, 1)[:4])
            list(classifier.batches(
                images(6, 6, 1), needs_logits=attack.needs_logits, needs_gradients=False
            ))
        assert calls <= before + 1  # the graph for other sizes


def test_mixed_precision() -> None:
    plain = network(6, 6, 1)
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        mixed = network(6, 6, 1)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    mixed.set_weights(plain.get_weights())
    classifier = Classifier(mixed)
    logits = classifier.logits(images(6, 6, 1))
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, Classifier(plain).logits(images(6, 6, 1)), atol=0.01)
    result = ATTACK.run(classifier, images(6, 6, 1))
    expected = ATTACK.run(Classifier(plain), images(6, 6, 1))
    np.testing.assert_allclose(result.cost, expected.cost, atol=2)


@pytest.mark.long
def test_a_distribution_strategy() -> None:
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        spread = network(6, 6, 1)
        classifier = Classifier(spread)
        inside = ATTACK.run(classifier, images(6, 6, 1)).cost
    np.testing.assert_array_equal(ATTACK.run(classifier, images(6, 6, 1)).cost, inside)
    plain = network(6, 6, 1)
    plain.set_weights(spread.get_weights())
    np.testing.assert_array_equal(ATTACK.run(Classifier(plain), images(6, 6, 1)).cost, inside)


@pytest.mark.long
def test_channels_first() -> None:
    """The images' axes are all alike to an attack, except that JSMA changes one value at a time."""
    plain = network(6, 8, 3)
    image = keras.Input((3, 6, 8))
    first = keras.Model(image, plain(layers.Permute((2, 3, 1))(image)))
    last = images(6, 8, 3)
    for attack in (ATTACK, JSMA(theta=0.1, max_changes_per_pixel=7, max_iterations=30)):
        np.testing.assert_array_equal(
            attack.run(Classifier(first), np.moveaxis(last, 3, 1)).cost,
            attack.run(Classifier(plain), last).cost,
        )


@pytest.mark.long
def test_images_that_are_not_square_and_many_classes(tmp_path: Path) -> None:
    classifier = Classifier(network(5, 9, 2, classes=300))
    some = images(5, 9, 2)
    assert classifier.logits(some).shape == (20, 300)
    a2d = A2D(classifier, [ATTACK, "margin"], "logistic").fit(some[:10], some[10:])
    a2d.save(tmp_path / "detector")
    np.testing.assert_array_equal(
        A2D.load(tmp_path / "detector").predict(some).score, a2d.predict(some).score
    )
    a2d.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    np.testing.assert_array_equal(
        served(images=tf.constant(some))["label"], classifier.predict(some)
    )


@pytest.mark.long
def test_an_undocumented_attribute_can_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ATTACK.run(Classifier(network(6, 6, 1)), images(6, 6, 1)).cost
    function = tf.function

    def without_attributes(*arguments: object, **options: object) -> object:
        if "experimental_attributes" in options:
            raise ValueError("_noinline is not supported")
        return function(*arguments, **options)

    monkeypatch.setattr(loop.tf, "function", without_attributes)
    np.testing.assert_array_equal(
        ATTACK.run(Classifier(network(6, 6, 1)), images(6, 6, 1)).cost, expected
    )


@pytest.mark.parametrize("name, advice", [
    ("model.onnx", "onnx2tf -i .*model.onnx -o .*model$"),
    ("model.tflite", "Classifier.label_only, which the attack DBA can use"),
    ("frozen.pb", "tf.graph_util.import_graph_def"),
    ("model.pt", "torch.onnx.export"),
    ("model.h5", r"tf_keras.models.load_model\('.*model.h5'\).export\('.*model'\)"),
    ("model.keras", "tf_keras"),
])
def test_advice_for_files_of_other_kinds(name: str, advice: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x08\x07")
    with pytest.raises(InvalidInputError, match=advice) as error:
        Classifier.load(tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("is_traced", [True, False])
def test_the_frozen_graph_of_the_advice(is_traced: bool, tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (None, 4, 4, 3), "image")
        tf.reduce_mean(image, axis=(1, 2), name="logits")
    (tmp_path / "frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())
    frozen = tf.compat.v1.GraphDef.FromString((tmp_path / "frozen.pb").read_bytes())

    def logits(batch: tf.Tensor) -> tf.Tensor:
        return tf.graph_util.import_graph_def(frozen, {"image:0": batch}, ["logits:0"])[0]

    function = tf.function(logits) if is_traced else logits
    classifier = Classifier(function, input_shape=(4, 4, 3))
    np.testing.assert_allclose(
        classifier.logits(images(4, 4, 3)), images(4, 4, 3).mean(axis=(1, 2)), rtol=1e-5
    )
    assert ATTACK.run(classifier, images(4, 4, 3)).success.any()


def test_a_quantized_model_is_sent_to_dba() -> None:
    def quantized(batch: tf.Tensor) -> tf.Tensor:
        return tf.sign(tf.reduce_mean(batch, axis=(1, 2)) - 0.5)

    with pytest.raises(UnsuitableClassifierError, match="quantized there.*DBA"):
        ATTACK.run(Classifier(quantized, probabilities=False), images(6, 6, 3))
