"""Images of any shape, bounds for each channel, and what stands outside the model."""

import warnings
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from a2d_tf import A2D, Bounds, Classifier, InvalidInputError, UnsuitableClassifierError, attacks
from a2d_tf.attacks import (
    BIM, BIM2, DBA, FGSM, JSMA, LBFGS, Attack, AttackResult, CarliniWagner, DeepFool, LocalSearch,
)
from a2d_tf.images import to_array
from a2d_tf.robustness import clever_score

DIGITS = np.random.default_rng(0).uniform(size=(40, 6, 6, 1)).astype(np.float32)
COLOURS = np.random.default_rng(0).uniform(size=(40, 5, 4, 3)).astype(np.float32)
CAFFE = (np.array([-104.0, -117.0, -124.0]), np.array([151.0, 138.0, 131.0]))
MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
TORCH = (-MEAN / DEVIATION, (1 - MEAN) / DEVIATION)
ATTACKS = [
    BIM(eps=0.5, step=0.01, max_iterations=50),
    BIM(eps=0.5, step=0.01, max_iterations=50, search=True),
    BIM2(eps=0.5, step=0.01, max_iterations=50), JSMA(max_iterations=40), FGSM(max_iterations=50),
    DeepFool(max_iterations=20), LBFGS(max_iterations=60), CarliniWagner(max_iterations=45),
    DBA(mse_threshold=0.05, max_iterations=10),
]


def name_of(attack: object) -> str:
    return repr(attack)[:20]


def network(*shape: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([
        keras.Input(shape), layers.Reshape((-1,)), layers.Dense(8, activation="tanh"),
        layers.Dense(4),
    ])


@cache
def result_on_digits(attack: Attack) -> AttackResult:
    """What an attack gives for images with a height, a width and a channel."""
    return attack.run(Classifier(network(6, 6, 1)), DIGITS[:12])


@cache
def result_on_colours(attack: Attack) -> AttackResult:
    """What an attack gives for images in [0, 1]."""
    return attack.run(Classifier(network(5, 4, 3)), COLOURS[:12])


@pytest.mark.long
@pytest.mark.parametrize("shape", [(6, 6), (3, 3, 2, 2)], ids=str)
@pytest.mark.parametrize("attack", ATTACKS, ids=name_of)
def test_the_shape_changes_no_cost(shape: tuple[int, ...], attack: Attack) -> None:
    images, expected = DIGITS[:12], result_on_digits(attack)
    found = attack.run(Classifier(network(*shape)), images.reshape(-1, *shape))
    np.testing.assert_array_equal(found.cost, expected.cost)
    assert found.adversarial.shape == (12, *shape) and found.valid.all()
    np.testing.assert_allclose(
        found.adversarial.reshape(images.shape), expected.adversarial, atol=1e-5
    )


def test_local_search_needs_neighbours() -> None:
    with pytest.raises(InvalidInputError, match="neighbours of a pixel") as error:
        LocalSearch(max_iterations=2).run(Classifier(network(36)), DIGITS.reshape(40, 36))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "shape", [(36,), pytest.param((6, 6), marks=pytest.mark.long)], ids=str
)
def test_a_detector_of_any_shape(shape: tuple[int, ...], tmp_path: Path) -> None:
    images = DIGITS.reshape(-1, *shape)
    a2d = A2D(network(*shape), [ATTACKS[1], "margin"], "zscore").fit(images[:30])
    expected = a2d.predict(images[30:])
    np.testing.assert_array_equal(a2d.is_adversarial(images[30:]), expected.is_adversarial)
    a2d.save(tmp_path / "saved")
    again = A2D.load(tmp_path / "saved").predict(images[30:])
    np.testing.assert_array_equal(again.score, expected.score)
    a2d.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    found = served(images=tf.constant(images[30:]))
    np.testing.assert_array_equal(found["costs"], expected.costs)
    dataset = tf.data.Dataset.from_tensor_slices(images[30:])
    for source in (dataset, dataset.batch(4)):
        np.testing.assert_array_equal(a2d.predict(source).score, expected.score)


def test_the_remedy_for_a_channel() -> None:
    with pytest.raises(InvalidInputError, match=r"images\[\.\.\., None\]"):
        Classifier(network(6, 6, 1)).predict(DIGITS[..., 0])
    with pytest.raises(InvalidInputError, match=r"\[N, 6, 6\].*images\[\.\.\., 0\]"):
        Classifier(network(6, 6)).predict(DIGITS)


def scaled(bounds: tuple[np.ndarray, np.ndarray]) -> keras.Model:
    """The network on images that its first layer brings back to [0, 1]."""
    lower, upper = (np.asarray(limit, np.float64) for limit in bounds)
    model = network(5, 4, 3)
    first = layers.Rescaling(
        (1 / (upper - lower)).tolist(), (-lower / (upper - lower)).tolist()
    )
    return keras.Sequential([keras.Input((5, 4, 3)), first, model])


@pytest.mark.long
@pytest.mark.parametrize("bounds", [CAFFE, TORCH], ids=["caffe", "torch"])
@pytest.mark.parametrize("attack", ATTACKS, ids=name_of)
def test_bounds_for_each_channel(
    bounds: tuple[np.ndarray, np.ndarray], attack: Attack
) -> None:
    classifier = Classifier(scaled(bounds), bounds)
    images = np.float32(bounds[0] + COLOURS[:12] * (bounds[1] - bounds[0]))
    found = attack.run(classifier, images)
    limits = classifier.bounds
    assert (found.adversarial >= limits.lower).all() and (found.adversarial <= limits.upper).all()
    expected = result_on_colours(attack)
    slack = 2 if attack.needs_gradients else attack.max_iterations
    if not isinstance(attack, DeepFool):  # its norm is that of all channels together
        assert np.abs(found.cost - expected.cost).max() <= slack + 0.05 * expected.cost.max()


@pytest.mark.long
def test_a_detector_keeps_bounds_for_each_channel(tmp_path: Path) -> None:
    images = np.float32(CAFFE[0] + COLOURS * (CAFFE[1] - CAFFE[0]))
    a2d = A2D(scaled(CAFFE), [ATTACKS[1]], "zscore", bounds=CAFFE).fit(images[:30])
    expected = a2d.predict(images[30:])
    a2d.save(tmp_path / "saved")
    loaded = A2D.load(tmp_path / "saved")
    assert loaded.classifier.bounds == a2d.classifier.bounds != Bounds()
    np.testing.assert_array_equal(loaded.predict(images[30:]).score, expected.score)
    a2d.export(tmp_path / "served")
    signatures = tf.saved_model.load(str(tmp_path / "served")).signatures
    np.testing.assert_array_equal(
        signatures["serving_default"](images=tf.constant(images[30:]))["costs"], expected.costs
    )
    whole = np.round(255 * COLOURS[30:]).astype(np.uint8)
    np.testing.assert_array_equal(
        signatures["serving_default_uint8"](images=tf.constant(whole))["costs"],
        a2d.predict(whole).costs,
    )
    assert "valid" in signatures["classify"].structured_outputs
    far = images[30:].copy()
    far[0, 0, 0, 2] = 140.0  # within the first channel's range, beyond the last one's
    assert not signatures["classify"](images=tf.constant(far))["valid"].numpy()[0]
    with pytest.raises(InvalidInputError, match="1 of 600 are out of bounds"):
        a2d.predict(far)


def test_bounds_for_each_channel_are_values() -> None:
    bounds = Classifier(scaled(CAFFE), CAFFE).bounds
    same = Classifier(scaled(CAFFE), (CAFFE[0].tolist(), CAFFE[1].tolist())).bounds
    assert bounds == same and hash(bounds) == hash(same) and bounds != Bounds(0, 1)
    assert repr(bounds) == repr(same) and "[-104.0, -117.0, -124.0]" in repr(bounds)
    assert bounds.channels == 3 and bounds.scale == 255.0
    for wrong in ((CAFFE[1], CAFFE[0]), (CAFFE[0][:2], CAFFE[1][:2]), (CAFFE[0], CAFFE[1][:2])):
        with pytest.raises(InvalidInputError, match="expected bounds"):
            Classifier(network(5, 4, 3), wrong)
    with pytest.raises(InvalidInputError, match="one range for all channels for CLEVER"):
        clever_score(Classifier(scaled(CAFFE), CAFFE), np.zeros((1, 5, 4, 3)))


def normalise(images: tf.Tensor) -> tf.Tensor:
    return (images - MEAN) / DEVIATION


@pytest.mark.long
def test_what_stands_outside_the_model(tmp_path: Path) -> None:
    model = network(5, 4, 3)
    inside = keras.Sequential([
        keras.Input((5, 4, 3)),
        layers.Rescaling((1 / DEVIATION).tolist(), (-MEAN / DEVIATION).tolist()), model,
    ])
    classifier = Classifier(model, preprocess=normalise)
    np.testing.assert_allclose(
        classifier.logits(COLOURS), Classifier(inside).logits(COLOURS), atol=1e-5
    )
    a2d = A2D(classifier, [ATTACKS[0], "margin"], "zscore").fit(COLOURS[:30])
    expected = a2d.predict(COLOURS[30:])
    a2d.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    np.testing.assert_array_equal(
        served(images=tf.constant(COLOURS[30:]))["costs"], expected.costs
    )
    model.save(tmp_path / "model.keras")
    loaded = Classifier.load(tmp_path / "model.keras", preprocess=normalise)
    np.testing.assert_array_equal(loaded.logits(COLOURS), classifier.logits(COLOURS))
    np.testing.assert_array_equal(ATTACKS[0].run(loaded, COLOURS[30:]).cost, expected.costs[:, 0])
    with pytest.raises(InvalidInputError, match="expected preprocess as a function"):
        Classifier(model, preprocess=3)  # type: ignore[arg-type]


def test_preprocessing_may_change_the_shape() -> None:
    def flatten(images: tf.Tensor) -> tf.Tensor:
        return tf.reshape(images, (-1, 36))

    classifier = Classifier(network(36), preprocess=flatten, input_shape=(6, 6, 1))
    np.testing.assert_array_equal(
        classifier.predict(DIGITS), Classifier(network(36)).predict(DIGITS.reshape(40, 36))
    )
    assert ATTACKS[0].run(classifier, DIGITS[:5]).adversarial.shape == (5, 6, 6, 1)


def test_preprocessing_that_fails_is_said_in_a_line() -> None:
    def of_three_channels(images: tf.Tensor) -> tf.Tensor:
        return images - tf.constant([104.0, 117.0, 123.0])

    for preprocess, message in (
        (of_three_channels, "Incompatible shapes: .*; check input_shape and preprocess"),
        (lambda images: np.asarray(images) / 2, "a tensor from preprocess, got a NumPy array"),
        (lambda images: None, "a tensor from preprocess, got NoneType"),
    ):
        with pytest.raises(UnsuitableClassifierError, match=message) as error:
            Classifier(network(6, 6, 2), preprocess=preprocess)
        assert "\n" not in str(error.value) and "{{" not in str(error.value)


def test_grey_bytes_may_leave_out_the_channel() -> None:
    classifier = Classifier(network(6, 6, 1))
    whole = np.round(255 * DIGITS[..., 0]).astype(np.uint8)
    np.testing.assert_array_equal(
        to_array(whole, classifier.input_spec), to_array(whole[..., None], classifier.input_spec)
    )
    assert attacks.calibrate("bim-search", classifier, whole, cost=20).max_iterations == 40


@pytest.mark.parametrize("nested", [False, True])
def test_bounds_that_a_rescaling_layer_makes_tiny_are_told(nested: bool) -> None:
    rescaled = keras.Sequential([
        keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(),
        keras.layers.Dense(3),
    ])
    model = keras.Sequential([keras.Input((8, 8, 1)), rescaled]) if nested else rescaled
    with pytest.warns(UserWarning, match=r"Rescaling\(0.003922\), makes a range of 0.0039 of the "
                                         r"bounds \(0.0, 1.0\); if .* give bounds=\(0, 255\)"):
        Classifier(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Classifier(model, Bounds(0, 255))
        Classifier(model, preprocess=lambda images: images * 255)
