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
    expected = np.stack([
        levels[:, 0] - levels[:, 1], -(p * np.log(p)).sum(axis=1),
        -levels[:, 0], -levels[:, :10].mean(axis=1),
        np.exp(np.log(linf).mean(axis=1)), np.exp(np.log(rms).mean(axis=1)),
    ], axis=1)[:, :6 if top_k else 4]
    found = Response(top_k=top_k).measure(linear(weights, bias), images)
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


def test_verdicts_alone_take_one_forward_pass_and_no_label() -> None:
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
    assert len(calls) == 1
    calls.clear()
    a2d.predict(images[:50])
    assert len(calls) == 2  # the other one gives the label


def test_images_without_a_gradient_are_flagged() -> None:
    weights = tf.constant(np.random.default_rng(0).normal(size=(4, 3)), tf.float32)
    classifier = Classifier(
        lambda images: tf.nn.relu(tf.reshape(images, (-1, 4)) - 0.5) @ weights,
        input_shape=(2, 2, 1),
    )
    images = np.random.default_rng(1).uniform(0.6, 1, (60, 2, 2, 1)).astype(np.float32)
    a2d = A2D(classifier).fit(images)
    found = a2d.predict(np.full((2, 2, 2, 1), 0.2, np.float32))
    assert found.is_adversarial.all() and not found.valid.any()
    assert a2d.is_adversarial(np.full((2, 2, 2, 1), 0.2, np.float32)).all()
