"""One notion of images: arrays and datasets of any making are the same images everywhere."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import a2d_baselines  # noqa: F401, registers its features
from a2d_tf import A2D, Classifier, InvalidInputError, attack_costs, attacks
from a2d_tf.attacks import BIM
from a2d_tf.features import by_name
from a2d_tf.images import to_array

ATTACK = BIM(eps=0.3, step=0.01, max_iterations=30)


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Images in batches, with their labels if there are any."""

    def __init__(self, images: np.ndarray, size: int = 7, labelled: bool = True, **options: Any):
        super().__init__(**options)
        self._images, self._size, self._labelled = images, size, labelled

    def __len__(self) -> int:
        return -(-len(self._images) // self._size)

    def __getitem__(self, index: int) -> Any:
        part = self._images[index * self._size:(index + 1) * self._size]
        return (part, np.zeros(len(part))) if self._labelled else part


class Endless(Batches):
    num_batches = None


def generated(images: np.ndarray, **signature: Any) -> tf.data.Dataset:
    spec = tf.TensorSpec(**({"shape": images.shape[1:], "dtype": tf.float32} | signature))
    return tf.data.Dataset.from_generator(lambda: iter(images), output_signature=spec)


SOURCES: dict[str, Callable[[np.ndarray], Any]] = {
    "list": list,
    "tensor": tf.constant,
    "float64": lambda images: images.astype(np.float64),
    "one by one": tf.data.Dataset.from_tensor_slices,
    "batches": lambda images: tf.data.Dataset.from_tensor_slices(images).batch(8),
    "labelled": lambda images: tf.data.Dataset.from_tensor_slices(
        (images, np.zeros(len(images)))
    ).batch(11),
    "unknown length": generated,
    "unknown shape": lambda images: generated(images, shape=None),
    "unknown batches": lambda images: generated(images, shape=None).batch(9),
    "py labelled": Batches,
    "py alone": lambda images: Batches(images, size=50, labelled=False),
}


@pytest.mark.parametrize("how", SOURCES)
def test_any_source_is_the_same_images(
    how: str, classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:40]
    source = SOURCES[how]
    np.testing.assert_array_equal(to_array(source(images), classifier.input_spec), images)
    assert len(to_array(source(images), classifier.input_spec, limit=5)) == 5
    np.testing.assert_array_equal(classifier.predict(source(images)), classifier.predict(images))
    np.testing.assert_array_equal(classifier.logits(source(images)), classifier.logits(images))
    costs = attack_costs(classifier, source(images), ATTACK).costs
    np.testing.assert_array_equal(costs, attack_costs(classifier, images, ATTACK).costs)
    np.testing.assert_array_equal(ATTACK.run(classifier, source(images)).cost, costs[:, 0])


@pytest.mark.parametrize("how", [
    "batches", *(pytest.param(how, marks=pytest.mark.long)
                 for how in ("unknown length", "py labelled")),
])
def test_a_fit_counts_images_and_not_batches(
    how: str, classifier: Classifier, benign: np.ndarray
) -> None:
    source = SOURCES[how]
    expected = A2D(classifier, [ATTACK], "zscore").fit(benign[:40])
    found = A2D(classifier, [ATTACK], "zscore").fit(source(benign[:40]))
    np.testing.assert_array_equal(
        found.predict(source(benign[40:60])).score, expected.predict(benign[40:60]).score
    )
    np.testing.assert_array_equal(
        found.is_adversarial(source(benign[40:60])), expected.is_adversarial(benign[40:60])
    )
    found.calibrate(source(benign[60:100]), 0.1)
    assert found.detector.calibration == (0.1, 40)
    step = attacks.calibrate("bim-search", classifier, source(benign[:30]), cost=20)
    assert step == attacks.calibrate("bim-search", classifier, benign[:30], cost=20)


@pytest.mark.parametrize("name", ["margin", "directions", "kd", "lid"])
def test_features_of_any_source(name: str, classifier: Classifier, benign: np.ndarray) -> None:
    feature = by_name(name)
    source = SOURCES["py labelled"]
    adversarial = np.clip(benign[:30] + 0.1, 0, 1)
    a2d = A2D(classifier, [feature], "logistic").fit(source(benign[:30]), source(adversarial))
    np.testing.assert_array_equal(
        a2d.measure(source(benign[30:50])).values, a2d.measure(benign[30:50]).values
    )


def test_bytes_in_datasets_are_bytes(classifier: Classifier, benign: np.ndarray) -> None:
    whole = np.round(255 * benign[:20]).astype(np.uint8)
    expected = classifier.logits(whole / np.float32(255))
    for source in (tf.data.Dataset.from_tensor_slices(whole), Batches(whole), whole):
        np.testing.assert_array_equal(classifier.logits(source), expected)


def failing(images: np.ndarray) -> tf.data.Dataset:
    def broken(image: np.ndarray) -> np.ndarray:
        raise OSError("no such picture")

    dataset = tf.data.Dataset.from_tensor_slices(images)
    return dataset.map(lambda image: tf.ensure_shape(
        tf.numpy_function(broken, [image], tf.float32), images.shape[1:]
    ))


ENDLESS: dict[str, tuple[Callable[[np.ndarray], Any], str]] = {
    "repeat": (lambda x: tf.data.Dataset.from_tensor_slices(x).repeat(), r"leave its repeat\(\)"),
    "repeat batches": (
        lambda x: tf.data.Dataset.from_tensor_slices(x).batch(4).repeat(), "expected a dataset that"
    ),
    "py": (Endless, "num_batches is None"),
    "generator": (lambda x: (image for image in x), "got a generator; stack them"),
    "iterator": (iter, "stack them with np.stack"),
    "function": (lambda x: lambda: x, "got a function"),
    "path": (lambda x: "images.npz", "load files with"),
    "step that fails": (failing, r"read to its end, .*\(OSError: no such picture\)"),
    "mask": (lambda x: np.ma.masked_array(x, x > 0.2), "fill its masked pixels"),
    "dictionary": (lambda x: {"images": x}, "out of a dictionary"),
}


@pytest.mark.parametrize("how", ENDLESS)
def test_what_does_not_end_or_is_no_source(
    how: str, classifier: Classifier, benign: np.ndarray
) -> None:
    make, message = ENDLESS[how]
    calls = (
        lambda: classifier.predict(make(benign[:8])),
        lambda: classifier.logits(make(benign[:8])),
        lambda: ATTACK.run(classifier, make(benign[:8])),
        lambda: attack_costs(classifier, make(benign[:8]), ATTACK),
        lambda: A2D(classifier, [ATTACK], "zscore").fit(make(benign[:8])),
        lambda: attacks.calibrate("bim-search", classifier, make(benign[:8])),
    )
    for call in calls:
        with pytest.raises(InvalidInputError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
