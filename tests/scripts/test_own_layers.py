"""Models with code of one's own in scripts."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest


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


@pytest.mark.long
def test_compare_takes_such_a_file_too(
    run_script: Any, digits_as_mnist: Path, tmp_path: Path
) -> None:
    network = keras.models.load_model(digits_as_mnist / "lenet_mnist.keras")
    images = keras.Input(network.input_shape[1:])
    both = network(keras.layers.Lambda(lambda values: values * 1.0)(images))
    keras.Model(images, [both, keras.layers.Flatten(name="flat")(images)]).save(
        tmp_path / "model.keras"
    )
    flags = (
        "--dataset=digits", "--model=model.keras", "--limit=20", "--threats=fgsm", "--baselines=",
        "--attacks=bim-search", "--workdir=out",
    )
    refused = run_script("compare", *flags, cwd=tmp_path)
    assert refused.returncode == 1 and "(--nosafe_mode) if you trust" in refused.stderr
    unclear = run_script("compare", *flags, "--nosafe_mode", cwd=tmp_path)
    assert unclear.returncode == 1 and "--output" in unclear.stderr, unclear.stderr
    done = run_script("compare", *flags, "--nosafe_mode", "--output=0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_settings_of_a_model_need_one(run_script: Any, tmp_path: Path) -> None:
    refused = run_script(
        "compare", "--dataset=digits", "--output=logits", "--signature=zap", cwd=tmp_path
    )
    assert refused.returncode == 1
    assert "expected a model that has the signature, output, got none" in refused.stderr
