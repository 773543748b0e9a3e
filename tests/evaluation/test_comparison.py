"""A comparison from end to end: its figures, its files, and how it resumes."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from a2d_tf.zoo import load_dataset

pytestmark = pytest.mark.long
RunScript = Callable[..., subprocess.CompletedProcess[str]]
COMPARE = Path(__file__).parents[2] / "scripts" / "compare.py"

SIMPLEST = ["margin", "msp", "entropy", "energy", "first-order"]
BENIGN_ONLY = ["ensemble_zscore", "ensemble_conformal"]
SUPERVISED = ["ensemble_knn", "ensemble_svm", "ensemble_forest", "ensemble_logistic",
              "ensemble_directions", "kd", "lid"]


def command(model: Path, workdir: Path, *flags: str) -> list[str]:
    return [
        sys.executable, str(COMPARE), f"--model={model}", f"--workdir={workdir}", "--limit=40",
        "--attacks=bim-search,jsma", *flags,
    ]


@pytest.fixture(scope="module")
def compare(run_script: RunScript) -> RunScript:
    def run(model: Path, workdir: Path, *flags: str) -> subprocess.CompletedProcess[str]:
        return run_script("compare", *command(model, workdir, *flags)[2:], cwd=workdir)

    return run


def stages(workdir: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (workdir / "stages").glob("*.npz")}


@pytest.fixture(scope="module")
def finished(
    compare: RunScript, small_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """The working folder and the output of a run that was killed on its way and resumed."""
    workdir = tmp_path_factory.mktemp("run")
    with subprocess.Popen(
        command(small_model, workdir), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while len(stages(workdir)) < 4 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    killed_with = stages(workdir)
    assert len(killed_with) >= 4 and not (workdir / "results.json").exists()
    done = compare(small_model, workdir)
    assert done.returncode == 0, done.stderr
    assert stages(workdir).items() >= killed_with.items()  # none of them was written again
    assert "done in" in done.stderr
    return workdir, done.stdout


def test_results(finished: tuple[Path, str]) -> None:
    workdir, _ = finished
    results = json.loads((workdir / "results.json").read_text())
    assert results["splits"] == {"fit": 100, "calibration": 100, "test": 40}
    assert list(results["cells"]) == ["fgsm", "bim-a"]
    columns = [*SIMPLEST, "response", "bim-search", "jsma", *BENIGN_ONLY, *SUPERVISED]
    assert list(results["columns"]) == columns
    assert results["baselines"] == [*SIMPLEST, "kd", "lid"]
    assert results["benign_only"] == [
        *SIMPLEST, "response", "bim-search", "jsma", *BENIGN_ONLY
    ]
    passes = {name: tuple(price.values()) for name, price in results["passes"].items()}
    assert passes["margin"] == passes["lid"] == (1, 0) and passes["kd"] == (51, 0)
    assert passes["first-order"] == (1, 1) and passes["response"] == (3, 0)
    assert passes["ensemble_directions"][1] == 10 + sum(
        passes[name][1] for name in ("bim-search", "jsma")
    )
    assert list(results["settings"]["attacks"]) == ["bim-search", "jsma"]
    for row in results["cells"].values():
        assert list(row) == columns
        for cell in row.values():
            lower, upper = cell["auroc_ci95"]
            assert 0 <= lower <= cell["auroc"] <= upper <= 1 and lower < 1
        assert row["bim-search"]["auroc_noisy"] is None and 0 < row["kd"]["auroc_noisy"] < 1
    for ours in ("bim-search", *BENIGN_ONLY, *SUPERVISED[:-2]):
        assert results["cells"]["bim-a"][ours]["auroc"] > 0.8
    assert list(results["unseen"]["fgsm"]) == SUPERVISED
    medians = {kind: costs["bim-search"]["median"] for kind, costs in results["costs"].items()}
    assert medians["bim-a"] < medians["benign"]
    assert 0 < results["threats"]["fgsm"]["success_rate"] <= 1
    assert set(results["false_positive_rate"]["kd"]) == {"0.01", "0.05", "0.1"}
    for asked, rate in results["conformal_rate"].items():
        lower, upper = rate["binomial_interval95"]
        assert lower <= float(asked) <= upper and lower <= rate["measured"] <= upper


def test_the_table_is_printed_and_the_report_named(finished: tuple[Path, str]) -> None:
    workdir, printed = finished
    cells = json.loads((workdir / "results.json").read_text())["cells"]
    auroc = cells["bim-a"]["bim-search"]["auroc"]
    assert f"{auroc:.4f}" in printed and "fgsm" in printed
    assert f"Report: {workdir / 'report.html'}" in printed
    assert printed.splitlines()[-1].startswith("Best detector: ") and "margin" in printed


def test_the_report_shows_the_answer_curves_costs_and_images(finished: tuple[Path, str]) -> None:
    workdir, printed = finished
    report = (workdir / "report.html").read_text()
    assert f'<p class="answer">{printed.splitlines()[-1]}</p>' in report
    assert report.count("ROC curves for") == 2 * report.count("ROC curves for bim-a") == 4
    assert "Histograms of the jsma cost" in report
    for title in ("Benign images that are flagged", "fgsm, detected", "bim-a, missed"):
        pattern = rf"<h3>{title}: (\d+) of \d+</h3>(.*?)(?:<h3>|</section>)"
        shown, = re.findall(pattern, report, re.DOTALL)
        assert shown[1].count('src="data:image/png;base64,') == min(int(shown[0]), 8)
    assert sorted(path.name for path in workdir.iterdir()) == [
        "report.html", "results.json", "stages",
    ]


def test_a_finished_run_is_not_redone(
    compare: RunScript, finished: tuple[Path, str], small_model: Path
) -> None:
    workdir, _ = finished
    before, results = stages(workdir), (workdir / "results.json").read_bytes()
    done = compare(small_model, workdir)
    assert done.returncode == 0 and "done in" not in done.stderr, done.stderr
    assert stages(workdir) == before
    assert (workdir / "results.json").read_bytes() == results


@pytest.mark.parametrize("change", ["images", "model", "bounds"])
def test_changes_do_not_reuse_stale_stages(
    change: str, compare: RunScript, finished: tuple[Path, str], small_model: Path, tmp_path: Path
) -> None:
    workdir, _ = finished
    before = stages(workdir)
    model, flags = small_model, ["--baselines=", "--threats=fgsm", "--attacks=bim-search"]
    if change == "images":
        flags += ["--shuffle", "--seed=1"]
    elif change == "bounds":
        flags += ["--bounds=-1,1"]
    else:
        other = keras.saving.load_model(small_model)
        other.layers[-1].bias.assign_add(np.linspace(0, 0.01, 10))
        model = tmp_path / small_model.name
        other.save(model)
    done = compare(model, workdir, *flags)
    assert done.returncode == 0, done.stderr
    made = {name.rsplit("-", 1)[0] for name in stages(workdir).keys() - before.keys()}
    # Predictions do not depend on which images are drawn.
    predictions = set() if change == "images" else {"predictions"}
    parts = ("benign-fit", "benign-calibration", "benign-test", "fgsm-fit", "fgsm-test")
    costs = {f"cost-bim-search-{part}" for part in parts}
    costs |= {name.replace("cost-bim-search", "directions") for name in costs}
    # A single column is judged as it is: nothing is measured of the images of the fit.
    costs |= {
        f"{one.replace('first', 'cost-first')}-{part}"
        for one in SIMPLEST for part in parts if not part.endswith("fit")
    }
    # The default learns from benign images alone.
    costs |= {f"response-{part}" for part in parts if part != "fgsm-fit"}
    assert made == {"craft-fgsm-fit", "craft-fgsm-test"} | costs | predictions


def test_a_slow_attack_counts_the_first_images_only(
    compare: RunScript, finished: tuple[Path, str], small_model: Path
) -> None:
    flags = ["--baselines=", "--threats=fgsm", "--defences=bim-search,dba", "--first=8"]
    done = compare(small_model, finished[0], *flags)
    assert done.returncode == 0, done.stderr
    results = json.loads((finished[0] / "results.json").read_text())
    row = results["cells"]["fgsm"]
    assert row["dba"]["tested"][0] == 8 and 0 < row["dba"]["tested"][1] <= 8
    assert row["bim-search"]["tested"][0] == row["ensemble_zscore"]["tested"][0] == 40
    assert "of the first 8 benign images" in results["columns"]["dba"]
    assert "dba" not in results["false_positive_rate"]
    assert "bim-search" in results["columns"]["ensemble_knn"]
    # One query for each iteration of the walk, and more to start it; no gradient.
    assert results["passes"]["dba"]["queries"] > 100 and not results["passes"]["dba"]["gradients"]


def test_a_model_and_a_dataset_of_ones_own(
    compare: RunScript, small_model: Path, tmp_path: Path
) -> None:
    digits = load_dataset("digits")
    np.savez(tmp_path / "mine.npz", **digits._asdict())
    flags = ["--dataset=mine.npz", "--preset=own", "--baselines=margin", "--threats=fgsm",
             "--attacks=bim-search"]
    done = compare(small_model, tmp_path, *flags)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["preset"] == "own" and "margin" in results["cells"]["fgsm"]
    attack = results["settings"]["attacks"]["bim-search"]
    eps, = re.findall(r"eps=([0-9.e-]+)", attack)
    assert f"eps={eps}" in results["settings"]["threats"]["fgsm"]
    assert 150 < results["costs"]["benign"]["bim-search"]["median"] < 400
    again = compare(small_model, tmp_path, *flags)
    assert again.returncode == 0 and "done in" not in again.stderr, again.stderr


def test_a_folder_that_does_not_fit_is_one_line(
    compare: RunScript, small_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    picture = np.zeros((28, 28, 1), np.uint8)
    for name in ("3_a.png", "11_b.png"):
        keras.utils.save_img(folder / name, picture, scale=False)
    done = compare(small_model, tmp_path, "--dataset=images/")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "expected classes from 0 to 9, as the classifier has, got 11" in done.stderr
    (folder / "11_b.png").write_bytes(b"broken")
    done = compare(small_model, tmp_path, "--dataset=images/")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "expected an image in" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]
