"""Models with code of one's own in scripts."""

from pathlib import Path
from typing import Any

import keras
import numpy as np


def test_a_file_that_runs_code_needs_a_flag(run_script: Any, tmp_path: Path) -> None:
    model = keras.Sequential([
        keras.Input((6, 6, 1)), keras.layers.Flatten(),
        keras.layers.Lambda(lambda values: values * 2), keras.layers.Dense(3),
    ])
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).uniform(size=(30, 6, 6, 1)).astype(np.float32)
    np.savez(tmp_path / "images.npz", images=images)
    flags = ("--model=model.keras", "--images=images.npz", "--preset=mnist", "--out=detector")
    refused = run_script("fit_detector", *flags, cwd=tmp_path)
    assert refused.returncode == 1 and "(--nosafe_mode) if you trust" in refused.stderr
    assert refused.stderr.count("\n") == 1 and not (tmp_path / "detector").exists()
    assert run_script("fit_detector", *flags, "--nosafe_mode", cwd=tmp_path).returncode == 0
    found = run_script(
        "detect", "--detector=detector", "--images=images.npz", "--out=verdicts.csv", cwd=tmp_path
    )
    assert found.returncode == 0  # the detector holds a SavedModel
