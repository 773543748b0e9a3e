"""A built wheel has all that a user without a checkout needs: commands, data and the baselines."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from a2d_tf.zoo import load_dataset

ROOT = Path(__file__).parents[2]
PARTS = ("a2d_tf", "baselines", "scripts", "README.md", "LICENSE", "setup.cfg", "setup.py")
SCRIPTS = {path.stem for path in (ROOT / "scripts").glob("*.py")} - {
    "__init__", "cli", "cli_flags", "cli_terminal",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of the wheel, and their commands in bin/."""
    folder = tmp_path_factory.mktemp("wheel")
    for part in PARTS:  # a build writes beside its sources
        source, target = ROOT / part, folder / "source" / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    built = subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", folder, folder / "source"],
        capture_output=True, text=True,
    )
    if "No matching distribution found for setuptools" in built.stderr:
        pytest.skip("a wheel is built with setuptools, which cannot be downloaded")
    assert built.returncode == 0, built.stderr
    wheel, = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def run(installed: Path, command: str, *flags: str, cwd: Path) -> str:
    done = subprocess.run(
        [installed / "bin" / command, *flags], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_the_wheel_takes_no_names_of_others(installed: Path) -> None:
    packages = {path.name for path in installed.iterdir() if (path / "__init__.py").is_file()}
    assert packages == {"a2d_tf", "a2d_baselines", "a2d_scripts"}
    assert {path.name for path in (installed / "bin").iterdir()} == {
        f"a2d-{name.replace('_', '-')}" for name in SCRIPTS
    }


@pytest.mark.long
def test_commands_of_the_wheel_do_a_job(installed: Path, tmp_path: Path) -> None:
    said = run(installed, "a2d-compare", "--help", cwd=tmp_path)
    assert "  a2d-compare --dataset=digits" in said and "scripts/" not in said
    np.savez(tmp_path / "benign.npz", images=load_dataset("digits").x_test[:100])
    run(installed, "a2d-train", "--dataset=digits", "--epochs=1", "--limit=20", "--out=mine.keras",
        cwd=tmp_path)
    run(installed, "a2d-fit-detector", "--model=mine.keras", "--images=benign.npz",
        "--features=margin,bim-search", "--out=detector", cwd=tmp_path)
    run(installed, "a2d-detect", "--detector=detector", "--images=benign.npz",
        "--out=verdicts.csv", cwd=tmp_path)
    assert len((tmp_path / "verdicts.csv").read_text().splitlines()) == 101
