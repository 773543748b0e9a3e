"""A model of one output unit is a classifier of two classes, whatever it is made of."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from a2d_tf import A2D, Classifier, UnsuitableClassifierError, attacks, features
from a2d_tf.attacks import BIM, Attack
from a2d_baselines import KD

SHAPE = (5, 5, 1)
IMAGES = np.random.default_rng(0).uniform(size=(60, *SHAPE)).astype(np.float32)
ATTACK = BIM(eps=0.5, step=0.01, max_iterations=40)


@pytest.fixture(scope="module")
def one() -> keras.Model:
    """A network with a sigmoid, about balanced over the two classes."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([
        keras.Input(SHAPE), layers.Flatten(), layers.Dense(16, activation="tanh"),
        layers.Dropout(0.1), layers.Dense(1, activation="sigmoid"),
    ])
    logits = np.log(model.predict(IMAGES, verbose=0)[:, 0])
    model.layers[-1].bias.assign([-np.median(logits - np.log1p(-np.exp(logits)))])
    return model


def ending(model: keras.Model, last: keras.Layer) -> keras.Model:
    """The network with another last layer of the same weights."""
    copy = keras.Sequential([keras.Input(SHAPE), *model.layers[:-1], last])
    kernel, bias = model.layers[-1].get_weights()
    if last.units == 2:  # the logits 0 and z
        kernel, bias = np.hstack([0 * kernel, kernel]), np.r_[0 * bias, bias]
    last.set_weights([kernel, bias])
    return copy


@pytest.fixture(scope="module")
def two(one: keras.Model) -> Classifier:
    """The same network with two outputs."""
    return Classifier(ending(one, layers.Dense(2, activation="softmax")))


class Subclassed(keras.Model):
    """The network, whose graph Keras does not know."""

    def __init__(self, model: keras.Model):
        super().__init__()
        self.inner = model

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.inner(images, training=training)


def sliced(model: keras.Model, column: int = 0) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda images: model(images, training=False)[:, column]


def compiled(model: keras.Model) -> Classifier:
    function = tf.function(lambda images: model(images, training=False)[:, 0])
    return Classifier(
        lambda images: tf.reshape(function(images), (-1, 1)), input_shape=SHAPE
    )


def saved_model(model: keras.Model, folder: Path) -> Classifier:
    model.export(folder / "served", verbose=False)
    return Classifier.load(folder / "served")


def keras_file(model: keras.Model, folder: Path) -> Classifier:
    model.save(folder / "one.keras")
    return Classifier.load(folder / "one.keras")


MAKINGS: dict[str, Callable[[keras.Model, Path], Classifier]] = {
    "sigmoid": lambda model, _: Classifier(model),
    "logit": lambda model, _: Classifier(ending(model, layers.Dense(1))),
    "tf.sigmoid": lambda model, _: Classifier(
        ending(model, layers.Dense(1, activation=tf.nn.sigmoid))
    ),
    "file": keras_file,
    "SavedModel": saved_model,
    "SavedModel of logits": lambda model, folder: saved_model(
        ending(model, layers.Dense(1)), folder
    ),
    "rank 1": lambda model, _: Classifier(keras.Sequential([
        keras.Input(SHAPE), model, layers.Reshape(()),
    ])),
    "subclassed": lambda model, _: Classifier(Subclassed(model), input_shape=SHAPE),
    "subclassed, of unknown shape": lambda model, _: Classifier(Subclassed(model)),
    "callable": lambda model, _: Classifier(
        lambda images: model(images, training=False), input_shape=SHAPE
    ),
    "callable of logits [N], of unknown shape": lambda model, _: Classifier(
        sliced(ending(model, layers.Dense(1)))
    ),
    "compiled": lambda model, _: compiled(model),
    "of two": lambda model, _: Classifier(
        sliced(ending(model, layers.Dense(2, activation="softmax")), 1), input_shape=SHAPE
    ),
    "told": lambda model, _: Classifier(
        lambda images: 1 / (1 / model(images, training=False)), input_shape=SHAPE,
        probabilities=True,
    ),
}


@pytest.mark.parametrize("making", [
    name if quick < 2 else pytest.param(name, marks=pytest.mark.long)
    for quick, name in enumerate(MAKINGS)
])
def test_costs_are_those_of_two_outputs(
    making: str, one: keras.Model, two: Classifier, tmp_path: Path
) -> None:
    classifier = MAKINGS[making](one, tmp_path)
    labels = classifier.predict(IMAGES)
    np.testing.assert_array_equal(labels, one.predict(IMAGES, verbose=0)[:, 0] > 0.5)
    assert 10 < labels.sum() < 50
    logits = classifier.logits(IMAGES)
    assert (logits[:, 0] == 0).all()
    np.testing.assert_allclose(logits, two.logits(IMAGES), atol=1e-5)
    result, expected = ATTACK.run(classifier, IMAGES), ATTACK.run(two, IMAGES)
    np.testing.assert_array_equal(result.cost, expected.cost)
    assert len(np.unique(result.cost)) > 5
    assert classifier.output_spec(SHAPE).shape.as_list() == [None, 2]


@pytest.mark.long
@pytest.mark.parametrize("attack", [
    attacks.preset("bim-search", "mnist"), attacks.preset("jsma", "mnist"),
    attacks.DeepFool(max_iterations=10),
], ids=lambda attack: attack.name)
def test_every_kind_of_attack(attack: Attack, one: keras.Model, two: Classifier) -> None:
    np.testing.assert_array_equal(
        attack.run(Classifier(one), IMAGES[:12]).cost, attack.run(two, IMAGES[:12]).cost
    )


def test_costs_by_hand() -> None:
    """The logit 10 (x - 0.505) of one pixel: class 1 above 0.505, in steps of 0.01."""
    classifier = Classifier(lambda images: 10 * (images[:, 0, 0, 0] - 0.505))
    pixels = np.array([0.48, 0.50, 0.51, 0.60], np.float32).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(
        classifier.logits(pixels), [[0, -0.25], [0, -0.05], [0, 0.05], [0, 0.95]], atol=1e-5
    )
    np.testing.assert_array_equal(classifier.predict(pixels), [0, 0, 1, 1])
    result = BIM(eps=0.5, step=0.01, max_iterations=50).run(classifier, pixels)
    # 0.48 -> 0.51 takes three steps, 0.60 -> 0.50 takes ten; the last one is not counted.
    np.testing.assert_array_equal(result.cost, [2, 0, 0, 9])


@pytest.mark.long
def test_features_saved_and_exported(one: keras.Model, two: Classifier, tmp_path: Path) -> None:
    names = [ATTACK, "margin", "directions"]
    crafted = ATTACK(two, IMAGES[:30])
    ours, theirs = (
        A2D(one_or_two, names, "logistic").fit(IMAGES[:30], crafted)
        for one_or_two in (Classifier(one), two)
    )
    np.testing.assert_allclose(
        ours.measure(IMAGES).values, theirs.measure(IMAGES).values, rtol=1e-3, atol=1e-4
    )
    ours.save(tmp_path / "detector")
    expected = ours.predict(IMAGES)
    np.testing.assert_array_equal(
        A2D.load(tmp_path / "detector").predict(IMAGES).score, expected.score
    )
    ours.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    answer = served(images=tf.constant(IMAGES))
    np.testing.assert_array_equal(answer["label"], expected.label)
    np.testing.assert_allclose(
        answer["probabilities"][:, 1], one.predict(IMAGES, verbose=0)[:, 0], atol=1e-5
    )


def test_kernel_density_knows_two_classes(one: keras.Model) -> None:
    kd = KD(bandwidth=1.0, dropout_passes=4)
    values = [
        A2D(Classifier(model), [kd, features.Margin()], "logistic")
        .fit(IMAGES[:30], 1 - IMAGES[:30]).measure(IMAGES).values
        for model in (one, ending(one, layers.Dense(1)))
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-4, atol=1e-6)
    assert values[0][:, 1].max() > 0  # the variance under dropout


@pytest.mark.parametrize("function, probabilities, message", [
    (lambda x: tf.math.reciprocal(1 + tf.reduce_mean(x, axis=(1, 2, 3))), None,
     r"numbers within 0 and 1 \(Reciprocal\); say probabilities=True"),
    (tf.function(lambda x: tf.sigmoid(tf.reduce_mean(x, axis=(1, 2, 3)))), False,
     "say probabilities=True"),
    (lambda x: 3 / tf.reduce_mean(x, axis=(1, 2, 3)), True, "expected probabilities within 0 and"),
])
def test_an_unclear_meaning_is_asked_for(
    function: Callable[[tf.Tensor], tf.Tensor], probabilities: bool | None, message: str
) -> None:
    with pytest.raises(UnsuitableClassifierError, match=message) as error:
        Classifier(function, input_shape=SHAPE, probabilities=probabilities)
    assert "\n" not in str(error.value)
