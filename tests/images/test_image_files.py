"""Datasets and image files."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import Bounds, Classifier, InvalidInputError
from a2d_tf.zoo import load_dataset
from a2d_tf.images import load_adversarial, load_images, load_sources

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 6, 4, 3), np.uint8)


@pytest.fixture(scope="module")
def signed() -> Classifier:
    """A classifier of 6x4 colour images in [-1, 1]."""
    layers = [keras.Input((6, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    return Classifier(keras.Sequential(layers), (-1, 1))


def test_digits() -> None:
    digits = load_dataset("digits")
    assert digits.x_train.shape == (1078, 28, 28, 1) and digits.x_test.shape == (719, 28, 28, 1)
    assert digits.x_train.dtype == np.float32 and digits.classes == 10
    assert digits.x_test.min() == 0 and digits.x_test.max() == 1
    assert digits.digest() == load_dataset("digits").digest()


def test_arrays_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(5)[:, None]
    np.savez(tmp_path / "cifar10.npz", x_train=PIXELS, y_train=labels, x_test=PIXELS[:2],
             y_test=labels[:2])
    monkeypatch.setenv("A2D_DATA_DIR", str(tmp_path))
    dataset = load_dataset("cifar10")
    np.testing.assert_allclose(dataset.x_train, PIXELS / 255, atol=1e-6)
    assert dataset.y_test.tolist() == [0, 1]


def test_imagenet_reads_a_folder_per_class(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        tf.io.write_file(str(tmp_path / name / "1.png"), tf.io.encode_png(PIXELS[0]))
    dataset = load_dataset("imagenet", tmp_path)
    assert dataset.x_test.shape == (2, 224, 224, 3) and dataset.y_test.tolist() == [0, 1]


def test_images_of_a_folder_come_in_turns_of_classes(tmp_path: Path) -> None:
    for name, count in (("cat", 3), ("dog", 1), ("eel", 2)):
        (tmp_path / name).mkdir()
        for number in range(count):
            grey = np.full((4, 4, 1), 50 * number, np.uint8)
            tf.io.write_file(str(tmp_path / name / f"{number}.png"), tf.io.encode_png(grey))
    dataset = load_dataset(f"{tmp_path}/", input_shape=(4, 4, 1))
    assert dataset.y_test.tolist() == [0, 1, 2, 0, 2, 0]
    np.testing.assert_allclose(255 * dataset.x_test[:, 0, 0, 0], [0, 0, 0, 50, 50, 100], atol=0.01)


def test_npz_of_bytes_is_scaled_to_the_bounds(tmp_path: Path, signed: Classifier) -> None:
    np.savez(tmp_path / "images.npz", images=PIXELS)
    names, images = load_images(tmp_path / "images.npz", signed.input_spec)
    np.testing.assert_allclose(images, PIXELS / 127.5 - 1, atol=1e-6)
    assert names == ["0", "1", "2", "3", "4"]


def test_npz_of_floats_is_taken_as_it_is(tmp_path: Path, signed: Classifier) -> None:
    np.savez(tmp_path / "images.npz", images=PIXELS / 255)
    images = load_images(tmp_path / "images.npz", signed.input_spec).images
    np.testing.assert_allclose(images, PIXELS / 255)


def test_folder_of_image_files(tmp_path: Path, signed: Classifier) -> None:
    for index, picture in enumerate(PIXELS):
        tf.io.write_file(str(tmp_path / f"{index}.png"), tf.io.encode_png(picture))
    (tmp_path / "notes.txt").write_text("no image")
    names, images = load_images(tmp_path, signed.input_spec)
    assert names == ["0.png", "1.png", "2.png", "3.png", "4.png"]
    np.testing.assert_allclose(images, PIXELS / 127.5 - 1, atol=1e-6)


def test_datasets_are_scaled_to_other_bounds() -> None:
    plain, wide = load_dataset("digits"), load_dataset("digits", bounds=Bounds(-1, 3))
    assert wide.x_test.min() == -1 and wide.x_test.max() == 3
    np.testing.assert_allclose(wide.x_test, plain.x_test * 4 - 1, atol=1e-5)


def test_scaled_bytes_stay_within_odd_bounds(tmp_path: Path) -> None:
    bounds = (-0.406 / 0.225, (1 - 0.406) / 0.225)
    layers = [keras.Input((6, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    np.savez(tmp_path / "images.npz", images=np.full((2, 6, 4, 3), 255, np.uint8))
    classifier = Classifier(keras.Sequential(layers), bounds)
    loaded = load_images(tmp_path / "images.npz", classifier.input_spec)
    assert (loaded.images == np.float32(bounds[1])).all()


def test_failed_adversarial_images_are_left_out_of_a_fit(
    tmp_path: Path, signed: Classifier
) -> None:
    success = np.array([True, False, True, True, False])
    np.savez(tmp_path / "crafted.npz", images=PIXELS, success=success)
    everything = load_images(tmp_path / "crafted.npz", signed.input_spec).images
    np.testing.assert_array_equal(
        load_adversarial(tmp_path / "crafted.npz", signed.input_spec), everything[success]
    )
    assert load_sources(tmp_path / "crafted.npz", 3).tolist() == [-1, -1, -1]
    np.savez(tmp_path / "known.npz", images=PIXELS, success=success, source=np.arange(10, 15))
    assert load_sources(tmp_path / "known.npz", 3).tolist() == [10, 12, 13]
    np.savez(tmp_path / "unfit.npz", images=PIXELS, source=np.arange(3))
    with pytest.raises(InvalidInputError, match="expected source as a row of the benign images"):
        load_sources(tmp_path / "unfit.npz", 5)
    np.savez(tmp_path / "failed.npz", images=PIXELS, success=np.zeros(5, bool))
    with pytest.raises(InvalidInputError, match="that succeeded"):
        load_adversarial(tmp_path / "failed.npz", signed.input_spec)


def test_unfit_dataset_files_are_refused(tmp_path: Path) -> None:
    labels = np.arange(5)
    for x_test, y_test in ((PIXELS, labels[:4]), (PIXELS / 255, labels)):
        np.savez(tmp_path / "cifar10.npz", x_train=PIXELS, y_train=labels, x_test=x_test,
                 y_test=y_test)
        with pytest.raises(InvalidInputError, match="expected uint8 images and a label for each"):
            load_dataset("cifar10", tmp_path)


def test_unfit_files_are_refused(tmp_path: Path, signed: Classifier) -> None:
    np.savez(tmp_path / "keys.npz", pictures=PIXELS)
    np.savez(tmp_path / "none.npz", images=PIXELS[:0])
    np.savez(tmp_path / "shape.npz", images=PIXELS[:, :3])
    np.savez(tmp_path / "kind.npz", images=PIXELS.astype(np.int64))
    np.savez(tmp_path / "scaled.npz", images=PIXELS // 255)
    np.savez(tmp_path / "range.npz", images=PIXELS.astype(np.float32))
    np.save(tmp_path / "array.npz", PIXELS)
    (tmp_path / "array.npz.npy").rename(tmp_path / "array.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "keys.npz").read_bytes()[:200])
    (tmp_path / "empty").mkdir()
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "a.png").write_text("no image")
    for name, message in {
        "missing.npz": "expected a file at", "keys.npz": "to hold 'images', got keys",
        "none.npz": "at least one image", "shape.npz": r"shape \[N, 6, 4, 3\]",
        "kind.npz": r"pixels in \[-1, 1\]", "scaled.npz": "from 0 to 255",
        "range.npz": r"pixels in \[-1, 1\]",
        "array.npz": "does not load", "cut.npz": "does not load",
        "empty": "image files", "fake": "expected an image in",
    }.items():
        with pytest.raises(InvalidInputError, match=message) as error:
            load_images(tmp_path / name, signed.input_spec)
        assert "\n" not in str(error.value)


def test_unknown_or_absent_datasets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="FILE.npz or FOLDER/ out of digits, mnist"):
        load_dataset("svhn")
    with pytest.raises(InvalidInputError, match="expected a file at"):
        load_dataset("mnist", tmp_path)
    with pytest.raises(InvalidInputError, match="images per class"):
        load_dataset("imagenet", tmp_path)
