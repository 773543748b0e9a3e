"""The penalty on the gradient: what it does to the gradient, by its seed alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import InvalidInputError
from a2d_tf.threats import PGD
from a2d_tf.zoo import MODELS, Dataset
from a2d_tf.zoo.adversarial_training import accuracy
from a2d_tf.zoo.gradient_penalty import _step, train_with_penalty
from a2d_tf.zoo.training import batches, train


def small(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    return keras.Sequential([
        keras.Input(input_shape),
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(classes, activation="softmax"),
    ])


def normalised(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """A network with batch normalization, dropout and a penalty on its weights."""
    return keras.Sequential([
        keras.Input(input_shape),
        keras.layers.Conv2D(4, 3),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(classes, activation="softmax", kernel_regularizer="l2"),
    ])


@pytest.fixture
def dataset(
    digits: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> Dataset:
    monkeypatch.setitem(MODELS, "small", small)
    monkeypatch.setitem(MODELS, "normalised", normalised)
    images, labels = digits
    return Dataset(images[:1200], labels[:1200], images[1200:1400], labels[1200:1400])


def mean_length(model: keras.Model, dataset: Dataset) -> float:
    """The mean squared length of the gradient of the loss of test images."""
    images = tf.constant(dataset.x_test)
    with tf.GradientTape() as tape:
        tape.watch(images)
        loss = keras.losses.sparse_categorical_crossentropy(dataset.y_test, model(images))
    slopes = tape.gradient(loss, images).numpy()
    return float((slopes**2).sum(axis=(1, 2, 3)).mean())


@pytest.mark.long
def test_it_flattens_the_loss_and_makes_a_classifier_robust(dataset: Dataset) -> None:
    threat = PGD(eps=0.15, steps=3)
    plain = train("small", dataset, 20)
    model = train_with_penalty("small", dataset, 20, 0.5)
    assert mean_length(model, dataset) < 0.7 * mean_length(plain, dataset)
    before, after = (accuracy(one, dataset, threat, 200) for one in (plain, model))
    assert after.clean > 0.8 and after.robust > before.robust + 0.1, (before, after)


def test_the_seed_decides(dataset: Dataset) -> None:
    few = dataset._replace(x_train=dataset.x_train[:200], y_train=dataset.y_train[:200])
    done: list[int] = []
    models = [
        train_with_penalty("normalised", few, 1, 0.1, seed=seed, on_batch=done.append)
        for seed in (0, 0, 1)
    ]
    weights = [model.get_weights()[0] for model in models]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).any()
    assert done == [1] * 3 * batches(few, 1)
    # The means of batch normalization, which have no gradient, are learned too.
    assert np.abs(models[0].layers[1].moving_mean.numpy()).max() > 0


@pytest.mark.parametrize("activation", ["softmax", None])
def test_a_step_descends_the_loss(activation: str | None) -> None:
    """Of a linear classifier, whose gradient by the image is W (p - y)."""
    model = keras.Sequential([
        keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(
            3, use_bias=False, activation=activation, kernel_regularizer=keras.regularizers.L2(0.1)
        ),
    ])
    model.compile(
        keras.optimizers.SGD(1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=activation is None),
    )
    rng = np.random.default_rng(0)
    images, labels = rng.random((5, 4)), np.array([0, 1, 2, 0, 1])
    weights = model.get_weights()[0].astype(np.float64)

    def loss(kernel: np.ndarray) -> float:
        powers = np.exp(images @ kernel)
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        slopes = (probabilities - np.eye(3)[labels]) @ kernel.T
        entropies = -np.log(probabilities[range(5), labels])
        squares = (slopes**2).sum(axis=1)
        return float((entropies + 2.0 * squares).mean() + 0.1 * (kernel**2).sum())

    expected = np.zeros_like(weights)
    for place in np.ndindex(weights.shape):
        moved = np.zeros_like(weights)
        moved[place] = 1e-5
        expected[place] = (loss(weights + moved) - loss(weights - moved)) / 2e-5
    _step(model, 2.0)(
        tf.constant(images.reshape(-1, 2, 2, 1), tf.float32), tf.constant(labels)
    )
    np.testing.assert_allclose(weights - model.get_weights()[0], expected, rtol=1e-3, atol=1e-4)


def test_unfit_input_is_one_line(dataset: Dataset) -> None:
    with pytest.raises(InvalidInputError, match="expected a weight of the penalty > 0, got 0"):
        train_with_penalty("small", dataset, 1, 0.0)
    with pytest.raises(InvalidInputError, match="epochs and training images, got 0"):
        train_with_penalty("small", dataset, 0, 1.0)
