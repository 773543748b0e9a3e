"""The substitute's augmentation by hand, its transfer, and the gradient step in L2."""

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import Bounds, Classifier, InvalidInputError, threats
from a2d_tf.threats import FGM, SubstituteFGSM
from a2d_tf.threats.substitute import augment

WEIGHTS = np.array([[1.0, -1.0], [-2.0, 0.0], [3.0, 0.5], [0.0, -4.0]], np.float32)
QUICK = SubstituteFGSM(eps=0.3, known_images=60, rounds=2, epochs=15)


def linear(images: tf.Tensor) -> tf.Tensor:
    return tf.matmul(tf.reshape(images, (-1, 4)), WEIGHTS)


def test_augmentation_steps_along_the_sign_of_the_labels_gradient() -> None:
    images = np.full((2, 2, 2, 1), 0.5, np.float32)
    images[1] = 0.95
    made = augment(linear, images, np.array([0, 1]), 0.1, Bounds(0, 1))
    expected = [[0.6, 0.4, 0.6, 0.5], [0.85, 0.95, 1.0, 0.85]]  # the third one is clipped
    np.testing.assert_allclose(made.reshape(2, 4), expected, atol=1e-6)


@pytest.mark.long
def test_the_substitute_learns_from_labels_alone(
    classifier: Classifier, benign: np.ndarray
) -> None:
    asked: list[int] = []

    def labels_of(images: np.ndarray) -> np.ndarray:
        asked.append(len(images))
        return classifier.predict(images)

    victim = Classifier.label_only(labels_of, input_shape=(8, 8, 1))
    substitute = Classifier(QUICK.train_substitute(victim, benign[:60], 10), preflight=False)
    assert sum(asked) == 60 + 60 + 120  # two doublings
    agreed = substitute.predict(benign[60:]) == classifier.predict(benign[60:])
    assert agreed.mean() > 0.7
    crafted = QUICK.craft(classifier, benign[:100], classifier.predict(benign[:100]))
    assert crafted.images.shape == benign[:100].shape and crafted.success.mean() > 0.3
    assert np.abs(crafted.images - benign[:100]).max() <= 0.3 + 1e-6
    again = QUICK.craft(classifier, benign[:100], classifier.predict(benign[:100]))
    np.testing.assert_allclose(again.images, crafted.images, atol=1e-5)
    none = QUICK.craft(classifier, benign[:0], np.zeros(0, np.int64))
    assert none.images.shape == (0, 8, 8, 1)


def test_the_root_mean_square_of_the_change_is_eps() -> None:
    classifier = Classifier(linear, (-10, 10), input_shape=(2, 2, 1))
    images = np.zeros((1, 2, 2, 1), np.float32)
    images[0, 0, 0, 0] = 0.1
    crafted = FGM(eps=0.05).craft(classifier, images, [0])
    change = (crafted.images - images).ravel()
    assert np.sqrt(np.mean(np.square(change))) == pytest.approx(0.05 * 20, rel=1e-4)
    away = WEIGHTS[:, 1] - WEIGHTS[:, 0]  # the loss grows from class 0 towards class 1
    np.testing.assert_allclose(change / np.linalg.norm(change), away / np.linalg.norm(away),
                               atol=1e-5)
    narrow = Classifier(linear, input_shape=(2, 2, 1))
    assert FGM(eps=0.9).craft(narrow, images, [0]).images.min() >= 0


@pytest.mark.parametrize("dataset", ["mnist-env2", "cifar10-env2", "imagenet-env2"])
def test_presets_of_table_6(dataset: str) -> None:
    assert {"fgsm", "jsma", "deepfool", "cw"} <= threats.PRESETS[dataset].keys()
    if dataset != "imagenet-env2":
        assert threats.preset("jsma", dataset) == threats.JSMA(theta=1.0, gamma=0.12)
        assert threats.preset("bb", dataset) == SubstituteFGSM(
            eps=0.35 if dataset == "mnist-env2" else 0.05
        )


@pytest.mark.parametrize("make, match", [
    (lambda: SubstituteFGSM(eps=0.0), "eps > 0"),
    (lambda: SubstituteFGSM(eps=0.3, rounds=-1), "rounds of at least 0"),
    (lambda: FGM(eps=2.0), "eps <= 1"),
    (lambda: threats.preset("bim-a", "mnist-env2"), "a threat out of fgsm, fgsm-normalised, jsma"),
])
def test_unfit_settings_are_refused(make: object, match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        make()  # type: ignore[operator]
