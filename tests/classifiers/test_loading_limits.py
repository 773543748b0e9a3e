"""Model files: the home folder, damage and size; and models of a fixed batch size."""

import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Classifier
from a2d_tf.attacks import BIM
from a2d_tf.errors import InvalidInputError, UnsuitableClassifierError

IMAGES = np.random.default_rng(0).uniform(0, 1, (40, 4, 4, 1)).astype(np.float32)
WEIGHTS = np.random.default_rng(1).normal(size=(16, 3)).astype(np.float32)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    path = tmp_path / "mine.keras"
    keras.Sequential(layers).save(path)
    return path


@pytest.mark.parametrize("load", [Classifier.load, Classifier])
def test_the_home_folder_is_found(
    load: type[Classifier], saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(saved.parent))
    expected = Classifier.load(saved).logits(IMAGES)
    np.testing.assert_array_equal(load("~/mine.keras").logits(IMAGES), expected)


def test_a_flipped_byte_is_found(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        place = archive.getinfo("model.weights.h5").header_offset + 200
    content = bytearray(saved.read_bytes())
    content[place] ^= 1
    saved.write_bytes(bytes(content))
    with pytest.raises(InvalidInputError, match="whole archive") as error:
        Classifier.load(saved)
    assert "\n" not in str(error.value)


def test_a_file_of_a_later_keras_is_told(saved: Path, tmp_path: Path) -> None:
    later = tmp_path / "later.keras"
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(later, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "metadata.json":
                content = json.dumps({"keras_version": "99.1.0"}).encode()
            new.writestr(name, content.replace(b'"Dense"', b'"Thick"'))
    with pytest.raises(InvalidInputError, match="Keras 99.1.0 wrote it") as error:
        Classifier.load(later)
    assert "\n" not in str(error.value)


def test_an_archive_that_grows_is_refused(saved: Path) -> None:
    with zipfile.ZipFile(saved, "a", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("assets", "w", force_zip64=True) as file:
            for _ in range(1100):
                file.write(bytes(2**20))
    with pytest.raises(InvalidInputError, match="at most 1 GiB of memory, got 1.07 GiB"):
        Classifier.load(saved)


def test_weights_that_grow_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file.create_dataset("kernel", (2**15, 2**15), "f4", chunks=True, compression="gzip")
    with pytest.raises(InvalidInputError, match="weights of .* at most 1 GiB of memory, got 4 GiB"):
        Classifier.load(tmp_path / "mine.h5")


@tf.function(autograph=False)
def of_four(images: tf.Tensor) -> tf.Tensor:
    return tf.reshape(images, (4, 16)) @ WEIGHTS


def test_a_fixed_batch_size_is_said_in_a_line() -> None:
    with pytest.raises(UnsuitableClassifierError, match="input_signature") as error:
        A2D(Classifier(of_four, input_shape=(4, 4, 1), probabilities=False), BIM(
            eps=0.3, step=0.01, max_iterations=50
        ), "zscore").fit(IMAGES)
    assert "\n" not in str(error.value)


def test_with_a_signature_it_is_filled_up() -> None:
    signature = [tf.TensorSpec((4, 4, 4, 1), tf.float32)]
    classifier = Classifier(tf.function(of_four, input_signature=signature), probabilities=False)
    expected = IMAGES.reshape(40, 16) @ WEIGHTS
    np.testing.assert_allclose(classifier.logits(IMAGES[:7]), expected[:7], rtol=1e-4, atol=1e-5)
