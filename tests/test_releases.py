"""What every released version saved still loads, and says the same.

An archive tests/data/releases/VERSION.tar.xz holds detector folders NAME that the version wrote,
and NAME.npz with images and what it said of them; `served` is an exported detector.
"""

import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D

RELEASES = Path(__file__).parent / "data" / "releases"
DETECTORS = {
    "0.1.0": ("zscore",),
    "0.2.0": ("zscore", "directions"),
    "0.3.0": ("zscore", "directions"),
    "0.4.0": ("zscore", "directions"),
    "0.5.0": ("zscore", "directions", "conformal", "forest", "knn", "svm", "savedmodel"),
}
QUICK = ("0.1.0", "0.5.0")  # the oldest and the newest
COMMON = ("zscore", "directions", "savedmodel")


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("releases")
    for archive in sorted(RELEASES.glob("*.tar.xz")):
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
    return folder


def test_every_release_is_here(releases: Path) -> None:
    assert {path.name for path in releases.iterdir()} == DETECTORS.keys()


@pytest.mark.parametrize("version, name", [
    pytest.param(
        version, name, marks=[] if version in QUICK and name in COMMON else pytest.mark.long
    )
    for version, names in DETECTORS.items() for name in names
])
def test_verdicts_are_those_of_the_release(
    version: str, name: str, releases: Path, tmp_path: Path
) -> None:
    with np.load(releases / version / f"{name}.npz") as stored:
        expected = dict(stored)
    assert 0 < expected["is_adversarial"].mean() < 1
    a2d = A2D.load(releases / version / name)
    every = [a2d]
    if version == "0.5.0":
        a2d.save(tmp_path / "again")
        every.append(A2D.load(tmp_path / "again"))
    for one in every:
        found = one.predict(expected["images"])
        np.testing.assert_array_equal(found.costs, expected["costs"])
        np.testing.assert_array_equal(found.label, expected["label"])
        np.testing.assert_allclose(found.score, expected["score"], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(found.is_adversarial, expected["is_adversarial"])
    np.testing.assert_array_equal(
        a2d.is_adversarial(expected["images"]), expected["is_adversarial"]
    )


def test_an_exported_detector_of_a_release_is_served(releases: Path) -> None:
    with np.load(releases / "0.5.0" / "savedmodel.npz") as stored:
        expected = dict(stored)
    served = tf.saved_model.load(str(releases / "0.5.0" / "served")).signatures["serving_default"]
    found = served(images=tf.constant(expected["images"]))
    np.testing.assert_array_equal(found["costs"], expected["costs"])
    np.testing.assert_array_equal(found["is_adversarial"], expected["is_adversarial"])
