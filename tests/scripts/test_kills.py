"""Scripts that are killed at any moment leave what was there before, or all that they write."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from a2d_tf import A2D

MOMENTS = 2  # of each script, with a signal that it can catch, and with one that it cannot
RunScript = Callable[..., subprocess.CompletedProcess[str]]


class Case(NamedTuple):
    """A script, its flags, those that make an old and a new output, and what it is in the end."""

    script: str
    flags: tuple[str, ...]
    old: tuple[str, ...]
    new: tuple[str, ...]
    read: Callable[[Path], object]


def read_detector(folder: Path) -> object:
    a2d = A2D.load(folder / "out")
    return a2d.detector.calibration.fpr


def read_export(folder: Path) -> object:
    served = tf.saved_model.load(str(folder / "out")).signatures["serving_default"]
    assert served(images=tf.zeros((1, 28, 28, 1)))["score"].shape == (1,)
    return json.loads((folder / "out" / "assets.extra" / "a2d.json").read_text())["fpr"]


def read_comparison(folder: Path) -> object:
    assert "</html>" in (folder / "out" / "report.html").read_text()
    return json.loads((folder / "out" / "results.json").read_text())["seed"]


def read_selection(folder: Path) -> object:
    Image.open(folder / "out.png").verify()
    return sorted(one["attack"] for one in json.loads((folder / "out.json").read_text())["attacks"])


CASES = [
    Case(
        "fit_detector",
        ("--model=small.keras", "--images=benign.npz", "--attacks=bim-search", "--out=out"),
        ("--fpr=0.2",), ("--fpr=0.3",), read_detector,
    ),
    Case("export_detector", ("--out=out",), ("--detector=one",), ("--detector=two",), read_export),
    Case(
        "compare",
        ("--model=small.keras", "--limit=20", "--threats=fgsm", "--attacks=bim-search",
         "--baselines=", "--workdir=out"),
        ("--seed=1", "--shuffle"), ("--seed=2", "--shuffle"), read_comparison,
    ),
    Case(
        "select_attacks",
        ("--model=small.keras", "--images=benign.npz", "--limit=20", "--workdir=work",
         "--preset=mnist", "--out=out.json"),
        ("--attacks=bim-search",), ("--attacks=bim2-search,deepfool",), read_selection,
    ),
]


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=[case.script for case in CASES])
def test_old_or_new_and_whole(
    case: Case, run_script: RunScript, small_model: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(CASES.index(case))
    first = tmp_path / "first"
    first.mkdir()
    shutil.copy(small_model, first / "small.keras")
    digits = np.random.default_rng(0).random((60, 28, 28, 1)).astype(np.float32)
    np.savez(first / "benign.npz", images=digits)
    if case.script == "export_detector":
        for name, fpr in (("one", 0.2), ("two", 0.3)):
            flags = (*CASES[0].flags[:-1], f"--fpr={fpr}", f"--out={name}")
            done = run_script("fit_detector", *flags, cwd=first)
            assert done.returncode == 0, done.stderr
    done = run_script(case.script, *case.flags, *case.old, cwd=first)
    assert done.returncode == 0, done.stderr
    shutil.copytree(first, tmp_path / "last")
    start = time.monotonic()
    done = run_script(case.script, *case.flags, *case.new, cwd=tmp_path / "last")
    seconds = time.monotonic() - start
    assert done.returncode == 0, done.stderr
    old, new = case.read(first), case.read(tmp_path / "last")
    assert old != new
    killed = 0
    for moment in range(MOMENTS):
        folder = tmp_path / str(moment)
        shutil.copytree(first, folder)
        after = seconds * (moment + rng.random()) / MOMENTS
        caught = (signal.SIGTERM, signal.SIGINT)[CASES.index(case) % 2]
        how = signal.SIGKILL if moment else caught
        done = run_script(case.script, *case.flags, *case.new, cwd=folder, kill=(how, after))
        killed += done.returncode != 0
        assert case.read(folder) in (old, new), (how, after)
        done = run_script(case.script, *case.flags, *case.new, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert case.read(folder) == new
        assert not [path for path in folder.rglob("*") if path.name.startswith(".writing-")]
    assert killed  # a run may be faster than the one that was timed
