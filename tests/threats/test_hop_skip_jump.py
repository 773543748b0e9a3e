"""HopSkipJump: a decision-based attack, past a detector too."""

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Bounds, Classifier, InvalidInputError, threats
from a2d_tf.attacks import BIM, CarliniWagner
from a2d_tf.threats import AttackThreat, HopSkipJump
from a2d_tf.zoo import load_dataset

RunScript = Callable[..., subprocess.CompletedProcess[str]]
WEIGHTS = np.array([3.0, -4.0, 0.0, 0.0], np.float32)
SHORT = HopSkipJump(iterations=8, first_queries=60)


def length(away: np.ndarray, norm: str) -> np.ndarray:
    flat = away.reshape(len(away), -1)
    return np.abs(flat).max(axis=1) if norm == "linf" else np.linalg.norm(flat, axis=1)


@pytest.fixture(scope="module")
def linear() -> Classifier:
    """Two classes on images of 2x2 pixels; class 1 where 3a - 4b + 0.5 > 0."""
    def logits(images: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(images, (-1, 4))
        score = tf.reduce_sum(flat * WEIGHTS, axis=1) + 0.5
        return tf.stack([tf.zeros_like(score), score], axis=1)

    return Classifier(logits, input_shape=(2, 2, 1))


@pytest.mark.parametrize("norm, dual", [("l2", 5.0), ("linf", 7.0)])
def test_the_distance_to_a_plane_is_known(norm: str, dual: float, linear: Classifier) -> None:
    images = np.array([[0.5, 0.4, 0.5, 0.5], [0.3, 0.6, 0.5, 0.5]], np.float32).reshape(2, 2, 2, 1)
    labels = linear.predict(images)
    score = images.reshape(2, 4) @ WEIGHTS + 0.5
    crafted = dataclasses.replace(SHORT, norm=norm).craft(linear, images, labels)
    assert crafted.success.all() and (labels == [1, 0]).all()
    np.testing.assert_allclose(
        length(crafted.images - images, norm), np.abs(score) / dual, rtol=0.05
    )


@pytest.mark.long
def test_it_comes_near_to_what_a_gradient_finds(
    classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:8]
    labels = classifier.predict(images)
    crafted = [
        dataclasses.replace(SHORT, iterations=steps).craft(classifier, images, labels)
        for steps in (1, 12)
    ]
    assert all(one.success.all() for one in crafted)
    few, many = (length(one.images - images, "l2") for one in crafted)
    assert (many <= few + 1e-6).all() and many.mean() < 0.7 * few.mean()
    nearest = AttackThreat(attack=CarliniWagner(step=0.1, initial_const=0.1)).craft(
        classifier, images, labels
    )
    assert many.mean() < 1.5 * length(nearest.images - images, "l2").mean()
    assert crafted[1].images.min() >= 0 and crafted[1].images.max() <= 1


@pytest.mark.long
def test_it_passes_a_detector_without_a_gradient(
    classifier: Classifier, benign: np.ndarray
) -> None:
    adversarial = BIM(eps=0.3, step=0.02, max_iterations=40).run(
        classifier, benign[:150]
    ).adversarial
    knn = A2D(classifier, "margin", "knn").fit(benign[:150], adversarial)
    images = benign[200:210]
    labels = classifier.predict(images)
    threat = dataclasses.replace(
        SHORT, start_images=benign[300:400], is_flagged=knn.is_adversarial
    )
    crafted = threat.craft(classifier, images, labels)
    found = knn.predict(crafted.images)
    passed = (found.label != labels) & ~found.is_adversarial
    assert passed.mean() >= 0.9
    # Past the detector it is farther than past the classifier alone.
    alone = SHORT.craft(classifier, images, labels)
    assert knn.predict(alone.images).is_adversarial.mean() > 0.8
    further = length(crafted.images - images, "l2")[passed]
    assert further.mean() > length(alone.images - images, "l2").mean()


def test_batch_and_order_change_nothing(classifier: Classifier, benign: np.ndarray) -> None:
    images = benign[:6]
    labels = classifier.predict(images)
    threat = dataclasses.replace(SHORT, iterations=3)
    whole = threat.craft(classifier, images, labels).images
    turned = threat.craft(classifier, images[::-1], labels[::-1]).images[::-1]
    np.testing.assert_allclose(turned, whole, atol=1e-3)
    assert threat.craft(classifier, images[:0], labels[:0]).images.shape == (0, 8, 8, 1)
    other = dataclasses.replace(threat, seed=1).craft(classifier, images, labels).images
    assert (other != whole).any()


def test_distances_follow_the_pixel_range(classifier: Classifier, benign: np.ndarray) -> None:
    wide = Classifier(
        lambda images: classifier(images / 255), Bounds(0, 255), input_shape=(8, 8, 1)
    )
    images = benign[:6]
    labels = classifier.predict(images)
    narrow = SHORT.craft(classifier, images, labels).images
    scaled = SHORT.craft(wide, 255 * images, labels)
    assert scaled.success.all()
    lengths = [length(some - images, "l2").mean() for some in (narrow, scaled.images / 255)]
    assert lengths[1] == pytest.approx(lengths[0], rel=0.2)


def test_an_image_that_nothing_passes_for_stays(
    classifier: Classifier, benign: np.ndarray
) -> None:
    labels = classifier.predict(benign[:3])
    threat = HopSkipJump(is_flagged=lambda images: np.ones(len(images), bool))
    crafted = threat.craft(classifier, benign[:3], labels)
    np.testing.assert_array_equal(crafted.images, benign[:3])
    assert not crafted.success.any()


def test_it_needs_labels_alone(classifier: Classifier, benign: np.ndarray) -> None:
    black_box = Classifier.label_only(classifier.predict, input_shape=(8, 8, 1))
    labels = classifier.predict(benign[:2])
    threat = dataclasses.replace(SHORT, iterations=2)
    assert threat.craft(black_box, benign[:2], labels).success.all()


@pytest.mark.parametrize("settings, message", [
    ({"norm": "l1"}, "HopSkipJump's norm out of l2, linf, got 'l1'"),
    ({"iterations": 0}, "iterations of at least 1"),
    ({"is_flagged": 3}, "is_flagged as a function of images, got int"),
    ({"start_images": np.zeros(0)}, "start images as finite numbers"),
])
def test_unfit_settings_are_one_line(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as raised:
        HopSkipJump(**settings)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_start_images_must_fit(classifier: Classifier, benign: np.ndarray) -> None:
    threat = HopSkipJump(start_images=np.zeros((2, 4, 4, 1)))  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"start images of shape \[8, 8, 1\]"):
        threat.craft(classifier, benign[:2], classifier.predict(benign[:2]))
    assert threats.preset("hopskipjump") == HopSkipJump()


@pytest.mark.long
def test_the_script_gets_past_a_detector(
    run_script: RunScript, small_model: Path, tmp_path: Path
) -> None:
    classifier = Classifier.load(small_model)
    digits = load_dataset("digits")
    A2D(classifier, "margin", "zscore").fit(digits.x_train[:300], fpr=0.1).save(tmp_path / "mine")
    A2D(Classifier(keras.Sequential([
        keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10),
    ])), "margin", "zscore").fit(digits.x_train[:60]).save(tmp_path / "other")
    command = (
        "craft", f"--model={small_model}", "--dataset=digits", "--limit=4", "--out=past.npz",
    )
    short = "--settings=iterations=4,first_queries=30"
    done = run_script(
        *command, "--threat=hopskipjump", short, "--detector=mine", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "past.npz") as stored:
        images, labels = stored["images"], stored["labels"]
    found = A2D.load(tmp_path / "mine").predict(images)
    assert ((found.label != labels) & ~found.is_adversarial).mean() >= 0.75
    for flags, message in (
        (["--threat=pgd", "--detector=mine"], "the threat hopskipjump for a detector, got PGD"),
        (["--threat=hopskipjump", "--detector=other"], "got other of another"),
        (["--threat=hopskipjump", "--settings=norm=l1"], "norm out of l2, linf, got 'l1'"),
    ):
        done = run_script(*command, *flags, cwd=tmp_path)
        assert done.returncode == 1 and message in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
