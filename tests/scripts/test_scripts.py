"""The scripts from end to end, as a user runs them."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from a2d_tf import A2D, Classifier
from a2d_tf.attacks import preset
from a2d_tf.detectors import ZScore

SCRIPTS = Path(__file__).parents[2] / "scripts"
RunScript = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(run_script: RunScript) -> RunScript:
    return run_script


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, model: keras.Model, benign: np.ndarray
) -> Path:
    """A folder with a model and its benign images."""
    path = tmp_path_factory.mktemp("scripts")
    model.save(path / "model.keras")
    np.savez(path / "benign.npz", images=benign[:120])
    np.savez(path / "bytes.npz", images=np.round(255 * benign[:10]).astype(np.uint8))
    return path


def test_fit_and_detect(run: RunScript, folder: Path) -> None:
    fitted = run("fit_detector", "--model=model.keras", "--images=benign.npz",
                 "--attacks=bim,jsma", "--preset=mnist", "--detector=zscore", "--fpr=0.1",
                 "--out=detector", cwd=folder)
    assert fitted.returncode == 0, fitted.stderr
    (folder / "model.keras").rename(folder / "renamed.keras")  # the detector has its own
    judged = run("detect", "--detector=detector", "--images=bytes.npz", "--out=out/verdicts.csv",
                 cwd=folder)
    (folder / "renamed.keras").rename(folder / "model.keras")
    assert judged.returncode == 0, judged.stderr
    assert "images: done" in judged.stderr
    with open(folder / "out" / "verdicts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "image", "label", "score", "is_adversarial", "valid", "cost_bim", "cost_jsma",
    ]
    assert [row["image"] for row in rows] == [str(index) for index in range(10)]
    flagged = sum(int(row["is_adversarial"]) for row in rows)
    assert flagged <= 4 and f"{flagged} of 10 flagged" in judged.stdout
    costs = np.array([int(row["cost_bim"]) for row in rows])
    scores = np.array([float(row["score"]) for row in rows])
    assert scores[costs.argmin()] > scores[costs.argmax()]


@pytest.mark.long
def test_verdicts_only(run: RunScript, folder: Path) -> None:
    fitted = run("fit_detector", "--model=model.keras", "--images=benign.npz", "--fpr=0.1",
                 "--attacks=bim-search", "--out=quick", cwd=folder)
    assert fitted.returncode == 0, fitted.stderr
    stored = json.loads((folder / "quick" / "a2d.json").read_text())["features"]
    assert list(stored) == ["bim-search"]
    settings = stored["bim-search"]["config"]
    assert settings["attack"] == "bim" and settings["search"] is True
    assert settings["step"] not in (0.0006, 0.00006)
    flags = ("--detector=quick", "--images=bytes.npz")
    full = run("detect", *flags, "--out=full.csv", cwd=folder)
    quick = run("detect", *flags, "--verdicts_only", "--out=quick.csv", cwd=folder)
    assert full.returncode == 0 and quick.returncode == 0, full.stderr + quick.stderr
    rows, verdicts = (
        list(csv.DictReader((folder / name).read_text().splitlines()))
        for name in ("full.csv", "quick.csv")
    )
    assert list(verdicts[0]) == ["image", "is_adversarial", "valid"]
    assert [{name: row[name] for name in verdicts[0]} for row in rows] == verdicts
    assert quick.stdout.split(": ")[1] == full.stdout.split(": ")[1]


def test_attack_cost(
    run: RunScript, folder: Path, classifier: Classifier, benign: np.ndarray
) -> None:
    done = run("attack_cost", "--model=model.keras", "--images=benign.npz", "--attack=jsma",
               "--preset=mnist", "--limit=15", "--out=costs.npz", cwd=folder)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "costs.npz") as stored:
        expected = preset("jsma", "mnist").run(classifier, benign[:15])
        np.testing.assert_array_equal(stored["cost"], expected.cost)
        np.testing.assert_array_equal(stored["success"], expected.success)
        np.testing.assert_array_equal(stored["label"], classifier.predict(benign[:15]))
        assert stored["valid"].tolist() == [True] * 15
        provenance = json.loads(str(stored["provenance"]))
    assert provenance["settings"]["attack"] == repr(preset("jsma", "mnist"))
    assert len(provenance["model_sha256"]) == 64 and "tensorflow" in provenance["versions"]


@pytest.mark.long
def test_train_and_craft(run: RunScript, tmp_path: Path) -> None:
    trained = run("train", "--dataset=digits", "--epochs=2", "--out=lenet.keras", cwd=tmp_path)
    assert trained.returncode == 0 and "test accuracy 0." in trained.stdout, trained
    crafted = run("craft", "--model=lenet.keras", "--threat=bim-a", "--limit=30",
                  "--out=bim-a.npz", cwd=tmp_path)
    assert crafted.returncode == 0 and "craft bim-a: 30/30" in crafted.stderr, crafted.stderr
    with np.load(tmp_path / "bim-a.npz") as stored:
        assert stored["images"].shape == (30, 28, 28, 1)
        labels = Classifier.load(tmp_path / "lenet.keras").predict(stored["images"])
        np.testing.assert_array_equal(labels != stored["labels"], stored["success"])
        assert (np.diff(stored["index"]) > 0).all()


@pytest.mark.skipif(find_spec("foolbox") is not None, reason="the extra `peers` is installed")
def test_peers_that_are_not_installed(run: RunScript, folder: Path) -> None:
    done = run("benchmark", "--model=model.keras", "--images=benign.npz", "--limit=2", "--peers",
               cwd=folder)
    assert done.returncode == 1, done.stderr
    assert "pip install --use-pep517 -e '.[peers]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_benchmark(run: RunScript, folder: Path) -> None:
    done = run("benchmark", "--model=model.keras", "--images=benign.npz", "--limit=20",
               "--attacks=jsma,bim-search", "--batch_sizes=1,16", "--verdicts=benign.npz",
               "--out=benchmark.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "benchmark.json").read_text())
    timed = {(row["attack"], row["batch_size"]): row for row in report["measurements"]}
    assert list(timed) == [("jsma", 1), ("jsma", 16), ("bim-search", 1), ("bim-search", 16)]
    for (attack, _), row in timed.items():
        assert row["images"] == 20 and row["seconds"] > 0 and row["ratio"] > 0
        assert row["seconds_per_image"] == pytest.approx(row["seconds"] / 20)
        assert row["iterations_per_second"] == pytest.approx(row["iterations"] / row["seconds"])
        assert (row["gradients"] == row["queries"]) == (attack == "jsma")
        assert row["peak_megabytes"] is None or row["peak_megabytes"] > 50
    assert [row["attack"] for row in report["verdicts"]] == ["jsma", "bim-search"]
    assert report["verdicts"][0]["same"] == 1 and report["verdicts"][0]["images"] == 20
    assert report["devices"][0]["kind"] == "CPU" and "model_sha256" in report["provenance"]
    assert "limit" in done.stdout and "verdicts" in done.stdout


@pytest.mark.long
def test_select_attacks_resumes(run: RunScript, folder: Path) -> None:
    flags = ("--model=model.keras", "--images=benign.npz", "--limit=30", "--preset=own",
             "--out=choice.json")
    first = run("select_attacks", *flags, "--attacks=bim-search", cwd=folder)
    assert first.returncode == 0 and "craft: " in first.stderr, first.stderr
    before = json.loads((folder / "choice.json").read_text())["attacks"]
    second = run("select_attacks", *flags, "--attacks=bim-search,deepfool", cwd=folder)
    assert second.returncode == 0, second.stderr
    assert "deepfool costs: done" in second.stderr
    assert "craft" not in second.stderr and "bim-search" not in second.stderr
    found = json.loads((folder / "choice.json").read_text())["attacks"]
    assert {one["attack"] for one in found} == {"bim-search", "deepfool"}
    for one in found:
        assert 0.5 <= one["auroc"] <= 1 and one["seconds"] > 0 and one["images"][0] == 30
        assert one["at_cap"] < 0.5
    kept, = (one for one in found if one["attack"] == "bim-search")
    assert {**kept, "pareto_optimal": True} == before[0]
    assert "deepfool" in second.stdout and (folder / "choice.png").stat().st_size > 1000
    answer = second.stdout.splitlines()[-1]
    assert "separates most per second" in answer
    assert f'<p class="answer">{answer}</p>' in (folder / "choice.html").read_text()


def save_broken_inputs(folder: Path) -> None:
    images = np.zeros((3, 8, 8, 1), np.float32)
    np.savez(folder / "keys.npz", pictures=images)
    np.savez(folder / "nan.npz", images=images * np.nan)
    np.savez(folder / "range.npz", images=images + 2)
    np.savez(folder / "shape.npz", images=np.zeros((3, 5, 5, 1), np.float32))
    np.savez(folder / "none.npz", images=images[:0])
    np.savez(folder / "few.npz", images=images)
    np.savez(folder / "number.npz", images=np.float32(3))
    (folder / "notes").mkdir()
    attack = preset("bim-search", "mnist")
    a2d = A2D(Classifier.load(folder / "model.keras"), [attack], ZScore())
    a2d.fit(np.load(folder / "benign.npz")["images"][:40]).save(folder / "broken")
    (folder / "broken" / "detector.npz").write_bytes(b"")
    dead = keras.Sequential([
        keras.Input((8, 8, 1)), keras.layers.Flatten(),
        keras.layers.Dense(3, kernel_initializer="zeros"),
    ])
    dead.save(folder / "dead.keras")


COST = ("attack_cost", "--model=model.keras", "--attack=bim", "--images=few.npz")
FIT = ("fit_detector", "--model=model.keras", "--images=few.npz")
BAD = {
    "missing file": ((*COST, "--images=missing.npz"), "expected a file at missing.npz"),
    "no images key": ((*COST, "--images=keys.npz"), "to hold 'images'"),
    "NaN": ((*COST, "--images=nan.npz"), "NaN or infinity in 3 of 3"),
    "out of bounds": ((*COST, "--images=range.npz"), "expected pixels in [0, 1]"),
    "wrong shape": ((*COST, "--images=shape.npz"), "shape [N, 8, 8, 1], got [3, 5, 5, 1]"),
    "zero images": ((*COST, "--images=none.npz"), "at least one image"),
    "zero gradients": ((*COST, "--model=dead.keras"), "exactly zero on 3 of 3"),
    "out is a folder": ((*COST, "--out=notes"), "--out: expected a file name to write to, got the"),
    "negative seed": (("compare", "--seed=-1"), "seed"),
    "broken detector": (("detect", "--detector=broken", "--images=few.npz"),
                        "--detector: expected the parts of one detector"),
    "no model": ((*COST, "--model=nothing.keras"), "expected a model at nothing.keras"),
    "unknown attack": ((*COST, "--attack=dba2"), "expected an attack out of bim, bim2, jsma"),
    "unknown flag": ((*COST, "--colour=red"), "colour"),
    "bounds": ((*COST, "--bounds=zero,one"), "expected --bounds=lower,upper"),
    "sizes of batches": (
        ("benchmark", "--model=model.keras", "--images=few.npz", "--batch_sizes=8,none"),
        "expected --batch_sizes=N,N,... of numbers >= 1, got '8,none'",
    ),
    "one number": ((*COST, "--images=number.npz"), "to hold rows of 'images', got a number"),
    "no peer": (("benchmark", "--model=model.keras", "--images=few.npz", "--attacks=bim-search",
                 "--peers"), "--attacks with bim for --peers"),
    "no attack to select": (
        ("select_attacks", "--model=model.keras", "--images=few.npz", "--attacks=",
         "--out=none.json"), "expected --attacks to name something, got nothing",
    ),
    "no file for the scores": (
        ("select_attacks", "--model=model.keras", "--images=few.npz"), "must end in .json"
    ),
    "no detector": (("detect", "--detector=notes", "--images=few.npz"), "a detector folder"),
    "too few to fit": ((*FIT, "--preset=mnist"), "at least 20 benign images"),
    "too few to calibrate": ((*FIT, "--images=benign.npz", "--fpr=0.01"), "at least 198 benign"),
    "attack named twice": ((*FIT, "--attacks=bim,bim"), "must name each but once"),
    "Z-score with adversarial images": (
        (*FIT, "--images=benign.npz", "--adversarial=few.npz"), "expected benign images alone"
    ),
    "K-NN without adversarial images": (
        (*FIT, "--detector=knn"), "--adversarial: expected adversarial images for the detector knn"
    ),
    "a rate of 500 %": ((*FIT, "--fpr=5"), "--fpr: expected a false-positive rate in (0, 1)"),
    "no such module": ((*FIT, "--features=nothing:There"), "expected a feature at module:Class"),
    "a detector that cannot judge": (
        (*FIT, "--features=kd", "--detector=zscore"), "weighs its columns for kd"
    ),
    "no such module to import": (
        ("detect", "--detector=broken", "--images=few.npz", "--import_modules=nothing"),
        "expected --import_modules to name modules, got 'nothing'",
    ),
    "unknown threat": (("compare", "--threats=zap"), "expected a threat out of fgsm, bim-a"),
    "no model for one's own images": (
        ("compare", "--dataset=mine.npz"), "expected a model for mine.npz, got none"
    ),
    "no such dataset": (("compare", "--dataset=zap", "--model=model.keras"), "FILE.npz or FOLDER/"),
    "unknown preset": (("compare", "--preset=zap"), "preset"),
    "unknown baseline": (("compare", "--baselines=zap"), "expected a feature out of bim, "),
}


def test_bad_input_is_one_line_and_leaves_nothing(run: RunScript, folder: Path) -> None:
    save_broken_inputs(folder)
    before = sorted(folder.rglob("*"))
    for name, ((script, *flags), message) in BAD.items():
        place = "--workdir=out-compare" if script == "compare" else "--out=out.npz"
        done = run(script, place, *flags, cwd=folder)
        assert done.returncode == 1 and message in done.stderr, (name, done.stderr)
        assert len(done.stderr.splitlines()) == 1, (name, done.stderr)
        assert "--" in done.stderr or "line flag" in done.stderr, (name, done.stderr)
    assert sorted(folder.rglob("*")) == before


def test_a_script_in_a_fresh_interpreter(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPTS / "compare.py", "--help"], cwd=folder, capture_output=True,
        text=True, check=False,
    )
    assert done.returncode == 0 and not done.stderr
    assert "--bounds" in done.stdout and "--seed" in done.stdout
    assert "Table 2" in done.stdout and "--workdir" in done.stdout


@pytest.mark.long
def test_a_reader_that_has_enough_is_no_error(folder: Path) -> None:
    help_of = [sys.executable, str(SCRIPTS / "compare.py"), "--help"]
    with subprocess.Popen(
        help_of, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as shown:
        assert shown.stdout and shown.stderr
        shown.stdout.close()  # before anything was written
        assert shown.stderr.read() == "" and shown.wait() == 0


def test_old_flags_work_with_a_note(run: RunScript, folder: Path) -> None:
    done = run("compare", "--defences=zap", "--first=3", "--workdir=old", cwd=folder)
    assert done.returncode == 1
    notes = done.stderr.splitlines()
    assert notes[:2] == [
        "note: --defences is deprecated; use --attacks",
        "note: --first is deprecated; use --slow_limit",
    ]
    assert "expected an attack out of bim" in notes[2] and len(notes) == 3


@pytest.mark.parametrize("script, flags, out", [
    ("attack_cost", ("--model=model.keras", "--images=benign.npz", "--attack=bim"), "out"),
    ("benchmark", ("--model=model.keras", "--images=benign.npz"), "out"),
    ("clever", ("--model=model.keras", "--images=benign.npz"), "out"),
    ("craft", ("--model=model.keras", "--threat=fgsm"), "out"),
    ("detect", ("--detector=none", "--images=benign.npz"), "out"),
    ("fit_detector", ("--model=model.keras", "--images=benign.npz"), "folder"),
    ("export_detector", ("--detector=none",), "folder"),
    ("train", (), "out"),
    ("select_attacks", ("--model=model.keras", "--images=benign.npz"), "out"),
    ("compare", (), "workdir"),
    ("reproduce", ("--experiment=table7",), "workdir"),
    ("clever", ("--model=model.keras", "--images=benign.npz", "--out=x.npz"), "workdir"),
    ("select_attacks", ("--model=model.keras", "--images=benign.npz", "--out=x.json"), "workdir"),
])
def test_places_are_checked_before_work_starts(
    script: str, flags: tuple[str, ...], out: str, run: RunScript, folder: Path, tmp_path: Path
) -> None:
    """Every output of every script; that nothing is loaded first shows in `--detector=none`."""
    suffix = {"train": ".keras", "select_attacks": ".json"}.get(script, "") if out == "out" else ""
    (tmp_path / f"file{suffix}").write_text("keep")
    (tmp_path / "kind").mkdir()
    (tmp_path / "kind" / "saved_model.pb").write_text("keep")
    flag = "workdir" if out == "workdir" else "out"
    bad = [f"{tmp_path}/file{suffix}/x{suffix}", f"{tmp_path}/{'x' * 256}{suffix}"]
    if out == "workdir":
        bad += [str(tmp_path / "kind")]
    elif out == "out" and not suffix:
        bad += ["", "/dev/null", f"{tmp_path}/x/", str(tmp_path)]
    bad += [f"{tmp_path}/file"] if out != "out" else []
    if script == "select_attacks" and out == "out":
        (tmp_path / "beside.png").mkdir()
        bad += [f"{tmp_path}/beside.json"]
    before = sorted(tmp_path.rglob("*"))
    for place in bad:
        done = run(script, *flags, f"--{flag}={place}", cwd=folder)
        assert done.returncode == 1, (place, done.stderr)
        assert done.stderr.startswith(f"{script}.py: --{flag}: expected"), (place, done.stderr)
        assert len(done.stderr.splitlines()) == 1, (place, done.stderr)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.long
def test_names_need_not_be_utf_8(run: RunScript, folder: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    images = np.load(folder / "bytes.npz")["images"]
    names = [b"\xff\xfe.png", "=1+1.png".encode(), "\u00e9.png".encode()]
    for name, image in zip(names, images):
        keras.utils.save_img(pictures / "x.png", image, scale=False)
        (pictures / "x.png").rename(pictures / os.fsdecode(name))
    A2D(Classifier.load(folder / "model.keras"), "bim-search", "zscore", preset="mnist").fit(
        np.load(folder / "benign.npz")["images"][:20]
    ).save(tmp_path / "detector")
    done = run("detect", "--detector=detector", "--images=pictures", "--out=verdicts.csv",
               cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "verdicts.csv", newline="", encoding="utf-8") as file:
        found = {row["image"] for row in csv.DictReader(file)}
    assert found == {"\\udcff\\udcfe.png", "'=1+1.png", "\u00e9.png"}


def test_the_home_folder_has_its_short_name(run: RunScript, folder: Path) -> None:
    flags = ("--model=~/model.keras", "--images=~/few10.npz", "--attack=bim", "--limit=2")
    np.savez(folder / "few10.npz", images=np.load(folder / "benign.npz")["images"][:2])
    done = run("attack_cost", *flags, "--out=~/home.npz", cwd=folder, home=str(folder))
    assert done.returncode == 0 and (folder / "home.npz").is_file(), done.stderr


def test_a_limit_can_be_raised(run: RunScript, folder: Path) -> None:
    flags = ("--model=model.keras", "--images=zeros.npz", "--attack=bim-search", "--out=big.npz")
    np.savez_compressed(folder / "zeros.npz", images=np.zeros((2000, 8, 8, 1), np.float32))
    done = run("attack_cost", *flags, "--max_decoded_gib=1e-6", cwd=folder)
    assert done.returncode == 1 and "raise the limit" in done.stderr, done.stderr
    assert "--images: expected rows of 'images' of zeros.npz to take at most" in done.stderr
    done = run("attack_cost", *flags, "--max_decoded_gib=nan", cwd=folder)
    assert "--max_decoded_gib: expected" in done.stderr, done.stderr
