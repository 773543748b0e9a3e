"""Labels and targets that are given to attacks and threats."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import Classifier, InvalidInputError, threats
from a2d_tf.attacks import BIM, JSMA, Attack, CarliniWagner

BIM_ = BIM(eps=0.3, step=0.02, max_iterations=20)
ATTACKS = [BIM_, JSMA(max_iterations=20)]
WRONG = [
    ([99, 1], "expected labels below the 10 classes, got 99"),
    ([-1, 1], "expected labels >= 0, got -1"),
    ([0.5, 1], "expected 2 integer labels, one per image, got float64 of shape [2]"),
    ([1], "expected 2 integer labels, one per image, got int64 of shape [1]"),
    (np.eye(10)[:2], "of shape [2, 10]; give numpy.argmax(labels, axis=1)"),
]


@pytest.mark.parametrize("labels, message", WRONG)
def test_labels_that_no_class_has_are_refused(
    labels: object, message: str, classifier: Classifier, benign: np.ndarray
) -> None:
    for attack in ATTACKS:
        with pytest.raises(InvalidInputError, match=re.escape(message)):
            attack.run(classifier, benign[:2], labels)
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        threats.preset("fgsm").craft(classifier, benign[:2], labels)


def test_a_column_of_labels_is_taken(classifier: Classifier, benign: np.ndarray) -> None:
    labels = classifier.predict(benign[:4])
    found = BIM_.run(classifier, benign[:4], labels[:, None])
    np.testing.assert_array_equal(found.cost, BIM_.run(classifier, benign[:4], labels).cost)
    crafted = threats.preset("fgsm").craft(classifier, benign[:4], labels[:, None])
    assert crafted.success.shape == (4,)


def test_targets_that_no_class_has_are_refused(classifier: Classifier, benign: np.ndarray) -> None:
    attack = CarliniWagner(binary_search_steps=1, max_iterations=5)
    with pytest.raises(InvalidInputError, match="targets below the 10 classes, got 10"):
        attack.run(classifier, benign[:2], targets=[10, 1])


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_keras_model_is_wrapped(
    attack: Attack, model: keras.Model, classifier: Classifier, benign: np.ndarray
) -> None:
    expected = attack.run(classifier, benign[:2]).cost
    np.testing.assert_array_equal(attack.run(model, benign[:2]).cost, expected)


@pytest.mark.parametrize("attack", ATTACKS)
def test_certain_classifiers_cost_as_much_as_others(
    attack: Attack, classifier: Classifier, benign: np.ndarray
) -> None:
    def certain(images: tf.Tensor) -> tf.Tensor:  # the cross-entropy and its gradient vanish
        return 1000 * classifier(images)

    scaled = attack.run(Classifier(certain, input_shape=benign.shape[1:]), benign[:40])
    plain = attack.run(classifier, benign[:40])
    assert scaled.valid.all()
    # With such logits the logarithm of the sum is the largest: the direction differs a little.
    assert np.median(np.abs(scaled.cost - plain.cost)) <= 1
