"""Settings of attacks for a classifier of one's own."""

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import Bounds, Classifier, InvalidInputError, attacks


@pytest.mark.parametrize("name", [
    "bim", "bim2-search", pytest.param("bim2", marks=pytest.mark.long),
    pytest.param("bim-search", marks=pytest.mark.long),
])
def test_benign_images_take_as_many_steps_as_wanted(
    name: str, classifier: Classifier, benign: np.ndarray
) -> None:
    attack = attacks.calibrate(name, classifier, benign[:60], cost=80)
    assert type(attack) is type(attacks.preset(name, "mnist"))
    assert attack.search == name.endswith("-search")
    assert np.median(attack.run(classifier, benign[:60]).cost) == pytest.approx(80, rel=0.06)
    other = attack.run(classifier, benign[60:160])
    assert np.median(other.cost) == pytest.approx(80, rel=0.3)
    assert other.success.mean() > 0.7


@pytest.mark.long
def test_steps_do_not_depend_on_the_scale_of_the_pixels(
    classifier: Classifier, benign: np.ndarray
) -> None:
    wide = Classifier(lambda images: classifier(images / 255), Bounds(0, 255))
    narrow = attacks.calibrate("bim-search", classifier, benign[:40])
    scaled = attacks.calibrate("bim-search", wide, 255 * benign[:40])
    assert scaled.step == pytest.approx(narrow.step, rel=0.03)


@pytest.mark.long
def test_benign_images_reach_the_distance_of_dba_in_as_many_iterations_as_wanted(
    classifier: Classifier, benign: np.ndarray
) -> None:
    attack = attacks.calibrate("dba", classifier, benign[:25], cost=40)
    assert isinstance(attack, attacks.DBA) and attack.max_iterations == 80
    assert np.median(attack.run(classifier, benign[:25]).cost) == pytest.approx(40, abs=1)
    # The threshold is in units of the squared pixel range, as the attack takes it.
    wide = Classifier(lambda images: classifier(images / 255), Bounds(0, 255))
    scaled = attacks.calibrate("dba", wide, 255 * benign[:25], cost=40)
    assert scaled.mse_threshold == pytest.approx(attack.mse_threshold, rel=0.2)
    # Labels alone will do.
    black_box = Classifier.label_only(classifier.predict, input_shape=benign.shape[1:])
    assert attacks.calibrate("dba", black_box, benign[:25], cost=40) == attack


@pytest.mark.parametrize("name", ["bim", "bim2-search"])
def test_a_boundary_farther_than_half_of_the_range_is_reached(name: str) -> None:
    def far(images: tf.Tensor) -> tf.Tensor:  # another class 0.6 of the range away
        mean = tf.reduce_mean(images, axis=(1, 2, 3))
        return tf.stack([mean - 0.35, 0.25 - mean], axis=1)

    images = np.random.default_rng(0).uniform(0.85, 0.95, (20, 4, 4, 1)).astype(np.float32)
    attack = attacks.calibrate(name, Classifier(far, input_shape=(4, 4, 1)), images, cost=50)
    # The longest step that the largest ball allows.
    assert isinstance(attack, attacks.BIM) and (attack.eps, attack.step) == (1.0, 0.01)


def test_dba_takes_inputs_of_any_shape() -> None:
    def classifier(images: tf.Tensor) -> tf.Tensor:
        mean = tf.reduce_mean(images, axis=1)
        return tf.stack([mean, 1.2 - mean], axis=1)

    images = np.random.default_rng(0).uniform(0.7, 0.9, (12, 6)).astype(np.float32)
    attack = attacks.calibrate("dba", Classifier(classifier, input_shape=(6,)), images, cost=10)
    assert isinstance(attack, attacks.DBA) and attack.mse_threshold > 0


def test_jsma_is_left_as_published(classifier: Classifier, benign: np.ndarray) -> None:
    assert attacks.calibrate("jsma", classifier, benign[:5]) == attacks.preset("jsma", "mnist")


def test_what_cannot_be_calibrated_is_refused(classifier: Classifier, benign: np.ndarray) -> None:
    def constant(images: tf.Tensor) -> tf.Tensor:
        # Leans on its pixels, but never as far as another label.
        lean = tf.reduce_mean(images, axis=(1, 2, 3))
        return tf.stack([5 + lean, lean], axis=1) * [[1.0, 0.5]]

    for name, one, images, cost, message in (
        ("dba", Classifier(constant), benign[:5], 20, "noise another label"),
        ("bim", classifier, benign[:5], 50.5, "a median cost to be an integer, got 50.5"),
        ("bin", classifier, benign[:5], 100, "expected an attack out of"),
        ("bim", classifier, benign[:0], 100, "at least one benign image"),
        ("bim", classifier, benign[:5], 9, "at least 10, got 9"),
        ("bim", Classifier(constant), benign[:5], 100, "keep at any distance"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            attacks.calibrate(name, one, images, cost=cost)
