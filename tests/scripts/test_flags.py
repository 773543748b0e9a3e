"""Every script begins its help with a sentence and an example, and shared flags mean one thing."""

import ast
import json
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

RunScript = Callable[..., subprocess.CompletedProcess[str]]
FOLDER = Path(__file__).parents[2] / "scripts"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in (
    "__init__", "cli", "cli_flags", "cli_terminal",
))
# What a flag is in all scripts that have it, as words that its help contains.
SHARED = {
    "actors": "processes", "address": "of a ray cluster", "adversarial": "adversarial images",
    "attacks": "out of", "baselines": "out of",
    "batch_size": "at once", "bounds": "pixel range", "data_dir": "folder with",
    "dataset": "digits, mnist, cifar10", "detector": "that fit_detector.py", "eps": "radi",
    "fpr": "false-positive rate", "images": "folder", "import_modules": "python modules",
    "json": "one json object", "limit": "images", "max_decoded_gib": "memory",
    "model": "savedmodel", "norm": "norm of the", "out": "write", "output": "logits",
    "port": "listen at",
    "preset": "whose", "probabilities": "probabilities", "safe_mode": "refuse",
    "seed": "seed of the", "signature": "savedmodel", "steps": "steps of", "threats": "out of",
    "workdir": "where",
}
# Names that the command line of a script has always given to something else.
OTHERS = {
    ("fit_detector", "detector"): "what judges", ("fit_detector", "attacks"): "alias",
    ("train", "model"): "architecture", ("train", "adversarial"): "pgd",
    ("score_dataset", "output"): "to write", ("measure_scale", "detector"): "that export_detector",
    ("measure_scale", "port"): "of the servers",
}
SERVERS = {"serve"}  # they run until they are stopped, and have no result


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_help_begins_with_a_sentence_and_an_example(script: str) -> None:
    lines = (ast.get_docstring(ast.parse((FOLDER / f"{script}.py").read_text())) or "").split("\n")
    assert lines[0].endswith(".") and lines[1] == ""
    assert f"python scripts/{script}.py --" in lines[2]
    source = (FOLDER / f"{script}.py").read_text()
    assert script in SERVERS or "cli.define_json()" in source and "cli.report(" in source
    assert "cli.show(" not in source


@pytest.mark.long
def test_shared_flags_mean_the_same_everywhere(run_script: RunScript, tmp_path: Path) -> None:
    scripts: dict[str, list[str]] = {}
    for script in SCRIPTS:
        shown = ET.fromstring(run_script(script, "--helpxml", cwd=tmp_path).stdout)
        for flag in shown.iter("flag"):
            if flag.findtext("key") == "yes":
                name, meaning = flag.findtext("name") or "", flag.findtext("meaning") or ""
                scripts.setdefault(name, []).append(script)
                words = OTHERS.get((script, name), SHARED.get(name, ""))
                assert words in meaning.lower(), (script, name, meaning)
    assert {name for name, its in scripts.items() if len(its) > 1} <= SHARED.keys()


@pytest.mark.long
def test_json_is_all_that_a_script_prints(run_script: RunScript, tmp_path: Path) -> None:
    done = run_script("train", "--epochs=1", "--gradient_penalty=0.1", "--eps=0.1", "--limit=20",
                      "--out=a.keras", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert found["out"] == "a.keras" and 0 < found["test_accuracy"] <= 1, done.stderr
    tested = found["adversarial"]
    assert (tested["images"], tested["eps"], tested["norm"]) == (20, 0.1, "linf")
    assert 0 <= tested["robust"] <= tested["clean"] <= 1
    np.savez(tmp_path / "benign.npz", images=np.random.default_rng(0).random((6, 28, 28, 1)))
    further = run_script("train", "--init=a.keras", "--epochs=1", "--out=b.keras", cwd=tmp_path)
    assert further.returncode == 0 and "train a.keras for 1 epochs" in further.stderr
    assert float(further.stdout.split()[-1]) > 0.5 and (tmp_path / "b.keras").is_file()
    images, labels = np.zeros((30, 9, 9, 1), np.float32), np.arange(30) % 3
    np.savez(tmp_path / "other.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    wrong = run_script("train", "--init=a.keras", "--dataset=other.npz", "--out=c.keras",
                       cwd=tmp_path)
    assert "--init: expected a functional or Sequential model for images of shape" in wrong.stderr
    assert wrong.stderr.count("\n") == 1 and not (tmp_path / "c.keras").exists()
    done = run_script("attack_cost", "--model=a.keras", "--images=benign.npz", "--attack=fgsm",
                      "--out=costs.npz", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["images"] == 6, done.stderr


@pytest.mark.parametrize("flags, message", [
    (("--gradient_penalty=1", "--adversarial=pgd"), "got --adversarial=pgd and --gradient_penalty"),
    (("--gradient_penalty=1", "--augment"), "got --gradient_penalty and --augment; leave"),
    (("--init=missing.keras",), "--init: expected"),
    (("--init=mine.keras", "--model=lenet"), "expected --model or --init, got both"),
    (("--gradient_penalty=nan",), "--gradient_penalty: expected a weight of the penalty to be"),
])
def test_a_way_of_training_that_is_none(
    flags: tuple[str, ...], message: str, run_script: RunScript, tmp_path: Path
) -> None:
    done = run_script("train", *flags, "--out=a.keras", cwd=tmp_path)
    assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
