"""KD: kernel densities and dropout variances by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from a2d_tf import Classifier, InvalidInputError
from a2d_tf.features import FitData
from a2d_baselines import KD, network

layers = keras.layers


def two_classes(*middle, last="linear"):
    """Two pixels, whatever lies between, and two logits that equal them at first."""
    model = keras.Sequential([
        layers.Input((1, 2, 1)), layers.Flatten(), *middle, layers.Dense(2, activation=last),
    ])
    model.layers[-1].set_weights([np.eye(2, dtype=np.float32), np.zeros(2, np.float32)])
    return model


def pixels(*rows):
    return np.array(rows, np.float32).reshape(-1, 1, 2, 1)


def variance(model, images, passes=50, seed=0):
    classifier = Classifier(model, (-10, 10))

    @tf.function(input_signature=[tf.TensorSpec((None, *classifier.input_shape))])
    def function(batch):
        return network.dropout_variance(classifier, batch, passes=passes, seed=seed)

    return function(tf.constant(images)).numpy()


def fitted(classifier, images, labels, **settings):
    data = FitData(images, images, np.asarray(labels, np.int64))
    return KD(**settings).fit(classifier, data)


def test_density_is_that_of_the_predicted_class():
    classifier = Classifier(two_classes())
    images = pixels((1, 0), (0.8, 0), (0, 1))
    feature = fitted(classifier, images, [0, 0, 1], bandwidth=0.5)
    log_density, uncertainty = feature.measure(classifier, pixels((0.9, 0.1), (0.1, 0.2))).T

    def kernel(*squares):
        return np.log(np.mean(np.exp(-np.array(squares) / 0.5)) / (2 * np.pi * 0.25))

    np.testing.assert_allclose(log_density, [kernel(0.02, 0.02), kernel(0.65)], rtol=1e-5)
    np.testing.assert_array_equal(uncertainty, [0, 0])


def test_a_far_image_has_a_finite_log_density():
    classifier = Classifier(two_classes(), (0, 1e4))
    feature = fitted(classifier, pixels((1, 0), (0, 1)), [0, 1], bandwidth=0.1)
    assert np.isfinite(feature.measure(classifier, pixels((1e4, 0)))).all()


def test_low_densities_are_exact_among_many_training_images():
    rng = np.random.default_rng(0)
    model = keras.Sequential([layers.Input((1, 30, 1)), layers.Flatten(), layers.Dense(2)])
    images = rng.normal(size=(600, 1, 30, 1)).astype(np.float32)
    feature = fitted(Classifier(model, (-99, 99)), images, np.arange(600) % 2, bandwidth=0.3)
    queries = (3 * images[:50]).reshape(50, 30)
    found = feature._log_densities(tf.constant(queries), tf.zeros(50, tf.int32))
    squares = np.square(queries[:, None] - images[::2].reshape(300, 30)).sum(axis=2, dtype=float)
    norm = np.log(300) + 30 * np.log(0.3 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(found, logsumexp(-squares / 0.18, axis=1) - norm, rtol=1e-4)


def test_the_search_finds_the_width_of_normal_activations():
    rng = np.random.default_rng(0)
    labels = np.arange(800) % 2
    images = pixels(*rng.normal(size=(800, 2)))
    first, again = (
        fitted(Classifier(two_classes(), (-10, 10)), images, labels).learned["bandwidth"]
        for _ in range(2)
    )
    # Scott's rule for 400 standard normal points in the plane: 400 ** (-1 / 6) = 0.37.
    assert 0.15 < first < 0.8 and first == again


def test_dropout_variance_is_that_of_the_bernoulli_mask():
    # Either pixel is kept (and doubled) or not: over many passes the four softmax outputs
    # are equally likely.
    image = pixels((1, 2))
    kept = np.array([(0, 0), (2, 0), (0, 4), (2, 4)])
    probabilities = np.exp(kept) / np.exp(kept).sum(axis=1, keepdims=True)
    wanted = probabilities.var(axis=0).mean()
    for last in ("linear", "softmax"):
        model = two_classes(layers.Dropout(0.5), last=last)
        np.testing.assert_allclose(variance(model, image, passes=4000), wanted, rtol=0.05)


def test_gaussian_dropout_has_its_own_noise():
    # Logits (1 + e1, 0) with e1 normal of deviation sqrt(0.1 / 0.9).
    model = two_classes(layers.GaussianDropout(0.1))
    draws = 1 + np.sqrt(0.1 / 0.9) * np.random.default_rng(0).standard_normal(100_000)
    wanted = (1 / (1 + np.exp(-draws))).var()
    np.testing.assert_allclose(variance(model, pixels((1, 0)), passes=4000), wanted, rtol=0.1)


@pytest.mark.parametrize("dropout, free", [
    (layers.SpatialDropout2D(0.5), 3),
    (layers.SpatialDropout2D(0.5, data_format="channels_first"), 4),
    (layers.Dropout(0.5, noise_shape=(None, 1, 5, 1)), 5),
    (layers.Dropout(0.5), 60),
])
def test_shared_masks_are_shared(dropout, free):
    sizes = network._noise_sizes(dropout, [4, 5, 3])
    assert np.prod(sizes) == free
    ones = tf.ones((7 * 2, 4, 5, 3))
    dropped = network._drop(dropout, ones, 7, (0, 0)).numpy().reshape(7, 2, 4, 5, 3)
    np.testing.assert_array_equal(dropped[:, 0], dropped[:, 1])
    np.testing.assert_array_equal(np.unique(dropped), [0, 2])
    assert not (dropped == dropped[:1]).all()


def test_variance_crosses_branches_constants_and_nested_models():
    inputs = keras.Input((1, 2, 1))
    flat = layers.Flatten()(inputs)
    inner = keras.Sequential([layers.Input((2,)), layers.Dropout(0.5), layers.Dense(2)])
    plain = layers.Dense(2)(flat)
    added = layers.add([plain, inner(flat)]) + np.array([1.0, 2.0], np.float32)
    model = keras.Model(inputs, layers.Softmax()(layers.Dense(2)(added)))
    images = pixels(*np.random.default_rng(0).normal(size=(9, 2)))
    together = variance(model, images)
    assert (together > 0).all()
    alone = np.concatenate([variance(model, images[i:i + 1]) for i in range(3)])
    np.testing.assert_allclose(alone, together[:3], rtol=1e-4)
    assert not np.allclose(variance(model, images, seed=1), together)


def test_batch_normalization_and_augmentation_stay_in_inference_mode():
    model = two_classes(layers.Reshape((1, 2, 1)), layers.RandomFlip(),
                        layers.BatchNormalization(), layers.GaussianNoise(1.0), layers.Flatten())
    before = [np.array(weight) for weight in model.get_weights()]
    images = pixels(*np.random.default_rng(0).normal(size=(9, 2)))
    np.testing.assert_array_equal(variance(model, images), np.zeros(9))
    np.testing.assert_allclose(
        network.activations(Classifier(model), tf.constant(images))[-1],
        model(images, training=False), rtol=1e-6,
    )
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("settings, match", [
    ({"bandwidth": 0.0}, "KD's bandwidth > 0, got 0.0"),
    ({"dropout_passes": 0}, "KD's dropout_passes of at least 1, got 0"),
    ({"seed": -1}, "KD's seed of at least 0, got -1"),
])
def test_unfit_settings_are_refused(settings, match):
    with pytest.raises(InvalidInputError, match=match):
        KD(**settings)


@pytest.mark.parametrize("labels", [[0, 0], [0, 2]])
def test_training_images_of_every_class_are_needed(labels):
    with pytest.raises(InvalidInputError, match="of every class, 0 to 1, for KD.*training_data"):
        fitted(Classifier(two_classes()), pixels((1, 0), (0, 1)), labels)


def test_a_model_without_a_kernel_has_no_hidden_layer():
    model = keras.Sequential([layers.Input((1, 2, 1)), layers.Flatten()])
    with pytest.raises(InvalidInputError, match="Dense or convolutional"):
        KD().check(Classifier(model))
