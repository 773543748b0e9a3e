"""What many tests share: a small trained classifier, and data that may be absent."""

import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from a2d_tf import Classifier

SHARED = Path(os.environ.get("A2D_SHARED", "../shared")).resolve()


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Finds a file that does not ship with the project, or skips the test."""
    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"{name} is not in {SHARED}; set A2D_SHARED to where it is")
        return path

    return find


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits f32[1797,8,8,1] in [0, 1], and their labels."""
    bundled = load_digits()
    return (bundled.images[..., None] / 16).astype(np.float32), bundled.target.astype(np.int64)


@pytest.fixture(scope="session")
def model(digits: tuple[np.ndarray, np.ndarray]) -> keras.Model:
    """A convolutional network, trained on the first 1,200 digits."""
    keras.utils.set_random_seed(1)
    network = keras.Sequential([
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(10, activation="softmax"),
    ])
    network.compile("adam", "sparse_categorical_crossentropy")
    images, labels = digits
    network.fit(images[:1200], labels[:1200], epochs=12, batch_size=64, verbose=0)
    return network


@pytest.fixture(scope="session")
def classifier(model: keras.Model) -> Classifier:
    return Classifier(model)


@pytest.fixture(scope="session")
def benign(digits: tuple[np.ndarray, np.ndarray], classifier: Classifier) -> np.ndarray:
    """Test digits that the classifier gets right."""
    images, labels = digits[0][1200:], digits[1][1200:]
    return images[classifier.predict(images) == labels]
