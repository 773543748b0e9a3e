"""What is saved is read back first, and is what was fitted."""

import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from a2d_tf import A2D, Classifier, InvalidInputError
from a2d_tf.attacks import BIM, DBA
from a2d_baselines import KD

SHAPE = (5, 5, 1)
IMAGES = np.random.default_rng(0).uniform(size=(40, *SHAPE)).astype(np.float32)
ATTACK = BIM(eps=0.5, step=0.01, max_iterations=30)


def network(*middle: keras.Layer, activation: object = None) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([
        keras.Input(SHAPE), layers.Flatten(), *middle, layers.Dense(3, activation=activation),
    ])


class Doubled(keras.layers.Layer):
    """A layer that no other process can find."""

    def call(self, values: tf.Tensor) -> tf.Tensor:
        return values * 2


Doubled.__module__ = "__main__"


class Subclassed(keras.Model):
    """A model that does not say how to make it again."""

    def __init__(self, inner: keras.Model):
        super().__init__()
        self.inner = inner

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.inner(images, training=training)


class Module(tf.Module):  # type: ignore[misc]
    """A classifier without Keras."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(np.random.default_rng(0).normal(size=(25, 3)), dtype=tf.float32)

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        return tf.reshape(images, (-1, 25)) @ self.weights


def from_layer(folder: Path) -> keras.Model:
    network().export(folder / "sm", verbose=False)
    image = keras.Input(SHAPE)
    return keras.Model(image, layers.TFSMLayer(str(folder / "sm"), "serve")(image))


MODELS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "plain": ("classifier.keras", lambda _: network(activation="softmax")),
    "TensorFlow's softmax": ("classifier", lambda _: network(activation=tf.nn.softmax)),
    "Lambda": ("classifier", lambda _: network(layers.Lambda(lambda values: values * 2))),
    "layer of one's own": ("classifier", lambda _: network(Doubled())),
    "TFSMLayer": ("classifier", from_layer),
    "subclassed": ("classifier", lambda _: Subclassed(network(activation="softmax"))),
    "tf.Module": ("classifier", lambda _: Module()),
    "function of a Keras model": (
        "classifier", lambda _: network(activation="softmax").__call__
    ),
}


@pytest.mark.parametrize("kind", [
    name if quick < 2 else pytest.param(name, marks=pytest.mark.long)
    for quick, name in enumerate(MODELS)
])
def test_what_is_saved_loads_and_gives_the_same(kind: str, tmp_path: Path) -> None:
    name, make = MODELS[kind]
    a2d = A2D(Classifier(make(tmp_path)), [ATTACK, "margin"], "logistic")
    a2d.fit(IMAGES[:20], 1 - IMAGES[:20])
    expected = a2d.predict(IMAGES)
    a2d.save(tmp_path / "detector")
    assert (tmp_path / "detector" / name).exists()
    again = A2D.load(tmp_path / "detector")
    found = again.predict(IMAGES)
    np.testing.assert_array_equal(found.costs, expected.costs)
    np.testing.assert_allclose(found.score, expected.score, rtol=1e-5)
    again.save(tmp_path / "detector")  # over its own place
    np.testing.assert_array_equal(A2D.load(tmp_path / "detector").predict(IMAGES).score,
                                  found.score)


def test_a_classifier_by_itself(tmp_path: Path) -> None:
    plain, odd = Classifier(network()), Classifier(network(Doubled()))
    plain.save(tmp_path / "plain.keras")
    plain.save(tmp_path / "plain")
    odd.save(tmp_path / "odd")
    for classifier, name in ((plain, "plain.keras"), (plain, "plain"), (odd, "odd")):
        np.testing.assert_array_equal(
            Classifier.load(tmp_path / name).logits(IMAGES), classifier.logits(IMAGES)
        )
    with pytest.raises(InvalidInputError, match="a .keras file can hold.*name a folder such as"):
        odd.save(tmp_path / "odd.keras")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["odd", "plain", "plain.keras"]
    with pytest.raises(InvalidInputError, match="got a Python function"):
        Classifier.label_only(lambda images: np.zeros(len(images), int)).save(tmp_path / "box")


def test_a_feature_that_needs_layers_is_not_saved_with_a_saved_model(tmp_path: Path) -> None:
    a2d = A2D(Classifier(network(Doubled())), KD(bandwidth=1.0, dropout_passes=2), "logistic")
    a2d.fit(IMAGES[:20], 1 - IMAGES[:20], training_data=(IMAGES, np.arange(len(IMAGES)) % 3))
    with pytest.raises(InvalidInputError, match="this baseline reads the outputs of its layers"):
        a2d.save(tmp_path / "detector")
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_labels_alone(tmp_path: Path) -> None:
    model = network()
    classifier = Classifier(
        lambda images: tf.argmax(model(images), axis=1), input_shape=SHAPE
    )
    attack = DBA(mse_threshold=0.1, max_iterations=3)
    a2d = A2D(classifier, [attack], "zscore").fit(IMAGES[:10])
    a2d.save(tmp_path / "detector")
    np.testing.assert_array_equal(
        A2D.load(tmp_path / "detector").predict(IMAGES[:5]).costs, a2d.predict(IMAGES[:5]).costs
    )


def test_a_random_classifier_is_refused(tmp_path: Path) -> None:
    def unsteady(images: tf.Tensor) -> tf.Tensor:
        now = tf.cast(tf.timestamp() % 1, tf.float32)
        return tf.reduce_mean(images, axis=(1, 2)) * tf.stack([now, 1, 2])

    with pytest.raises(InvalidInputError, match="the same logits after it was saved"):
        Classifier(unsteady, input_shape=(5, 5, 3)).save(tmp_path / "unsteady")
    assert not list(tmp_path.iterdir())


def test_layers_of_ones_own_are_named(tmp_path: Path) -> None:
    network(Doubled()).save(tmp_path / "model.keras")
    with pytest.raises(InvalidInputError, match="custom_objects"):
        Classifier.load(tmp_path / "model.keras")
    given = {"Doubled": Doubled}
    classifier = Classifier.load(tmp_path / "model.keras", custom_objects=given)
    A2D(classifier, [ATTACK], "zscore").fit(IMAGES).save(tmp_path / "detector")
    with pytest.raises(InvalidInputError, match="custom_objects"):
        A2D.load(tmp_path / "detector")
    again = A2D.load(tmp_path / "detector", custom_objects=given)
    np.testing.assert_array_equal(again.classifier.logits(IMAGES), classifier.logits(IMAGES))


def test_lambda_layers_are_a_risk(tmp_path: Path) -> None:
    network(layers.Lambda(lambda values: values * 2)).save(tmp_path / "model.keras")
    with pytest.raises(InvalidInputError, match="safe_mode=False.*if you trust"):
        Classifier.load(tmp_path / "model.keras")
    classifier = Classifier.load(tmp_path / "model.keras", safe_mode=False)
    assert classifier.logits(IMAGES).shape == (40, 3)


@pytest.mark.parametrize("change", ["replaced", "removed", "a file more"])
def test_a_saved_model_that_changed_is_not_saved(change: str, tmp_path: Path) -> None:
    path = tmp_path / "served"
    network().export(path, verbose=False)
    a2d = A2D(Classifier.load(path), [ATTACK], "zscore").fit(IMAGES)
    if change == "a file more":
        (path / "assets.txt").write_text("new")
    else:
        shutil.rmtree(path)
    if change == "replaced":
        network(layers.Dense(4)).export(path, verbose=False)
    with pytest.raises(InvalidInputError, match="as it was when it was loaded"):
        a2d.save(tmp_path / "detector")
    assert not (tmp_path / "detector").exists()
