"""What a classifier says of an image, and how fast that changes."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Bounds, Classifier
from a2d_tf.attacks import BIM
from a2d_tf.features import Response


def linear(weights: np.ndarray, bias: np.ndarray) -> Classifier:
    """Logits weights x pixels + bias, for images of 2x2x1 pixels from 0 to 2."""
    kernel, offset = (tf.constant(values, tf.float32) for values in (weights, bias))
    return Classifier(
        lambda images: tf.reshape(images, (-1, 4)) @ kernel + offset, Bounds(0, 2),
        input_shape=(2, 2, 1),
    )


@pytest.mark.parametrize("top_k, classes", [(0, 2), (1, 2), (1, 1000), (2, 2), (3, 1000), (7, 2)])
def test_hand_computed_on_a_linear_model(top_k: int, classes: int) -> None:
    rng = np.random.default_rng(classes)
    weights, bias = rng.normal(size=(4, classes)), rng.normal(size=classes)
    images = rng.uniform(0, 2, (5, 2, 2, 1)).astype(np.float32)
    logits = images.reshape(5, 4) @ weights + bias
    levels, order = -np.sort(-logits, axis=1), np.argsort(-logits, axis=1)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    # A step is 1e-4 of the range of 2; along signs it gains the L1 norm, in RMS twice the L2 norm.
    rows = weights.T[order[:, :top_k or 1]]
    linf = 1 / (2e-4 * np.abs(rows).sum(axis=2))
    rms = 1 / (2e-4 * np.sqrt(4 * np.square(rows).sum(axis=2)))
    margin, level = levels[:, 0] - levels[:, 1], [-levels[:, 0], -levels[:, :10].mean(axis=1)]
    costs = [np.exp(np.log(cost).mean(axis=1)) for cost in (linf, rms)] if top_k else []
    # With one bit a pixel is 0 or 2. The window of a pixel reaches to the top and left, mirrored:
    # it holds the first pixel four times, the second and third twice with the first, and the last
    # with all others. The upper one of the two in the middle is taken.
    first, second, third, fourth = images.reshape(5, 4).T
    median = np.stack([
        first, np.maximum(first, second), np.maximum(first, third),
        np.sort([first, second, third, fourth], axis=0)[2],
    ], axis=1)
    changes = []
    for version in (2 * np.round(images.reshape(5, 4) / 2), median):
        other = np.exp(version @ weights + bias)
        changes.append(np.abs(other / other.sum(axis=1, keepdims=True) - p).sum(axis=1))
    classifier = linear(weights, bias)
    for filters, answers in ((True, changes), (False, [-(p * np.log(p)).sum(axis=1)])):
        expected = np.stack([margin, *answers, *level, *costs], axis=1)
        found = Response(top_k=top_k, filters=filters).measure(classifier, images)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_default_is_a_response_and_its_profile(
    classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    """In Python, saved, exported, and for verdicts alone: one answer."""
    threat = BIM(eps=0.4, step=0.02, max_iterations=50).run(classifier, benign[300:400])
    images = np.concatenate([benign[400:440], threat.adversarial[threat.success]])
    a2d = A2D(classifier).fit(benign[:300])
    found = a2d.predict(images)
    assert found.is_adversarial[40:].mean() > 0.7 > 0.3 > found.is_adversarial[:40].mean()
    np.testing.assert_array_equal(a2d.is_adversarial(images), found.is_adversarial)
    a2d.save(tmp_path / "saved")
    np.testing.assert_array_equal(A2D.load(tmp_path / "saved").predict(images).score, found.score)
    a2d.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures
    padded = np.concatenate([images, np.zeros_like(images[:7])])
    judged = served["serving_default"](images=tf.constant(padded))
    np.testing.assert_allclose(judged["score"][:len(images)], found.score, rtol=2e-3, atol=1e-3)
    verdicts = served["classify"](images=tf.constant(images))
    np.testing.assert_array_equal(
        verdicts["is_adversarial"], judged["is_adversarial"][:len(images)]
    )


def test_vectors_have_no_median() -> None:
    weights = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    classifier = Classifier(lambda inputs: inputs @ weights, input_shape=(4,))
    for top_k, costs in ((0, []), (2, ["raise_linf", "raise_rms"])):
        feature = Response(top_k=top_k)
        found = feature.measure(classifier, np.random.default_rng(1).random((6, 4), np.float32))
        names = ["margin", "bits", "largest", "mean", *costs]
        assert feature.column_names("a", found.shape[1]) == [f"a_{name}" for name in names]
        assert feature.sides(len(names))[:3] == ["low", "high", "either"]
        assert feature.passes_of(len(names)) == (2, top_k)
    assert Response().passes_of(5) == (3, 0) and Response(filters=False).passes_of(4) == (1, 0)


def test_a_classifier_without_gradients_is_enough() -> None:
    weights = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)

    def logits(images: tf.Tensor) -> tf.Tensor:
        return tf.numpy_function(
            lambda pixels: pixels.reshape(-1, 4) @ weights, [images], tf.float32
        )

    images = np.random.default_rng(1).random((60, 2, 2, 1), np.float32)
    a2d = A2D(Classifier(logits, input_shape=(2, 2, 1))).fit(images)
    assert a2d.predict(images).valid.all()


def test_verdicts_alone_take_three_forward_passes_and_no_label() -> None:
    rng = np.random.default_rng(0)
    calls = []
    weights = tf.constant(rng.normal(size=(4, 3)), tf.float32)

    def logits(images: tf.Tensor) -> tf.Tensor:
        tf.py_function(lambda: calls.append(1), [], [])
        return tf.tanh(tf.reshape(images, (-1, 4)) @ weights)

    images = rng.uniform(size=(100, 2, 2, 1)).astype(np.float32)
    a2d = A2D(Classifier(logits, input_shape=(2, 2, 1))).fit(images)
    a2d.is_adversarial(images[:50])
    calls.clear()
    a2d.is_adversarial(images[:50])
    assert len(calls) == 3
    calls.clear()
    a2d.predict(images[:50])
    assert len(calls) == 4  # one gives the label


def test_images_without_a_gradient_are_flagged() -> None:
    weights = tf.constant(np.random.default_rng(0).normal(size=(4, 3)), tf.float32)
    classifier = Classifier(
        lambda images: tf.nn.relu(tf.reshape(images, (-1, 4)) - 0.5) @ weights,
        input_shape=(2, 2, 1),
    )
    images = np.random.default_rng(1).uniform(0.6, 1, (60, 2, 2, 1)).astype(np.float32)
    a2d = A2D(classifier, Response(top_k=1)).fit(images)
    found = a2d.predict(np.full((2, 2, 2, 1), 0.2, np.float32))
    assert found.is_adversarial.all() and not found.valid.any()
    assert a2d.is_adversarial(np.full((2, 2, 2, 1), 0.2, np.float32)).all()
