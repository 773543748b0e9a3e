"""DBA from images at hand, for classifiers that give all noise images the same class."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Classifier, DetectorWarning, InvalidInputError, detectors
from a2d_tf.attacks import DBA

WALK = DBA(mse_threshold=0.02, max_iterations=60)


def mean_above(images: tf.Tensor) -> tf.Tensor:
    """Label 1 for bright images. Noise is never so bright on average."""
    return tf.cast(tf.reduce_mean(images, axis=(1, 2, 3)) > 0.8, tf.int32)


def dark(count: int) -> np.ndarray:
    levels = np.linspace(0.3, 0.78, count, dtype=np.float32)
    return np.tile(levels[:, None, None, None], (1, 8, 8, 1))


BRIGHT = np.ones((1, 8, 8, 1), np.float32)


@pytest.mark.long
def test_the_walk_starts_where_the_class_is_another() -> None:
    classifier, images = Classifier(mean_above), dark(3)
    without = WALK.run(classifier, images)
    assert not without.success.any() and without.queries.tolist() == [1001] * 3
    # The first image has the class of the input, and the second another one.
    attack = DBA(
        mse_threshold=0.02, max_iterations=60, start_images=np.concatenate([images[:1], BRIGHT])
    )
    found = attack.run(classifier, images)
    # The walk of each began. The threshold allows a distance of 0.14, and the boundary is at 0.8.
    assert (found.adversarial.mean(axis=(1, 2, 3)) > 0.8).all()
    assert found.success.tolist() == [False, False, True]
    np.testing.assert_array_equal(
        found.cost, [int(attack.run(classifier, image[None]).cost[0]) for image in images]
    )


@pytest.mark.long
def test_a_detector_keeps_its_start_images(tmp_path: Path, model: tf.keras.Model,
                                           benign: np.ndarray) -> None:
    classifier = Classifier(model)
    attack = DBA(mse_threshold=0.02, max_iterations=30, start_images=benign[100:110])
    a2d = A2D(classifier, attack, detectors.ZScore(votes=1)).fit(benign[:20])
    expected = a2d.predict(benign[20:26]).costs
    a2d.save(tmp_path / "detector")
    loaded = A2D.load(tmp_path / "detector")
    assert loaded.attacks["dba"] == attack != WALK
    np.testing.assert_array_equal(loaded.predict(benign[20:26]).costs, expected)


def test_noise_of_one_class_is_reported() -> None:
    with pytest.warns(DetectorWarning, match=r"dba fails on 100% .* start from \(start_images=\)"):
        A2D(Classifier(mean_above, input_shape=(8, 8, 1)), WALK, "threshold").fit(dark(10))


def test_unfit_start_images_are_refused() -> None:
    for images, message in (
        (np.zeros((0, 8, 8, 1)), r"got ndarray of shape \[0\]|shape \[0, 8, 8, 1\]"),
        ("noise", "expected start images as finite numbers"),
        (np.full((1, 8, 8, 1), np.nan), "finite"),
        (np.zeros((1001, 2, 2, 1)), "at most 1000 start images, got 1001"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            DBA(start_images=images)
    with pytest.raises(InvalidInputError, match=r"start images of shape \[8, 8, 1\].* got \[4, 4"):
        DBA(start_images=np.zeros((1, 4, 4, 1))).run(Classifier(mean_above), dark(2))
