"""Models in every wrapping, of shapes that are known late, with several outputs, and copied."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from a2d_tf import A2D, Bounds, Classifier, InvalidInputError, UnsuitableClassifierError, features
from a2d_tf.attacks import BIM, DBA
from a2d_tf.classifiers import flat_graph

SHAPE = (6, 6, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (30, *SHAPE)).astype(np.float32) / 255
ATTACK = BIM(eps=0.5, step=0.01, max_iterations=30)
LOADED: list[Any] = []  # a signature does not hold the variables of its SavedModel


@pytest.fixture(scope="module")
def base() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([
        keras.Input(SHAPE), layers.Flatten(), layers.Dense(8, activation="tanh"),
        layers.Dense(4, activation="softmax", name="scores"),
    ])


@pytest.fixture(scope="module")
def expected(base: keras.Model) -> Classifier:
    return Classifier(base)


class Module(tf.Module):  # type: ignore[misc]
    """A model as a tf.Module, with or without a signature."""

    def __init__(self, model: keras.Model, spec: tf.TensorSpec | None = None):
        super().__init__()
        self.model = model
        signature = [spec] if spec is not None else None
        self.serve = tf.function(self.call, input_signature=signature)
        self.scale = 1.0 if spec is None or spec.dtype.is_floating else 255.0

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return self.model(tf.cast(images, tf.float32) / self.scale, training=False)

    @property
    def __call__(self) -> Any:
        return self.serve


class OldKeras:
    """What the package tf_keras makes, as far as it matters."""

    def __init__(self, model: keras.Model):
        self.layers, self.predict, self._model = model.layers, model.predict, model
        self.input_shape = (None, *SHAPE)

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        return self._model(images)


def exported(model: keras.Model, folder: Path) -> Any:
    model.export(folder / "served", verbose=False)
    LOADED.append(tf.saved_model.load(str(folder / "served")))
    return LOADED[-1]


def of_bytes(model: keras.Model, batch_size: int | None = None) -> keras.Model:
    image = keras.Input(SHAPE, dtype="uint8", batch_size=batch_size)
    return keras.Model(image, model(layers.Rescaling(1 / 255)(image)))


def of_batches(model: keras.Model) -> keras.Model:
    image = keras.Input(batch_shape=(4, *SHAPE))
    return keras.Model(image, model(image))


KINDS: dict[str, Callable[[keras.Model, Path], object]] = {
    "tf.Module": lambda model, _: Module(model),
    "tf.Module of batches of 4": lambda model, _: Module(model, tf.TensorSpec((4, *SHAPE))),
    "tf.Module of bytes": lambda model, _: Module(model, tf.TensorSpec((None, *SHAPE), tf.uint8)),
    "loaded": exported,
    "signature": lambda model, folder: exported(model, folder).signatures["serving_default"],
    "endpoint": lambda model, folder: exported(model, folder).serve,
    "TFSMLayer": lambda model, folder: exported(model, folder) and layers.TFSMLayer(
        str(folder / "served"), "serving_default"
    ),
    "tf_keras": lambda model, _: OldKeras(model),
    "Keras model of bytes": lambda model, _: of_bytes(model),
    "Keras model of batches of 4": lambda model, _: of_batches(model),
    "Keras model of batches of bytes": lambda model, _: of_bytes(model, 4),
}


@pytest.mark.parametrize("kind", [
    name if quick < 3 else pytest.param(name, marks=pytest.mark.long)
    for quick, name in enumerate(KINDS)
])
def test_every_wrapping_gives_the_same_costs(
    kind: str, base: keras.Model, expected: Classifier, tmp_path: Path
) -> None:
    classifier = Classifier(KINDS[kind](base, tmp_path))
    np.testing.assert_allclose(
        tf.nn.softmax(classifier.logits(IMAGES)), tf.nn.softmax(expected.logits(IMAGES)), atol=1e-5
    )
    found, wanted = ATTACK.run(classifier, IMAGES), ATTACK.run(expected, IMAGES)
    np.testing.assert_allclose(found.cost, wanted.cost, atol=1)
    assert (found.cost == wanted.cost).mean() > 0.9 and len(np.unique(found.cost)) > 3


@pytest.mark.long
@pytest.mark.parametrize("kind", [
    "tf.Module", "tf.Module of batches of 4", "signature", "Keras model of bytes",
])
def test_they_are_saved(kind: str, base: keras.Model, tmp_path: Path) -> None:
    classifier = Classifier(KINDS[kind](base, tmp_path), input_shape=SHAPE)
    a2d = A2D(classifier, [ATTACK], "zscore").fit(IMAGES)
    a2d.save(tmp_path / "detector")
    again = A2D.load(tmp_path / "detector")
    np.testing.assert_array_equal(again.predict(IMAGES).costs, a2d.predict(IMAGES).costs)
    a2d.export(tmp_path / "exported")


def test_bytes_of_other_bounds(base: keras.Model, expected: Classifier) -> None:
    wide = Classifier(of_bytes(base), Bounds(0, 255))
    np.testing.assert_allclose(
        ATTACK.run(wide, IMAGES * 255).cost, ATTACK.run(expected, IMAGES).cost, atol=1
    )


def test_a_keras_model_that_ends_in_argmax(base: keras.Model, expected: Classifier) -> None:
    labels = Classifier(keras.Model(base.inputs, keras.ops.argmax(base.outputs[0], axis=-1)))
    np.testing.assert_array_equal(labels.predict(IMAGES), expected.predict(IMAGES))
    with pytest.raises(UnsuitableClassifierError, match="DBA"):
        ATTACK.run(labels, IMAGES)
    assert DBA(mse_threshold=0.2, max_iterations=3).run(labels, IMAGES[:3]).cost.max() <= 3
    flags = Classifier(lambda images: tf.reduce_mean(images, axis=(1, 2)) > 0.5)
    np.testing.assert_array_equal(flags.predict(IMAGES), IMAGES.mean(axis=(1, 2, 3)) > 0.5)


class Subclassed(keras.Model):
    """A model that ends in softmax, whose shape Keras does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten, self.dense = layers.Flatten(), layers.Dense(4, activation="softmax")

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return self.dense(self.flatten(images))


@pytest.mark.long
@pytest.mark.parametrize("make", [
    Subclassed,
    lambda: keras.Sequential([layers.Flatten(), layers.Dense(4, activation="softmax")]),
    lambda: lambda images: tf.nn.softmax(tf.reduce_mean(images, axis=(1, 2)) * [[1.0, 2, 3]]),
])
@pytest.mark.parametrize("shape", [None, SHAPE])
def test_a_shape_that_is_known_late(make: Callable[[], Any], shape: Any) -> None:
    classifier = Classifier(make(), input_shape=shape)
    result = ATTACK.run(classifier, IMAGES)
    assert result.cost.shape == (30,)
    a2d = A2D(Classifier(make(), input_shape=shape), [ATTACK], "zscore").fit(IMAGES)
    assert a2d.predict(IMAGES).label.shape == (30,)


def test_load_takes_the_shape(tmp_path: Path) -> None:
    module = tf.Module()
    module.serve = tf.function(
        lambda images: tf.reduce_mean(images, axis=(1, 2)),
        input_signature=[tf.TensorSpec(None, tf.float32)],
    )
    tf.saved_model.save(module, str(tmp_path / "free"), signatures=module.serve)
    assert Classifier.load(tmp_path / "free").input_shape is None
    assert Classifier.load(tmp_path / "free", input_shape=(5, 5, 3)).input_shape == (5, 5, 3)


def test_one_of_several_outputs(base: keras.Model, tmp_path: Path) -> None:
    hidden = layers.Dense(7, name="other")(base.layers[0].output)
    both = keras.Model(base.inputs, [base.outputs[0], hidden])
    both.save(tmp_path / "both.keras")
    both.export(tmp_path / "served", verbose=False)
    for wanted in ("scores", 0, "0"):
        for classifier in (
            Classifier(both, output=wanted), Classifier.load(tmp_path / "both.keras", output=wanted)
        ):
            np.testing.assert_array_equal(
                classifier.logits(IMAGES), Classifier(base).logits(IMAGES)
            )
            assert classifier.output == wanted
    assert Classifier(both, output="other").logits(IMAGES).shape == (30, 7)
    assert Classifier(lambda x: {"a": x[:, 0, :, 0], "b": x}, output="a").logits(IMAGES).shape == (
        30, 6
    )
    named = keras.Model(base.inputs, {"z": hidden, "b": base.outputs[0]})
    np.testing.assert_array_equal(
        Classifier(named, output="b").logits(IMAGES), Classifier(base).logits(IMAGES)
    )
    chosen = Classifier(both, output="other")
    A2D(chosen, [ATTACK], "zscore").fit(IMAGES).save(tmp_path / "detector")
    np.testing.assert_array_equal(
        A2D.load(tmp_path / "detector").classifier.logits(IMAGES), chosen.logits(IMAGES)
    )
    for ask, message in (
        (lambda: Classifier(both), r"one output, got \['scores', 'other'\]; name one"),
        (lambda: Classifier(both, output="logits"), r"an output out of \['scores', 'other'\]"),
        (lambda: Classifier(named), r"one output, got \['b', 'z'\]; name one"),
        (lambda: Classifier.load(None), "the path of a model, got NoneType; give a path"),
        (lambda: Classifier(both, output=2), "or its index, got 2"),
        (lambda: Classifier.load(tmp_path / "both.keras", signature="a"), "a SavedModel folder"),
        (lambda: Classifier.load(tmp_path / "served", output=1), "give its name"),
        (lambda: Classifier(Subclassed(), output="a"), "no output= for a subclassed"),
    ):
        with pytest.raises(InvalidInputError, match=message) as error:
            ask()
        assert "\n" not in str(error.value)


def mean_label(images: np.ndarray) -> np.ndarray:
    return (images.mean(axis=(1, 2, 3)) > 0.5).astype(int)


def mean_logits(images: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(images, axis=(1, 2)) * [[1.0, 2.0]]


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.long
@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
@pytest.mark.parametrize("kind", [
    "Keras", "loaded", "Keras model of bytes", "function", "black box",
])
def test_copies_after_use(
    kind: str, duplicate: Callable[[Any], Any], base: keras.Model, tmp_path: Path
) -> None:
    attack = DBA(mse_threshold=0.2, max_iterations=3) if kind == "black box" else ATTACK
    classifier = {
        "Keras": lambda: Classifier(base),
        "function": lambda: Classifier(mean_logits),
        "black box": lambda: Classifier.label_only(mean_label, input_shape=SHAPE),
    }.get(kind, lambda: Classifier(KINDS[kind](base, tmp_path)))()
    a2d = A2D(classifier, [attack], "zscore").fit(IMAGES[:10])
    expected = a2d.predict(IMAGES[:10])
    again = duplicate(a2d)
    found = again.predict(IMAGES[:10])
    np.testing.assert_array_equal(found.costs, expected.costs)
    np.testing.assert_array_equal(found.score, expected.score)
    assert again.classifier is not classifier
    assert duplicate(attack) == attack
    assert duplicate(a2d.features["bim" if attack is ATTACK else "dba"]).attack == attack
    np.testing.assert_array_equal(duplicate(classifier).predict(IMAGES), classifier.predict(IMAGES))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
def test_copies_of_what_learned(duplicate: Callable[[Any], Any], expected: Classifier) -> None:
    a2d = A2D(expected, [features.Margin(), "directions"], "logistic")
    a2d.fit(IMAGES[:10], 1 - IMAGES[:10])
    a2d.predict(IMAGES)
    np.testing.assert_array_equal(duplicate(a2d).predict(IMAGES).score, a2d.predict(IMAGES).score)
    assert duplicate(a2d.detector).threshold == a2d.detector.threshold


def test_what_cannot_be_pickled_is_said_in_a_line() -> None:
    for classifier in (
        Classifier(lambda images: tf.reduce_mean(images, axis=(1, 2))),
        Classifier.label_only(lambda images: mean_label(images)),
    ):
        with pytest.raises(InvalidInputError, match="can be pickled, got a function") as error:
            pickle.dumps(classifier)
        assert "\n" not in str(error.value)
        assert copy.deepcopy(classifier).model is classifier.model


def test_a_signature_without_its_variables(base: keras.Model, tmp_path: Path) -> None:
    signature = exported(base, tmp_path).signatures["serving_default"]
    LOADED.clear()
    with pytest.raises(InvalidInputError, match="keep the object that tf.saved_model.load gave"):
        Classifier(signature)


def test_without_tensorflows_private_function(
    base: keras.Model, expected: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = exported(base, tmp_path)
    monkeypatch.setattr(flat_graph, "convert_variables_to_constants_v2", None)
    with pytest.warns(UserWarning, match="gives probabilities"):
        classifier = Classifier.load(tmp_path / "served")
    assert classifier.probabilities
    np.testing.assert_allclose(
        ATTACK.run(Classifier(loaded), IMAGES).cost, ATTACK.run(expected, IMAGES).cost, atol=1
    )
    with pytest.raises(InvalidInputError, match="pickle the path"):
        pickle.dumps(classifier)
