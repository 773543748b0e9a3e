"""The paper's tables, from end to end on small data and from known costs."""

import functools
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from a2d_tf.detectors import KNN, ZScore
from a2d_tf.evaluation.experiment_images import BENIGN
from a2d_tf.evaluation.published import published
from a2d_tf.evaluation.splits import FIT
from a2d_tf.reproduction import table7
from a2d_tf.reproduction.accuracy import accuracy

RunScript = Callable[..., subprocess.CompletedProcess[str]]
THREATS = ("fgsm", "bim-a", "jsma", "cw")


@pytest.fixture(scope="module")
def folder(digits_as_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the script finds its data, and may write."""
    path: Path = shutil.copytree(digits_as_mnist, tmp_path_factory.mktemp("reproduce") / "data")
    return path


@pytest.fixture
def run(run_script: RunScript, folder: Path) -> RunScript:
    return functools.partial(
        run_script, "reproduce", f"--data_dir={folder}", f"--model_dir={folder}",
        "--datasets=mnist", "--limit=10", "--workdir=out", cwd=folder,
    )


@pytest.mark.long
def test_table2_ours_beside_the_published(run: RunScript, folder: Path) -> None:
    done = run("--experiment=table2_env1", "--baselines=", "--seeds=1,2", "--threats=fgsm,bim-a")
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "out" / "table2_env1.json").read_text())
    found = results["datasets"]["mnist"]
    assert list(found["auroc"]) == ["fgsm", "bim-a"] and results["seeds"] == [1, 2]
    for row in found["auroc"].values():
        # The simplest come first. 10 images are too few for DBA.
        assert list(row)[:8] == [
            "margin", "msp", "entropy", "energy", "first-order", "response", "jsma", "bim",
        ]
        assert all(0 <= value <= 1 for values in row.values() for value in values)
        assert all(len(values) == 2 for values in row.values())
    assert list(found["auroc_unseen"]["bim-a"]) == [
        f"ensemble_{name}" for name in ("knn", "svm", "forest", "logistic", "directions")
    ]
    mean = np.mean(found["auroc"]["fgsm"]["bim"])
    spread = np.std(found["auroc"]["fgsm"]["bim"], ddof=1)
    for text in (done.stdout, (folder / "out" / "table2_env1.md").read_text()):
        assert f"{mean:.4f}" in text and f"{spread:.4f}" in text
        assert "0.9922" in text and "± sd" in text  # BIM on FGSM in the paper
    assert np.ptp(image.imread(folder / "out" / "table2_env1.png")) > 0
    again = run("--experiment=table2_env1", "--baselines=", "--seeds=1,2", "--threats=fgsm,bim-a")
    assert again.returncode == 0 and "done in" not in again.stderr
    assert again.stdout == done.stdout


@pytest.mark.long
def test_search_beside_counting(run: RunScript, folder: Path) -> None:
    done = run("--experiment=search", "--workdir=search")
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "search" / "search.json").read_text())["mnist"]
    assert list(results) == ["bim", "bim2"]
    for found, in results.values():
        assert found["fewer_gradients"] > 5 and found["spearman"] > 0.98
        assert found["gradients"]["counted"] > found["gradients"]["search"] >= 1
        assert list(found["auroc"]) == list(THREATS) and found["images"]["benign"] == 10
    assert "fewer" in done.stdout and "Spearman" in done.stdout  # headers are folded
    assert np.ptp(image.imread(folder / "search" / "search.png")) > 0


@pytest.mark.parametrize("flags, message", [
    (["--experiment=table2_env1", "--datasets=cifar10"], "expected convnet_cifar10.keras in"),
    (["--experiment=table2_env1", "--datasets=digits"], "out of mnist, cifar10 for table2_env1"),
    (["--experiment=table7", "--datasets=cifar10"], "out of mnist for table7, got cifar10"),
    (["--experiment=table2_env1", "--seeds=one"], "whole numbers"),
    (["--experiment=table9"], "table7"),
])
def test_unfit_flags_end_in_one_line(run: RunScript, flags: list[str], message: str) -> None:
    done = run(*flags)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr


class KnownCosts:
    """Stands for the data of an experiment: benign costs about 200, others about 60."""

    threats = dict.fromkeys(THREATS)

    def costs(self, kind: str, split: str, attacks: list[str]) -> np.ndarray:
        rng = np.random.default_rng([len(kind), len(split), kind == BENIGN])
        count = 200 if split == FIT else 400
        middle, spread = (200, 60) if kind == BENIGN else (60, 40)
        own = rng.normal(middle, spread, (count, 1))
        return np.clip(own + rng.normal(0, 20, (count, len(attacks))), 0, 500).astype(int)


def test_accuracy_of_known_costs() -> None:
    single = accuracy(KnownCosts(), ["bim"], ZScore(), THREATS)  # type: ignore[arg-type]
    assert 0.85 < single.benign < 0.95  # the threshold is at the normal 10 % quantile
    assert single.adversarial == pytest.approx(np.mean(list(single.by_threat.values())))
    assert single.mean == pytest.approx((single.benign + 4 * single.adversarial) / 5)
    few, many = (
        accuracy(KnownCosts(), ["bim"], KNN(k=25), THREATS, ratio=ratio)  # type: ignore[arg-type]
        for ratio in (0.5, 2.0)
    )
    assert many.benign < few.benign and many.adversarial > few.adversarial


def test_every_trend_of_table7_on_known_costs() -> None:
    settings = table7._settings(KnownCosts())  # type: ignore[arg-type]
    assert settings.keys() == published("table7").keys()
    for sweep in ("ratio_benign_adversarial", "zscore_h", "zscore_votes_k"):
        ours = [settings[sweep](value) for value in published("table7")[sweep]]
        theirs = published("table7")[sweep].values()
        for column, name in enumerate(("benign", "adversarial")):
            change = getattr(ours[-1], name) - getattr(ours[0], name)
            paper = list(theirs)[-1][column] - list(theirs)[0][column]
            assert np.sign(change) == np.sign(paper), (sweep, name)


@pytest.mark.long
def test_the_frontier_of_price_and_quality(run: RunScript, folder: Path) -> None:
    done = run("--experiment=frontier", "--workdir=frontier")
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "frontier" / "frontier.json").read_text())
    one, = results["datasets"]["mnist"]
    prices = {name: tuple(price.values()) for name, price in one["passes"].items()}
    assert prices["0 gradients"] == (1, 0) and prices["3 gradients"] == (1, 3)
    assert prices["filters"] == (3, 0) and prices["filters, 1 gradient"] == (3, 1)
    assert prices["filters, bim"][1] > prices["filters, bim-search"][1] > 1
    for threat, row in one["cells"].items():
        assert list(row) == list(prices) and one["threats"][threat]["crafted"] == 10
        assert all(set(cell["tpr_at_fpr"]) >= {"0.01", "0.05"} for cell in row.values())
    text = (folder / "frontier" / "frontier.md").read_text()
    assert "Detected at 1 % / 5 % false positives" in text and "95 % intervals" in text
    assert np.ptp(image.imread(folder / "frontier" / "frontier.png")) > 0
