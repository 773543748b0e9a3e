"""The paper's classifiers, and their training."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import InvalidInputError
from a2d_tf.threats import PGD
from a2d_tf.zoo import (
    MODELS, Dataset, adversarial_training, architectures, gradient_penalty, training,
)


def tiny(shape: tuple[int, int, int]) -> Dataset:
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(20, *shape)).astype(np.float32)
    labels = np.arange(20) % 10
    return Dataset(images, labels, images, labels)


def test_lenet_is_feinmans() -> None:
    model = architectures.lenet((28, 28, 1), 10)
    convolutions = 64 * 9 + 64 + 64 * 64 * 9 + 64
    assert model.count_params() == convolutions + 9216 * 128 + 128 + 128 * 10 + 10


def test_convnet_is_feinmans() -> None:
    model = architectures.convnet((32, 32, 3), 10)
    widths = [3, 32, 32, 64, 64, 128, 128]
    convolutions = sum(9 * a * b + b for a, b in zip(widths, widths[1:]))
    dense = sum(a * b + b for a, b in ((2048, 1024), (1024, 512), (512, 10)))
    assert model.count_params() == convolutions + dense
    assert len(model.losses) == 4  # kernel and bias of the two hidden layers


@pytest.mark.parametrize("name, file", [
    ("lenet", "lenet_mnist"), ("convnet", "convnet_cifar10"),
])
def test_architectures_equal_the_trained_ones(
    name: str, file: str, shared: Callable[[str], Path]
) -> None:
    trained = keras.saving.load_model(shared(f"models/{file}.keras"))
    ours = MODELS[name](trained.input_shape[1:], 10)
    drop = {"name", "dtype", "seed", "data_format"}

    def layout(model: keras.Model) -> list[tuple[str, dict[str, object]]]:
        return [
            (type(layer).__name__,
             {k: v for k, v in layer.get_config().items() if k not in drop})
            for layer in model.layers
        ]

    kinds = [kind for kind, _ in layout(ours)]
    weighted = [entry for entry in layout(ours) if entry[0] in ("Conv2D", "Dense")]
    assert weighted == [e for e in layout(trained) if e[0] in ("Conv2D", "Dense")]
    assert sorted(kinds) == sorted(kind for kind, _ in layout(trained))


@pytest.mark.long
def test_training_is_determined_by_the_seed(tmp_path: Path) -> None:
    data = tiny((12, 12, 1))
    first, again, other = (training.train("lenet", data, 1, seed=seed) for seed in (3, 3, 4))
    for ours, same in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, same)
    assert np.abs(first.get_weights()[0] - other.get_weights()[0]).max() > 0
    training.save(first, tmp_path / "new" / "model.keras")
    assert (tmp_path / "new" / "model.keras").is_file()


@pytest.mark.long
def test_training_leaves_the_random_numbers_of_the_process_alone() -> None:
    def draws() -> list[float]:
        return [random.random(), np.random.uniform(), *np.ravel(tf.random.uniform((3,)))]

    def after(seed: int | None, train: bool) -> list[float]:
        keras.utils.set_random_seed(9)
        tf.random.set_seed(seed)
        if train:
            training.train("lenet", tiny((12, 12, 1)), 1, seed=3)
        return draws()

    assert after(9, train=True) == after(9, train=False)
    assert after(None, train=True)[2:] != after(None, train=True)[2:]  # no seed, as before
    keras.utils.set_random_seed(1)
    first = training.train("lenet", tiny((12, 12, 1)), 1, seed=3)
    keras.utils.set_random_seed(2)
    again = training.train("lenet", tiny((12, 12, 1)), 1, seed=3)
    for ours, same in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, same)


def test_the_convnet_trains() -> None:
    epochs: list[int] = []
    batches: list[int] = []
    data = tiny((8, 8, 3))
    with pytest.warns(DeprecationWarning, match="give on_batch"):
        model = training.train("convnet", data, 2, on_epoch=epochs.append, on_batch=batches.append)
    assert epochs == [1, 1] and model.output_shape == (None, 10)
    assert batches == [1] * training.batches(data, 2)


def test_every_epoch_has_every_image_once() -> None:
    rows = list(training.shuffled(300, 2, 0))
    assert [len(one) for one in rows] == [128, 128, 44] * 2
    first, second = (np.concatenate(part) for part in (rows[:3], rows[3:]))
    assert sorted(first) == sorted(second) == list(range(300)) and (first != second).any()


@pytest.mark.long
def test_networks_of_env2() -> None:
    lenet5 = MODELS["lenet5"]((28, 28, 1), 10)
    assert lenet5.count_params() == 156 + 2416 + 400 * 120 + 120 + 120 * 84 + 84 + 84 * 10 + 10
    resnet = MODELS["resnet20"]((32, 32, 3), 10)
    kernels = [layer for layer in resnet.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len([one for one in kernels if one.kernel_size == (3, 3)]) == 19  # and a Dense
    assert 0.27e6 < resnet.count_params() < 0.28e6  # He 2015, table 6: 0.27 million
    google = MODELS["googlenet"]((32, 32, 3), 10)
    joined = [layer for layer in google.layers if isinstance(layer, keras.layers.Concatenate)]
    assert [one.output.shape[1:] for one in joined[1::6]] == [(32, 32, 480), (8, 8, 832)]
    assert len(joined) == 9 and joined[-1].output.shape[-1] == 1024
    assert google.output_shape == (None, 10)


@pytest.mark.parametrize("shape", [(16, 16, 3), (16, 16, 1)])
def test_augmentation_shifts_and_mirrors_colour_images(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    images = rng.uniform(0.5, 1, (30, *shape)).astype(np.float32)
    keras.utils.set_random_seed(0)
    batches = training._augmented(images, np.arange(30), 0)
    changed, labels = (np.concatenate(parts) for parts in zip(*(
        (pixels.numpy(), truth.numpy()) for pixels, truth in batches
    )))
    assert sorted(labels) == list(range(30)) and changed.shape == images.shape
    mirrored = 0
    for image, label in zip(changed, labels):
        padded = np.pad(images[label], [(2, 2), (2, 2), (0, 0)])
        windows = [padded[y:y + 16, x:x + 16] for y in range(5) for x in range(5)]
        plain = any(np.array_equal(image, one) for one in windows)
        flipped = any(np.array_equal(image[:, ::-1], one) for one in windows)
        assert plain or flipped
        mirrored += not plain
    assert (0 < mirrored < 30) if shape[2] == 3 else mirrored == 0


@pytest.mark.long
def test_resnet_trains_with_augmentation() -> None:
    model = training.train("resnet20", tiny((8, 8, 3)), 1, augment=True)
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize("activation", ["softmax", None])
@pytest.mark.parametrize("further", [
    training.train,
    partial(adversarial_training.train_adversarially, threat=PGD(eps=0.1, steps=1)),
    partial(gradient_penalty.train_with_penalty, weight=1.0),
])
def test_a_trained_model_is_trained_further(
    further: Callable[..., keras.Model], activation: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiny((6, 6, 1))
    start = keras.Sequential([
        keras.Input((6, 6, 1)), keras.layers.Flatten(),
        keras.layers.Dense(10, activation=activation),
    ])
    before = start.get_weights()
    found = further(None, data, 1, init=start)
    assert np.abs(found.get_weights()[0] - before[0]).max() > 0
    np.testing.assert_array_equal(start.get_weights()[0], before[0])  # it has weights of its own
    monkeypatch.setattr(training, "LEARNING_RATE", 0.0)
    found = further(None, data, 1, init=start)
    np.testing.assert_array_equal(found.get_weights()[0], before[0])
    # What is minimised is the cross-entropy of the outputs, whether these are logits or not.
    probabilities = np.asarray(keras.ops.softmax(start(data.x_train))) if activation is None else (
        np.asarray(start(data.x_train))
    )
    expected = -np.log(probabilities[range(20), data.y_train]).mean()
    loss = found.loss(data.y_train, found(data.x_train))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_unfit_requests_are_refused(tmp_path: Path) -> None:
    data = tiny((12, 12, 1))
    with pytest.raises(InvalidInputError, match="a model out of lenet, convnet, lenet5, resnet20"):
        training.train("resnet", data, 1)
    with pytest.raises(InvalidInputError, match="got 0 epochs"):
        training.train("lenet", data, 0)
    lenet = architectures.lenet((12, 12, 1), 10)
    for init, message in (
        (tiny, "a Keras model to train further, got another kind .function."),
        (architectures.lenet((12, 12, 1), 2), "shape .10,., one for each class, got .2,."),
        (architectures.lenet((9, 9, 3), 10), "for images of shape .12, 12, 1. to train further"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            training.train(None, data, 1, init=init)
    with pytest.raises(InvalidInputError, match="got both; give one"):
        training.train("lenet", data, 1, init=lenet)
    with pytest.raises(InvalidInputError, match="got neither; give one"):
        training.train(None, data, 1)
    with pytest.raises(InvalidInputError, match="ends in .keras"):
        training.save(architectures.lenet((12, 12, 1), 2), tmp_path / "model.h5")
