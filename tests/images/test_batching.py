"""Images that come in batches are attacked as those of an array are."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Classifier, InvalidInputError, attack_costs, detectors
from a2d_tf.attacks import BIM, JSMA
from a2d_tf.images import to_array
from a2d_tf.storage.files import npz_rows

ATTACKS = {
    "bim": BIM(eps=0.3, step=0.004, max_iterations=60),
    "jsma": JSMA(theta=0.1, max_changes_per_pixel=7, max_iterations=60),
}


def datasets(images: np.ndarray) -> dict[str, tf.data.Dataset]:
    one_by_one = tf.data.Dataset.from_tensor_slices(images)
    return {
        "single": one_by_one,
        "batches": one_by_one.batch(13),
        "labelled": tf.data.Dataset.zip(one_by_one, tf.data.Dataset.range(len(images))).batch(70),
    }


@pytest.mark.parametrize("how", ["single", "batches", "labelled"])
def test_a_dataset_costs_what_its_array_does(
    how: str, classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:90]
    expected = attack_costs(classifier, images, ATTACKS, batch_size=16)
    heard: list[int] = []
    table = attack_costs(
        classifier, datasets(images)[how], ATTACKS, batch_size=16, on_finished=heard.append
    )
    for found, wanted in zip(table, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert sum(heard) == 180


def test_a_dataset_is_read_once_and_only_as_far_as_needed(
    classifier: Classifier, benign: np.ndarray
) -> None:
    read, finished = [], []

    def images() -> object:
        for index, image in enumerate(benign[:200]):
            read.append(index)
            yield image

    stream = tf.data.Dataset.from_generator(
        images, output_signature=tf.TensorSpec((8, 8, 1), tf.float32)
    )
    ahead = []

    def on_finished(count: int) -> None:
        finished.append(count)
        ahead.append(len(read) - sum(finished))

    attack_costs(
        classifier, stream, {"bim": ATTACKS["bim"]}, batch_size=32, on_finished=on_finished
    )
    assert read == list(range(200)) and sum(finished) == 200
    assert max(ahead) <= 4 * 32  # those under attack, those waiting, and the one read ahead


@pytest.mark.parametrize("directions", [False, True])
def test_a_detector_judges_datasets(
    directions: bool, classifier: Classifier, benign: np.ndarray
) -> None:
    detector = detectors.Logistic() if directions else detectors.ZScore()
    a2d = A2D(classifier, ATTACKS, detector, directions=directions)
    attacked = BIM(eps=0.4, step=0.02, max_iterations=50).run(classifier, benign[:60]).adversarial
    a2d.fit(benign[:60], attacked if directions else None)
    expected = a2d.predict(benign[60:130])
    for dataset in datasets(benign[60:130]).values():
        found = a2d.predict(dataset)
        np.testing.assert_array_equal(found.costs, expected.costs)
        np.testing.assert_array_equal(found.is_adversarial, expected.is_adversarial)
        np.testing.assert_array_equal(found.is_adversarial, a2d.is_adversarial(dataset))


def test_unfit_datasets_are_refused(classifier: Classifier, benign: np.ndarray) -> None:
    single = tf.data.Dataset.from_tensor_slices(benign[:40])
    for dataset, message in {
        single.map(lambda image: {"image": image}): "map its elements to images",
        single.map(lambda image: image[..., 0]): "images .8, 8, 1. or of batches",
        single.map(lambda image: 255 * image): "scale the images",
        single.map(lambda image: image[:4]): "got .40, 4, 8, 1.",
    }.items():
        with pytest.raises(InvalidInputError, match=message):
            attack_costs(classifier, dataset, ATTACKS)
    with pytest.raises(InvalidInputError, match="batch size"):
        attack_costs(classifier, single, ATTACKS, batch_size=0)
    assert to_array(single.take(0), classifier.input_spec).shape == (0, 8, 8, 1)
    empty = attack_costs(classifier, single.take(0), ATTACKS)
    assert empty.costs.shape == (0, 2) and empty.labels.shape == (0,)


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_of_a_file_in_parts(order: str, tmp_path: Path) -> None:
    array = np.asarray(np.arange(7 * 6).reshape(7, 3, 2), order=order)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "rows.npz", images=array, others=np.zeros(3))
        parts = list(npz_rows(tmp_path / "rows.npz", "images", 3))
        assert [len(part) for part in parts] == [3, 3, 1]
        np.testing.assert_array_equal(np.concatenate(parts), array)
        assert [len(p) for p in npz_rows(tmp_path / "rows.npz", "images", 3, limit=4)] == [3, 1]
    with pytest.raises(InvalidInputError, match="to hold 'pictures', got keys"):
        list(npz_rows(tmp_path / "rows.npz", "pictures", 3))
