"""Feature squeezing against its paper's definition and SciPy's filter."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from a2d_tf import Bounds, Classifier, InvalidInputError
from a2d_tf.features import Response
from a2d_tf.features.squeezers import median_filter, with_bits
from a2d_baselines import FeatureSqueezing


@pytest.mark.parametrize("window", [2, 3, 4, 5])
def test_the_median_is_that_of_scipy(window: int) -> None:
    images = np.random.default_rng(0).uniform(size=(3, 7, 9, 2)).astype(np.float32)
    expected = scipy.ndimage.median_filter(images, size=(1, window, window, 1), mode="reflect")
    np.testing.assert_array_equal(median_filter(tf.constant(images), window), expected)


def test_levels_reach_both_bounds() -> None:
    images = tf.constant([-1.0, -0.7, -0.6, 0.1, 1.0])
    np.testing.assert_allclose(
        with_bits(images, 2, Bounds(-1, 1)), [-1, -1, -1 / 3, 1 / 3, 1], rtol=1e-6
    )


def test_rounding_lets_the_gradient_pass() -> None:
    """Otherwise an attack that follows the detector's score would see none."""
    def gradient(images: np.ndarray, bits: int) -> np.ndarray:
        pixels = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            squeezed = 3 * with_bits(pixels, bits, Bounds(0, 1))
        np.testing.assert_allclose(
            squeezed, 3 * np.round(images * (2**bits - 1)) / (2**bits - 1), rtol=1e-6
        )
        return np.asarray(tape.gradient(squeezed, pixels))

    np.testing.assert_array_equal(gradient(np.float32([0.2, 0.7]), 5), [3, 3])
    # With two levels, the slope is that of a sigmoid: 3 on average, and highest in the middle.
    slopes = gradient(np.linspace(0, 1, 1001, dtype=np.float32), 1)
    assert slopes.mean() == pytest.approx(3, rel=0.05) and slopes.min() > 0
    assert slopes.argmax() == 500 and slopes[500] == pytest.approx(3 * 2.5)
    assert slopes[[0, 1000]].max() < 0.3


def flat(images: tf.Tensor) -> tf.Tensor:
    """Two classes; the first has the logit of the first pixel."""
    first = tf.reshape(images, (tf.shape(images)[0], -1))[:, 0]
    return tf.stack([first, tf.zeros_like(first)], axis=1)


def sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def test_hand_computed_on_a_linear_model() -> None:
    classifier = Classifier(flat, preflight=False)
    # The first pixel becomes 1 or 0 with one bit. Mirrored, its window holds nothing but itself.
    images = np.array([0.7, 0.2, 0.1, 0.4]).reshape(1, 2, 2, 1)
    expected = 2 * (sigmoid(1) - sigmoid(0.7))
    found = FeatureSqueezing(bits=1).measure(classifier, images)
    np.testing.assert_allclose(found, [[expected]], rtol=1e-5)
    # A window of 3 holds the first pixel 4 times, the second and third twice, the last once.
    found = FeatureSqueezing(bits=8, window=3).measure(classifier, images)
    np.testing.assert_allclose(found, [[2 * (sigmoid(0.7) - sigmoid(0.4))]], rtol=1e-3)


def second(images: tf.Tensor) -> tf.Tensor:
    """Two classes; the first has the logit of the pixel in the second row and column."""
    value = images[:, 1, 1, 0]
    return tf.stack([value, tf.zeros_like(value)], axis=1)


def test_it_is_the_larger_one_of_the_two_columns_of_the_default() -> None:
    classifier = Classifier(second, preflight=False)
    images = np.random.default_rng(0).uniform(size=(9, 4, 4, 1)).astype(np.float32)
    each = Response().measure(classifier, images)[:, 1:3]
    assert each.shape == (9, 2) and len({*each.argmax(axis=1)}) == 2  # neither is always larger
    joint = FeatureSqueezing().measure(classifier, images)
    np.testing.assert_allclose(joint[:, 0], each.max(axis=1), rtol=1e-6)
    values = images[:, 1, 1, 0].tolist()
    middle = np.sort(images[:, :2, :2, 0].reshape(9, 4), axis=1)[:, 2].tolist()  # the upper one
    expected = [[
        2 * abs(sigmoid(squeezed) - sigmoid(value)) for squeezed in (round(value), median)
    ] for value, median in zip(values, middle, strict=True)]
    np.testing.assert_allclose(each, expected, atol=1e-6)


def test_the_bits_are_those_published_for_grey_and_for_coloured_images() -> None:
    classifier = Classifier(flat, preflight=False)
    for channels, bits in ((1, 1), (3, 5)):
        images = np.full((1, 2, 2, channels), 0.31)
        np.testing.assert_array_equal(
            FeatureSqueezing().measure(classifier, images),
            FeatureSqueezing(bits=bits).measure(classifier, images),
        )
    for bits in (0, 9, 1.5):
        with pytest.raises(InvalidInputError, match="expected FeatureSqueezing's bits"):
            FeatureSqueezing(bits=bits)  # type: ignore[arg-type]


def test_inputs_that_are_no_images_are_refused() -> None:
    classifier = Classifier(flat, input_shape=(4,), preflight=False)
    with pytest.raises(InvalidInputError, match="expected images .* got inputs of 2 axes"):
        FeatureSqueezing().measure(classifier, np.full((3, 4), 0.3))


def test_a_thousand_classes(benign: np.ndarray) -> None:
    weights = np.random.default_rng(0).normal(size=(64, 1000)).astype(np.float32)
    classifier = Classifier(
        lambda images: tf.reshape(images, (-1, 64)) @ weights, preflight=False
    )
    found = FeatureSqueezing().measure(classifier, benign[:5])
    assert ((0 < found) & (found <= 2)).all()
