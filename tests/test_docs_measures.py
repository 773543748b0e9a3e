"""The scripts in docs/ that measure what the pages state, on a small model."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / "docs"
pytestmark = pytest.mark.long


@pytest.fixture
def folder(model: keras.Model, benign: np.ndarray, tmp_path: Path) -> Path:
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "benign.npz", images=benign)
    return tmp_path


def run(script: str, *arguments: str, folder: Path) -> dict[str, object]:
    """What a script writes of the model and its images."""
    subprocess.run(
        [sys.executable, DOCS / script, "model.keras", "benign.npz", "found.json", *arguments],
        cwd=folder, check=True,
    )
    return json.loads((folder / "found.json").read_text())


def test_memory_and_time_of_features(folder: Path) -> None:
    found = run("measure_feature_cost.py", "8", "bim-search", folder=folder)
    assert found["images"] == 8
    prediction, search = (found["features"][name] for name in ("prediction", "bim-search"))
    assert prediction["passes"] == [1, 0] and search["passes"][1] > 1
    assert prediction["peak_mib"] > 50 and min(prediction["seconds"], search["seconds"]) > 0


def test_false_positive_rates(folder: Path) -> None:
    found = run("measure_false_positives.py", "15", folder=folder)
    assert found["images"] == 536 and found["fitted_on"] == 268 and found["partings"] == 15
    for rate, measured in found["rates"].items():
        assert 0.2 * float(rate) < measured["mean"] < 2 * float(rate), rate
    within = found["within_classes"]
    assert within["classes"] == 10 and within["fewest_images"] >= 36
    for name in ("one_threshold", "by_class"):
        assert len(within[name]) == 10 and all(0 <= rate < 0.6 for rate in within[name].values())
    spread = [np.ptp(list(within[name].values())) for name in ("one_threshold", "by_class")]
    assert spread[1] < spread[0]
