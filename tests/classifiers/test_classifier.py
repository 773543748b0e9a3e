"""Every kind of classifier gives logits, and every unfit one is told so in one line."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from a2d_tf import Bounds, Classifier, InvalidInputError, UnsuitableClassifierError
from a2d_tf.attacks import BIM, LocalSearch

IMAGES = np.random.default_rng(0).uniform(size=(40, 6, 6, 3)).astype(np.float32)


def network(*ending: keras.Layer) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([
        keras.Input((6, 6, 3)), layers.Rescaling(2.0, -1.0),
        layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU(), layers.Flatten(),
        *ending,
    ])


def functional_softmax() -> keras.Model:
    base = network(layers.Dense(5))
    return keras.Model(base.inputs, keras.ops.softmax(base.outputs[0]))


ENDINGS: dict[str, Callable[[], keras.Model]] = {
    "softmax activation": lambda: network(layers.Dense(5, activation="softmax")),
    "softmax layer": lambda: network(layers.Dense(5), layers.Softmax()),
    "activation layer": lambda: network(layers.Dense(5), layers.Activation("softmax")),
    "softmax function": functional_softmax,
    "nested": lambda: keras.Sequential([
        keras.Input((6, 6, 3)), network(layers.Dense(5, activation="softmax")),
    ]),
    "convolution": lambda: keras.Sequential([
        keras.Input((6, 6, 3)), layers.Conv2D(5, 6), layers.Flatten(), layers.Softmax(),
    ]),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_keras_model_is_attacked_before_its_softmax(ending: str) -> None:
    model = ENDINGS[ending]()
    classifier = Classifier(model)
    logits = classifier.logits(IMAGES)
    np.testing.assert_allclose(
        tf.nn.softmax(logits), model.predict(IMAGES, verbose=0), atol=1e-6
    )
    assert np.abs(logits.sum(axis=1) - 1).max() > 1e-3  # not the probabilities themselves
    assert not classifier.probabilities


def test_the_models_later_weights_are_seen_and_its_own_are_untouched() -> None:
    model = network(layers.Dense(5, activation="softmax"))
    before = [weight.copy() for weight in model.get_weights()]
    classifier = Classifier(model)
    BIM(eps=0.1, step=0.01, max_iterations=5).run(classifier, IMAGES)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    model.layers[-1].bias.assign([9.0, 0, 0, 0, 0])
    assert (classifier.predict(IMAGES) == 0).all()


def test_freezing_the_model_later_changes_nothing() -> None:
    model = network(layers.Dense(5, activation="softmax"))
    classifier = Classifier(model)
    before = classifier.logits(IMAGES)
    model.trainable = False
    np.testing.assert_array_equal(Classifier(model).logits(IMAGES), before)
    np.testing.assert_array_equal(classifier(tf.constant(IMAGES)), before)


def test_sigmoid_outputs_keep_their_label() -> None:
    model = network(layers.Dense(5, activation="sigmoid"))
    outputs = model.predict(IMAGES, verbose=0)
    logits = Classifier(model).logits(IMAGES)
    np.testing.assert_allclose(tf.sigmoid(logits), outputs, atol=1e-6)


@pytest.mark.parametrize("suffix", [".keras", ".h5", ""])
def test_load(suffix: str, tmp_path: Path) -> None:
    model = network(layers.Dense(5, activation="softmax"))
    path = tmp_path / f"model{suffix}"
    if suffix:
        model.save(path)
    else:
        model.export(path, verbose=False)
    classifier = Classifier.load(path)
    assert classifier.input_shape == (6, 6, 3)
    assert not classifier.probabilities
    np.testing.assert_allclose(
        tf.nn.softmax(classifier.logits(IMAGES)), model.predict(IMAGES, verbose=0), atol=1e-5
    )
    assert np.abs(classifier.logits(IMAGES).sum(axis=1) - 1).max() > 1e-3
    result = BIM(eps=0.5, step=0.05, max_iterations=40).run(classifier, IMAGES)
    expected = BIM(eps=0.5, step=0.05, max_iterations=40).run(Classifier(model), IMAGES)
    assert np.abs(result.cost - expected.cost).max() <= 1


def test_bounds_other_than_0_to_1() -> None:
    model = network(layers.Dense(5))
    scaled = keras.Sequential([
        keras.Input((6, 6, 3)), layers.Rescaling(1 / 255), model,
    ])
    attack = BIM(eps=0.5, step=0.02, max_iterations=40)
    costs = attack.run(Classifier(model), IMAGES).cost
    wide = attack.run(Classifier(scaled, Bounds(0, 255)), IMAGES * 255)
    assert len(np.unique(costs)) > 3
    assert np.abs(wide.cost - costs).max() <= 1
    assert wide.adversarial.max() > 1


def test_a_callable_of_unknown_shape_takes_any_size() -> None:
    classifier = Classifier(lambda x: tf.reduce_mean(x, axis=(1, 2)))
    assert classifier.logits(np.ones((2, 9, 4, 3))).shape == (2, 3)
    assert classifier.logits(np.ones((1, 5, 5, 3))).shape == (1, 3)


@pytest.mark.parametrize("images, message", [
    (np.zeros((2, 6, 6)), r"expected images of shape \[N, 6, 6, 3\], got \[2, 6, 6\]"),
    (np.zeros((2, 6, 6, 1)), r"got \[2, 6, 6, 1\]"),
    (np.full((2, 6, 6, 3), np.nan), "NaN or infinity in 2 of 2"),
    (np.full((2, 6, 6, 3), 1.5), r"expected pixels in \[0, 1\], got \[1.5, 1.5\]"),
])
def test_unfit_images_are_refused(images: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Classifier(network(layers.Dense(5))).predict(images)


def saturated(images: tf.Tensor) -> tf.Tensor:
    return tf.nn.softmax(1e4 * tf.reduce_mean(images, axis=(1, 2)))


@pytest.mark.parametrize("outputs, probabilities, message", [
    (saturated, True, r"got exactly zero on \d+ of 32 images; its probabilities are saturated"),
    (saturated, False, "expected logits, got outputs that are probabilities"),
    (lambda x: tf.reduce_mean(x, axis=(1, 2))[:, None], False, r"\[32, K\] with K >= 2"),
    (lambda x: tf.reduce_mean(x, axis=(1, 2)) / 0.0, False, "finite logits"),
    (lambda x: tf.zeros((tf.shape(x)[0], 3)), False, "do not depend"),
    (lambda x: tf.round(tf.reduce_mean(x, axis=(1, 2))), False, "do not depend|exactly zero"),
    (lambda x: 0 * tf.reduce_mean(x, axis=(1, 2)), False, "exactly zero on 32 of 32 images"),
])
def test_preflight_refuses_unsuitable_classifiers(
    outputs: Callable[[tf.Tensor], tf.Tensor], probabilities: bool, message: str
) -> None:
    attack = BIM(eps=0.1, step=0.01, max_iterations=5)
    with pytest.raises(UnsuitableClassifierError, match=message):
        attack.run(Classifier(outputs, probabilities=probabilities), IMAGES)


def test_without_gradients_the_logits_are_checked_all_the_same() -> None:
    attack = LocalSearch(max_iterations=2)
    with pytest.raises(UnsuitableClassifierError, match="outputs that are probabilities"):
        attack.run(Classifier(saturated, probabilities=False), IMAGES)
    with pytest.raises(UnsuitableClassifierError, match="DBA"):
        attack.run(Classifier(lambda x: tf.zeros(tf.shape(x)[0], tf.int32)), IMAGES)


def test_preflight_can_be_left_out() -> None:
    classifier = Classifier(
        lambda x: 0 * tf.reduce_mean(x, axis=(1, 2)), probabilities=False, preflight=False
    )
    result = BIM(eps=0.1, step=0.01, max_iterations=5).run(classifier, IMAGES)
    assert (result.cost == 5).all() and not result.success.any()


def test_unsuitable_models_are_refused() -> None:
    with pytest.raises(UnsuitableClassifierError, match="one output"):
        Classifier(keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(5, 3)]))
    with pytest.raises(UnsuitableClassifierError, match="a softmax, which is always 1"):
        Classifier(network(layers.Dense(1, activation="softmax")))
    several = [keras.Input((4,)), keras.Input((4,))]
    with pytest.raises(InvalidInputError, match="one image input"):
        Classifier(keras.Model(several, layers.Dense(3)(layers.add(several))))
    with pytest.raises(InvalidInputError, match="lower < upper"):
        Classifier(network(layers.Dense(5)), (1, 0))


def test_files_that_are_no_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.keras").write_text("no model")
    (tmp_path / "empty").mkdir()
    for name in ("missing.keras", "broken.keras", "empty"):
        with pytest.raises(InvalidInputError, match="expected a") as error:
            Classifier.load(tmp_path / name)
        assert "\n" not in str(error.value)
