"""Dissector: validities by hand, the layers it chooses, and that its sub-models learn."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import Classifier, InvalidInputError, attacks
from a2d_tf.evaluation.metrics import auroc
from a2d_tf.features import FitData
from a2d_baselines import Dissector, dissector

layers = keras.layers


def test_snapshot_validity_by_hand():
    probabilities = tf.constant([
        [0.6, 0.3, 0.1],  # the label leads: 0.6 / (0.6 + 0.3)
        [0.6, 0.3, 0.1],  # another leads: 1 - 0.6 / (0.6 + 0.3)
        [0.6, 0.3, 0.1],  # 1 - 0.6 / (0.6 + 0.1)
        [1.0, 0.0, 0.0],
        [1.0, 0.0, 0.0],
    ])
    found = dissector.snapshot_validity(probabilities, tf.constant([0, 1, 2, 0, 1]))
    np.testing.assert_allclose(found, [2 / 3, 1 / 3, 1 / 7, 1, 0], rtol=1e-6)


@pytest.mark.parametrize("settings, weights", [
    ({"growth": "linear"}, [1, 2, 3]),
    ({"growth": "linear", "factor": 2.0}, [3, 5, 7]),
    ({"growth": "logarithmic"}, [0, np.log(2), np.log(3)]),
    ({"growth": "logarithmic", "factor": 1.0}, [1, np.log(2) + 1, np.log(3) + 1]),
    ({}, [np.e, np.e**2, np.e**3]),
    ({"exponent": 0.5, "factor": 2.0}, [2 * np.exp(x / 2) + 1 for x in (1, 2, 3)]),
])
def test_profile_validity_by_hand(settings, weights):
    found = Dissector(**settings).weights(3)
    np.testing.assert_allclose(found, weights)
    profile = np.array([[0.2, 0.5, 0.9], [1, 1, 1]], np.float32)
    expected = [[np.dot(weights, [0.2, 0.5, 0.9]) / np.sum(weights)], [1]]
    np.testing.assert_allclose(dissector.profile_validity(profile, found), expected, rtol=1e-6)


def deep(activations):
    return Classifier(keras.Sequential([
        keras.Input((2, 2, 1)), layers.Flatten(name="flatten"),
        *(layers.Dense(4, activation="relu", name=f"hidden{i}") for i in range(activations)),
        layers.Dense(3, activation="softmax", name="output"),
    ]), preflight=False)


@pytest.mark.parametrize("count, chosen", [
    (2, [0, 1]), (6, [0, 1, 2, 3, 4, 5]), (12, [1, 3, 5, 7, 9, 11]), (8, [0, 1, 3, 4, 5, 7]),
])
def test_layers_are_evenly_spaced_up_to_the_last(count, chosen):
    found = Dissector()._chosen_layers(deep(count))
    assert found == [f"hidden{place}" for place in chosen]


def test_named_layers_and_unknown_ones():
    classifier = deep(2)
    named = Dissector(layers=["flatten", "hidden1"])
    assert named._chosen_layers(classifier) == ["flatten", "hidden1"]
    assert named == Dissector(layers=("flatten", "hidden1"))
    with pytest.raises(InvalidInputError, match="out of flatten, hidden0, hidden1, got conv9;"):
        Dissector(layers=("hidden1", "conv9")).check(classifier)
    with pytest.raises(InvalidInputError, match="got output;"):  # it has a snapshot anyway
        Dissector(layers=("output",)).check(classifier)
    with pytest.raises(InvalidInputError, match="name its layers"):
        Dissector().check(deep(0))


@pytest.mark.parametrize("settings, match", [
    ({"growth": "square"}, "Dissector's growth out of linear, logarithmic, exponential"),
    ({"layers": "conv1"}, "names of layers for Dissector, got 'conv1'"),
    ({"factor": -1.0}, "factor >= 0"),
])
def test_unfit_settings_are_refused(settings, match):
    with pytest.raises(InvalidInputError, match=match):
        Dissector(**settings)


def test_labels_of_other_classes_are_refused():
    images = np.zeros((4, 2, 2, 1), np.float32)
    with pytest.raises(InvalidInputError, match="labels from 0 to 2 for Dissector, got 0 to 3"):
        Dissector().fit(deep(2), FitData(images, images, np.arange(4)))


def test_adversarial_images_have_a_low_validity(classifier, digits, benign):
    images, labels = digits[0][:1200], digits[1][:1200]
    feature = Dissector(epochs=15).fit(classifier, FitData(images[:100], images, labels))
    crafted = attacks.BIM(eps=0.3, step=0.02, max_iterations=50).run(classifier, benign[:150])
    values, attacked = (
        feature.measure(classifier, some)[:, 0]
        for some in (benign[:150], crafted.adversarial[crafted.success])
    )
    assert auroc(-values, -attacked) > 0.9
    assert values.min() >= 0 and values.max() <= 1
    # A sub-model by itself tells the classes apart.
    kernel, bias = feature.learned["kernel_0"], feature.learned["bias_0"]
    first = keras.Model(classifier.model.inputs, classifier.model.layers[0].output)
    logits = first.predict(benign, verbose=0).reshape(len(benign), -1) @ kernel + bias
    assert (logits.argmax(axis=1) == classifier.predict(benign)).mean() > 0.9
    again = Dissector(epochs=15).fit(classifier, FitData(images[:100], images, labels))
    np.testing.assert_allclose(again.learned["kernel_1"], feature.learned["kernel_1"], atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("name, dataset, count", [
    ("lenet5_mnist_env2", "mnist", 4), ("convnet_cifar10", "cifar10", 6),
    ("resnet20_cifar10", "cifar10", 6),
])
def test_it_works_on_published_networks(
    name: str, dataset: str, count: int, shared: Callable[[str], Path]
) -> None:
    classifier = Classifier.load(shared(f"models/{name}.keras"))
    with np.load(shared(f"data/{dataset}.npz")) as stored:
        shape = classifier.input_shape
        train = stored["x_train"][:2000].reshape(-1, *shape).astype(np.float32) / 255
        test = stored["x_test"][:200].reshape(-1, *shape).astype(np.float32) / 255
        labels = stored["y_train"][:2000].reshape(-1).astype(np.int64)
    feature = Dissector(epochs=2).fit(classifier, FitData(train[:100], train, labels))
    assert len(feature.learned["layers"]) == count
    attack = attacks.BIM(eps=0.3 if dataset == "mnist" else 0.03, step=0.005, max_iterations=60)
    result = attack.run(classifier, test)
    values, attacked = (
        feature.measure(classifier, some)[:, 0] for some in (test, result.adversarial)
    )
    assert auroc(-values, -attacked) > 0.6
