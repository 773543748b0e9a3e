"""The experiments of section 6, from end to end on small data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from matplotlib import image

import a2d_baselines  # noqa: F401, registers its features
from a2d_tf import A2D, InvalidInputError
from a2d_tf.attacks import Attack, CarliniWagner
from a2d_tf.evaluation.adaptive_attacks import Strengths
from a2d_tf.evaluation.published import published
from a2d_tf.reports.progress import NullProgress
from a2d_tf.reproduction import (
    EXPERIMENTS,
    ReproductionConfig,
    ReproductionResult,
    adaptive_table,
    figure7,
    reproduce,
    section6,
    targeted_images,
)
from a2d_tf.reproduction.section6 import Schedule
from a2d_tf.threats import PGD, Threat
from a2d_tf.zoo import adversarial_training, load_dataset

LIMIT = 20
Run = Callable[..., ReproductionResult]


@pytest.fixture(scope="module")
def models(digits_as_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits under the names of MNIST and CIFAR-10, and small classifiers of both."""
    path = tmp_path_factory.mktemp("section6")
    for name in ("mnist.npz", "lenet_mnist.keras"):
        (path / name).write_bytes((digits_as_mnist / name).read_bytes())
    (path / "lenet_mnist_pgd.keras").write_bytes((path / "lenet_mnist.keras").read_bytes())
    digits = load_dataset("digits")
    colours = {
        name: np.repeat(np.pad(getattr(digits, name), [(0, 0), (2, 2), (2, 2), (0, 0)]), 3, axis=3)
        for name in ("x_train", "x_test")
    }
    np.savez(
        path / "cifar10.npz", y_train=digits.y_train, y_test=digits.y_test,
        **{name: np.round(255 * images).astype(np.uint8) for name, images in colours.items()},
    )
    keras.utils.set_random_seed(0)
    network = keras.Sequential([
        keras.Input((32, 32, 3)), keras.layers.AveragePooling2D(2), keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu"), keras.layers.Dense(10, activation="softmax"),
    ])
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(colours["x_train"], digits.y_train, epochs=10, batch_size=32, verbose=0)
    for name in ("convnet_cifar10.keras", "convnet_cifar10_pgd.keras"):
        network.save(path / name)
    return path


@pytest.fixture(scope="module")
def run(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs an experiment on few images; all share a folder, and so their stages."""
    folder = tmp_path_factory.mktemp("runs")

    def experiment(name: str, *datasets: str, limit: int = LIMIT) -> ReproductionResult:
        config = ReproductionConfig(
            datasets=datasets, limit=limit, seeds=[], workdir=folder, data_dir=models,
            model_dir=models, baselines=[], progress=NullProgress(),
        )
        result = reproduce(name, EXPERIMENTS[name], config)
        assert image.imread(folder / f"{name}.png").shape[0] > 150
        text = (folder / f"{name}.md").read_text()
        assert all(table.title in text for table in result.tables)
        return result

    return experiment


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(section6, "AE_EPOCHS", 2)
    monkeypatch.setattr(section6, "TESTED_ON", 20)
    for module in (figure7, targeted_images):
        monkeypatch.setattr(module, "KAPPAS", (0.0, 10.0))


@pytest.mark.long
def test_figure7_beside_the_paper(run: Run) -> None:
    results = run("figure7", "mnist", "cifar10").results
    for name, defences in (("mnist", ["A2D", "AE", "A2D + AE"]), ("cifar10", ["A2D"])):
        found = results[name]
        rates = {
            title: [at["rate"] for at in row] for title, row in found["attack_success"].items()
        }
        assert list(rates) == [*defences, "margin (baseline)", "no defence"]
        assert found["images"] == LIMIT and found["max_l2"] == published("figure7")[name]["max_l2"]
        for row in rates.values():
            assert all(0 <= rate <= alone for rate, alone in zip(row, rates["no defence"]))
        assert rates["A2D"][0] <= 0.2  # the nearest adversarial images are the least robust
    both, alone = (results["mnist"]["attack_success"][one] for one in ("A2D + AE", "A2D"))
    assert all(one["rate"] <= other["rate"] for one, other in zip(both, alone))
    assert results["cifar10"]["accuracy"]["under_pgd"] <= results["cifar10"]["accuracy"]["clean"]


@pytest.mark.long
def test_pictures_of_targeted_images(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targeted_images, "carlini_wagner", lambda kappa: CarliniWagner(
        confidence=kappa, initial_const=10.0, step=0.1, binary_search_steps=2, max_iterations=160,
    ))
    steps = run("figure8", "mnist", limit=60).results["mnist"]
    assert [one["kappa"] for one in steps] == [0, 10] and steps[0]["l2"] < steps[1]["l2"]
    found = run("figure9", "cifar10", limit=60).results["cifar10"]
    assert list(found) == ["no defence", "PGD-trained", "A2D, PGD-trained"]
    assert found["no defence"]["reached"]
    assert found["A2D, PGD-trained"] is None or not found["A2D, PGD-trained"]["flagged"]
    for name, dataset in (("figure11", "mnist"), ("figure13", "cifar10")):
        pairs = run(name, dataset, limit=60).results[dataset]
        assert pairs["pairs"] == 90 and 0 <= pairs["flagged"] <= pairs["reached"] <= 90
        assert pairs["reached"] > 0
    with pytest.raises(InvalidInputError, match="an image of class 4 .* raise the limit"):
        run("figure8", "mnist", limit=1)


@pytest.mark.long
def test_the_table_of_detectors_and_attacks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptive_table, "ATTACKS", ("cw", "pgd", "selective"))
    monkeypatch.setitem(
        adaptive_table.STRENGTHS, "mnist", Strengths(kappas=(0.0,), eps=(0.4,), steps=10)
    )
    monkeypatch.setattr(adaptive_table, "LEARNED", {"kd": (["kd"], "logistic")})
    monkeypatch.setattr(adaptive_table, "MOST_CRAFTED", 20)
    first = run("adaptive_table", "mnist", limit=8).results
    assert set(first) >= {"mnist, plain", "mnist, trained against PGD"}
    found = first["mnist, plain"]
    assert [row["detector"] for row in found["worst_case"]][-2:] == [
        "margin (baseline)", "no defence"
    ]
    assert found["worst_case"][-1]["bypass_rate"] >= 0.9

    def forbidden(*args: object, **flags: object) -> None:
        raise AssertionError("made again")

    for owner, method in (
        (Attack, "run"), (Threat, "craft"), (A2D, "save"), (adversarial_training, "accuracy"),
    ):
        monkeypatch.setattr(owner, method, forbidden)
    assert run("adaptive_table", "mnist", limit=8).results == first


@pytest.mark.long
def test_a_robust_classifier_is_trained_once(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(section6.SCHEDULES, "mnist", Schedule(1, PGD(eps=0.1, steps=1)))
    given = tmp_path / "models"
    given.mkdir()
    for name in ("mnist.npz", "lenet_mnist.keras"):
        (given / name).write_bytes((models / name).read_bytes())

    def prepared() -> section6.Setup:
        return section6.setup(ReproductionConfig(
            datasets=["mnist"], limit=5, seeds=[], workdir=tmp_path / "work", data_dir=given,
            model_dir=given, baselines=[], progress=NullProgress(),
        ), "mnist", is_robust=True)

    first = prepared()

    def forbidden(*args: Any, **flags: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(adversarial_training, "train_adversarially", forbidden)
    again = prepared()
    np.testing.assert_array_equal(
        again.classifier.logits(first.images), first.classifier.logits(first.images)
    )
    assert set(first.accuracy) == {"clean", "under_pgd"} and again.accuracy == first.accuracy
