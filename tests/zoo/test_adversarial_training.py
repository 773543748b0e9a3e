"""Adversarial training: it makes a classifier robust, by its seed alone."""

import keras
import numpy as np
import pytest

from a2d_tf import InvalidInputError
from a2d_tf.threats import FGSM, PGD
from a2d_tf.zoo import MODELS, Dataset
from a2d_tf.zoo.adversarial_training import Accuracy, accuracy, scaled, train_adversarially
from a2d_tf.zoo.training import batches, train

THREAT = PGD(eps=0.15, steps=3)


def small(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    return keras.Sequential([
        keras.Input(input_shape),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dropout(0.1),
        keras.layers.Dense(classes, activation="softmax"),
    ])


@pytest.fixture
def dataset(
    digits: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> Dataset:
    monkeypatch.setitem(MODELS, "small", small)
    images, labels = digits
    return Dataset(images[:1200], labels[:1200], images[1200:1400], labels[1200:1400])


@pytest.mark.long
def test_it_makes_a_classifier_robust(dataset: Dataset) -> None:
    plain = accuracy(train("small", dataset, 25), dataset, THREAT, 200)
    model = train_adversarially("small", dataset, 25, THREAT)
    robust = accuracy(model, dataset, THREAT, 200)
    assert isinstance(robust, Accuracy) and robust.images == 200
    assert robust.clean > 0.8 and plain.clean > 0.85
    assert robust.robust > plain.robust + 0.15, (plain, robust)
    assert robust.robust <= robust.clean


@pytest.mark.long
def test_it_goes_on_from_a_trained_model(dataset: Dataset) -> None:
    start = train("small", dataset, 10)
    model = train_adversarially(None, dataset, 3, THREAT, init=start)
    plain, ours, drawn = (
        accuracy(one, dataset, THREAT, 200)
        for one in (start, model, train_adversarially("small", dataset, 3, THREAT))
    )
    assert ours.robust > plain.robust + 0.05 and ours.clean > drawn.clean + 0.1


@pytest.mark.long
def test_the_seed_decides(dataset: Dataset) -> None:
    few = dataset._replace(x_train=dataset.x_train[:200], y_train=dataset.y_train[:200])
    done: list[int] = []
    weights = [
        train_adversarially("small", few, 2, THREAT, seed=seed, on_batch=done.append)
        .get_weights()[0] for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).any()
    assert batches(few, 2) == 4 and done == [1] * 3 * 4


def test_the_radius_grows(dataset: Dataset) -> None:
    half = scaled(PGD(eps=0.2, step=0.1, steps=3), 0.5, 7)
    assert (half.eps, half.step, half.seed, half.steps) == (0.1, 0.05, 7, 3)


def test_the_radius_grows_over_half_of_the_training(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = dataset._replace(x_train=dataset.x_train[:300], y_train=dataset.y_train[:300])
    seen: list[tuple[float, int]] = []

    def perturb(threat: PGD, classifier: object, images: np.ndarray, *others: object) -> np.ndarray:
        seen.append((threat.eps, threat.seed))
        return images

    monkeypatch.setattr(PGD, "perturb", perturb)
    train_adversarially("small", few, 2, PGD(eps=0.3, steps=1), seed=5)
    # Six batches, of which the third has the full radius; each epoch has another seed.
    assert [seed for _, seed in seen] == [5] * 3 + [6] * 3
    np.testing.assert_allclose([eps for eps, _ in seen], [0.1, 0.2, 0.3, 0.3, 0.3, 0.3])


def test_unfit_input_is_one_line(dataset: Dataset) -> None:
    with pytest.raises(InvalidInputError, match="expected a PGD to train against, got FGSM"):
        train_adversarially("small", dataset, 1, FGSM(eps=0.1))  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="epochs and training images, got 0"):
        train_adversarially("small", dataset, 0, THREAT)
    with pytest.raises(InvalidInputError, match="a model out of"):
        train_adversarially("vgg", dataset, 1, THREAT)
