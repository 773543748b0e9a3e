"""Env 2's tables and figure, on small data, and Table 3 from known costs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import a2d_baselines  # noqa: F401, registers LCR and Dissector
from a2d_tf import InvalidInputError
from a2d_tf.evaluation.published import published
from a2d_tf.reports.progress import NullProgress
from a2d_tf.reproduction import EXPERIMENTS, ReproductionConfig, env2, reproduce, table2, table3
from a2d_tf.threats import FGSM


@pytest.fixture
def config(
    digits_as_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ReproductionConfig]:
    """Makes the settings of an experiment on digits, with few mutants and quick threats."""
    models = tmp_path / "models"
    models.mkdir()
    shutil.copy(digits_as_mnist / "lenet_mnist.keras", models / "lenet5_mnist_env2.keras")
    monkeypatch.setattr(env2, "MUTANTS", 60)
    monkeypatch.setattr(
        env2, "recipes", lambda dataset: {"fgsm": FGSM(eps=0.2), "jsma": FGSM(eps=0.35)}
    )
    monkeypatch.setattr(table2, "ATTACKS", ("bim-search", "jsma"))
    monkeypatch.setattr(table3, "ATTACKS", ("bim-search", "jsma"))

    def make(**others: Any) -> ReproductionConfig:
        settings: dict[str, Any] = {
            "datasets": ["mnist"], "limit": 20, "seeds": [], "workdir": tmp_path / "out",
            "data_dir": digits_as_mnist, "model_dir": models, "baselines": [],
            "progress": NullProgress(),
        }
        return ReproductionConfig(**settings | others)

    return make


@pytest.mark.long
def test_table2_has_every_column(config: Callable[..., ReproductionConfig]) -> None:
    found = reproduce("table2_env2", EXPERIMENTS["table2_env2"], config())
    mnist = found.results["datasets"]["mnist"]
    assert list(mnist["auroc"]) == ["fgsm", "jsma"]
    for row in mnist["auroc"].values():
        assert {"bim-search", "jsma", "lcr", "dissector", "margin", "ensemble_directions",
                "ensemble_zscore"} <= row.keys()
        assert all(value > 0.5 for values in row.values() for value in values)
    run, = mnist["runs"]
    assert "rate=0.05, mutants=60" in run["settings"]["detectors"]["lcr"]
    assert run["cells"]["fgsm"]["jsma"]["published"] is None  # they are those of Env 1
    text = (config().workdir / "table2_env2.md").read_text()
    assert "0.9617" in text  # LCR on FGSM in the paper
    assert (config().workdir / "table2_env2.png").is_file()


@pytest.mark.long
def test_table3_and_figure6(config: Callable[..., ReproductionConfig]) -> None:
    found = reproduce("table3", EXPERIMENTS["table3"], config(limit=60))
    rows = found.results["mnist"]
    assert list(rows) == ["lcr", "bim-search", "jsma"]
    for name in ("bim-search", "jsma"):
        assert rows[name]["accuracy_benign"] >= rows["lcr"]["accuracy_benign"] - 1e-9
        assert rows[name]["queries_adversarial"] < rows[name]["queries_benign"]
        assert 0 < rows[name]["accuracy_at_published"] <= 1
    assert rows["lcr"]["accuracy_at_published"] is None
    assert 1 <= rows["lcr"]["queries_benign"] <= 60
    again = reproduce("table3", EXPERIMENTS["table3"], config(limit=60))
    assert again.results == found.results
    assert "463" in (config().workdir / "table3.md").read_text()  # queries of LCR in the paper
    bars = reproduce("figure6_env2", EXPERIMENTS["figure6_env2"], config(limit=60)).results["mnist"]
    assert list(bars["knn"]) == ["bim-search", "jsma", "ensemble"]
    assert list(bars["zscore"]["ensemble"]["by_threat"]) == ["fgsm", "jsma"]


def test_a_row_of_table3_by_hand() -> None:
    benign = np.array([10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
    adversarial = [np.array([5, 15, 25, 35]), np.array([1, 2, 3, 99])]
    row = table3.cost_row(benign, adversarial, 0.8)
    assert row == table3.Row(
        queries_adversarial=(20 + 105 / 4) / 2, accuracy_adversarial=(0.75 + 0.75) / 2,
        queries_benign=55, threshold=30, accuracy_benign=0.8,
    )
    assert table3.cost_row(benign, adversarial, 0.85).accuracy_benign == 0.9
    assert table3.cost_row(benign, adversarial, 0.0).threshold == 100
    tied = table3.cost_row(np.array([7, 7, 7, 9]), adversarial, 0.5)
    assert tied.threshold == 7 and tied.accuracy_benign == 1


def test_settings_are_those_of_table_6() -> None:
    assert published("table2_env2").keys() == env2.SETTINGS.keys()
    for dataset in env2.SETTINGS:
        assert published("table2_env2")[dataset].keys() <= env2.recipes(dataset).keys()
    rates = [getattr(env2.lcr(dataset), "rate", None) for dataset in env2.SETTINGS]
    assert rates == [0.05, 0.005, None]
    assert env2.baselines("imagenet") == ["margin"]


@pytest.mark.long
def test_some_threats_are_left_out(config: Callable[..., ReproductionConfig]) -> None:
    (comparison, _), = env2.comparisons(config(threats=["jsma", "bb"]), "mnist", ["bim"])
    assert list(comparison.threats) == ["jsma"]
    with pytest.raises(InvalidInputError, match="a threat out of fgsm, jsma, got bb"):
        list(env2.comparisons(config(threats=["bb"]), "mnist", ["bim"]))
    with pytest.raises(InvalidInputError, match="expected a threat out of .*, got 'zap'"):
        list(env2.comparisons(config(threats=["jsma", "zap"]), "mnist", ["bim"]))
    with pytest.raises(InvalidInputError, match="no choice of threats for table7"):
        reproduce("table7", EXPERIMENTS["table7"], config(threats=["fgsm"]))


@pytest.mark.long
def test_slow_attacks_are_counted_for_a_part(config: Callable[..., ReproductionConfig]) -> None:
    names = ["jsma", "bim", "dba"]
    for dataset, limit, counted, slow in (
        ("mnist", 100, names, {}),
        ("imagenet", 100, ["jsma", "bim-search", "dba"], {"jsma": 100, "dba": 20}),
    ):
        (comparison, folder), = env2.comparisons(config(limit=limit), dataset, names)
        assert comparison.attacks == counted and folder.name == f"{dataset}-env2"
        assert comparison.slow_limits == slow
    assert comparison.preset == "own" and comparison.dataset.endswith("/imagenet")


@pytest.mark.parametrize("others, match", [
    ({"model_dir": None}, "lenet5_mnist_env2.keras in a folder of models, got .* None; give it as"),
    ({"datasets": ["cifar10"]}, "expected resnet20_cifar10.keras in a folder of models"),
    ({"datasets": ["imagenet"], "data_dir": None}, "a folder imagenet of images, got none"),
    ({"datasets": ["digits"]}, "out of mnist, cifar10, imagenet for table3, got digits"),
])
def test_unfit_settings_are_refused(
    config: Callable[..., ReproductionConfig], others: dict[str, Any], match: str
) -> None:
    with pytest.raises(InvalidInputError, match=match):
        reproduce("table3", EXPERIMENTS["table3"], config(**others))
