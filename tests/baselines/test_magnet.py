"""MagNet's auto-encoders as a feature."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Bounds, Classifier, InvalidInputError
from a2d_tf.evaluation.metrics import auroc
from a2d_tf.features import FitData, by_name
from a2d_baselines import MagNet
from a2d_baselines.magnet import SIZES


@pytest.fixture(scope="module")
def fitted(classifier: Classifier, benign: np.ndarray) -> A2D:
    a2d = A2D(classifier, MagNet(epochs=150, learning_rate=0.03, size="mnist-2"), "threshold")
    return a2d.fit(benign[:300], fpr=0.1)


def noisy(images: np.ndarray) -> np.ndarray:
    noise = 0.3 * np.random.default_rng(0).standard_normal(images.shape)
    return np.clip(images + noise, 0, 1).astype(np.float32)


def test_noise_is_reconstructed_worse(fitted: A2D, benign: np.ndarray) -> None:
    fresh = benign[300:500]
    assert fitted.score(benign[:300]).std() > 0
    assert auroc(fitted.score(fresh), fitted.score(noisy(fresh))) > 0.9
    assert fitted.is_adversarial(fresh).mean() < 0.2
    column, = fitted.predict(fresh).column_names
    assert column == "magnet"
    np.testing.assert_allclose(fitted.measure(fresh).values[:, 0], fitted.score(fresh), rtol=1e-6)


@pytest.mark.long
def test_training_lowers_the_error(classifier: Classifier, benign: np.ndarray) -> None:
    data = FitData(benign, benign, classifier.predict(benign))
    for norm in (1, 2):
        errors = [
            MagNet(epochs=epochs, norm=norm, size="mnist-2", learning_rate=0.03)
            .fit(classifier, data).measure(classifier, benign).mean() for epochs in (1, 40)
        ]
        assert errors[1] < 0.8 * errors[0]


def test_the_seed_decides_and_no_global_one_is_touched(
    classifier: Classifier, benign: np.ndarray
) -> None:
    data = FitData(benign[:50], benign[:50], classifier.predict(benign[:50]))
    np.random.seed(1)
    tf.random.set_seed(1)
    before = np.random.get_state()[1].copy()
    first, again, other = (
        MagNet(epochs=2, seed=seed).fit(classifier, data).measure(classifier, benign[:20])
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    drawn = tf.random.uniform((3,)).numpy()
    tf.random.set_seed(1)
    np.testing.assert_array_equal(tf.random.uniform((3,)).numpy(), drawn)


def test_saved_and_exported_they_score_the_same(
    fitted: A2D, benign: np.ndarray, tmp_path: Path
) -> None:
    images = benign[300:340]
    expected = fitted.score(images)
    fitted.save(tmp_path / "saved")
    np.testing.assert_array_equal(A2D.load(tmp_path / "saved").score(images), expected)
    fitted.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    np.testing.assert_allclose(
        served(images=tf.constant(images))["score"], expected, rtol=1e-4
    )


def test_sizes_are_those_of_the_paper(classifier: Classifier, benign: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for shape, name, channels in (
        ((28, 28, 1), "mnist", 1), ((32, 32, 3), "cifar10", 3), ((7, 8, 1), "cifar10", 1),
    ):
        images = rng.uniform(-1, 1, (4, *shape)).astype(np.float32)
        wide = Classifier(
            lambda some: tf.reduce_mean(some, axis=(1, 2)) * tf.constant([[1.0, 2.0]])
            if some.shape[-1] == 1 else tf.reduce_mean(some, axis=(1, 2)),
            Bounds(-1, 1), input_shape=shape,
        )
        data = FitData(images, images, np.zeros(4, np.int64))
        feature = MagNet(epochs=1).fit(wide, data)
        assert feature.learned is not None
        kernels = [one.shape for name_, one in feature.learned.items() if "kernel" in name_]
        hidden = SIZES[name].hidden
        widths = [channels, *[3] * hidden, channels]
        assert kernels == [(3, 3, a, b) for a, b in zip(widths, widths[1:])]
        values = feature.measure(wide, images)
        assert values.shape == (4, 1) and (values > 0).all() and (values < 1).all()


def test_it_needs_no_logits(classifier: Classifier, benign: np.ndarray) -> None:
    black_box = Classifier.label_only(classifier.predict, input_shape=(8, 8, 1))
    a2d = A2D(black_box, MagNet(epochs=1), "threshold").fit(benign[:60], fpr=0.1)
    assert np.isfinite(a2d.score(benign[:5])).all()


def test_unfit_settings_are_one_line(classifier: Classifier, benign: np.ndarray) -> None:
    assert by_name("magnet") == MagNet()
    with pytest.raises(InvalidInputError, match="size out of auto, mnist, .* got 'lenet'"):
        MagNet(size="lenet")
    with pytest.raises(InvalidInputError, match="norm from 1 to 2"):
        MagNet(norm=3)
    odd = np.zeros((4, 7, 8, 1), np.float32)
    with pytest.raises(InvalidInputError, match="even height and width.*got 7x8"):
        MagNet(size="mnist").fit(classifier, FitData(odd, odd, np.zeros(4, np.int64)))
