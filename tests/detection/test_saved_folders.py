"""A detector folder is a unit: whatever is changed in it is refused in one line, or is harmless."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from a2d_tf import A2D, Classifier, InvalidInputError
from a2d_tf.attacks import BIM, JSMA
from a2d_tf.detectors import ZScore
from a2d_tf.storage import detector_folder, detector_parts, files

WRONG: list[Any] = [
    None, True, False, -1, 0, 7, 0.5, 1e308, float("nan"), float("inf"), "", "x", "../other.keras",
    "a/b", [], [0], ["bim", "bim"], {}, {"a": 1}, "0" * 64, 10**30,
]


@pytest.fixture(scope="module")
def saved(
    classifier: Classifier, benign: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with two detectors, which differ in everything, and another classifier."""
    folder: Path = tmp_path_factory.mktemp("saved")
    attacks = {
        "bim": BIM(eps=0.3, step=0.01, max_iterations=20, search=True),
        "jsma": JSMA(theta=0.2, max_changes_per_pixel=7, max_iterations=20),
    }
    A2D(classifier, attacks, ZScore()).fit(benign[:40]).save(folder / "detector")
    A2D(classifier, {**attacks, "bim": BIM(eps=0.3, step=0.02, max_iterations=30)}, "zscore").fit(
        benign[40:80], fpr=0.2
    ).save(folder / "other")
    keras.Sequential([
        keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)
    ]).save(folder / "other.keras")
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    shutil.copytree(saved, tmp_path / "all")
    return tmp_path / "all" / "detector"


def refused(folder: Path, message: str = "expected") -> None:
    with pytest.raises(InvalidInputError, match=message) as error:
        A2D.load(folder)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def change_settings(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes a2d.json, and gives it the digest of the changed folder."""
    path = folder / "a2d.json"
    settings = json.loads(path.read_text())
    change(settings)
    names = ["classifier.keras", "detector.npz"]
    settings["digest"] = detector_parts.digest(folder, names, settings)
    path.write_text(json.dumps(settings))


@pytest.mark.parametrize("name, make", [
    ("another classifier", lambda f: shutil.copy(f / "../other.keras", f / "classifier.keras")),
    ("another detector", lambda f: shutil.copy(f / "../other/detector.npz", f / "detector.npz")),
    ("other settings", lambda f: shutil.copy(f / "../other/a2d.json", f / "a2d.json")),
])
def test_parts_of_other_detectors_are_refused(
    name: str, make: Callable[[Path], object], copy: Path
) -> None:
    make(copy)
    refused(copy, "expected the parts of one detector")


@pytest.mark.parametrize("name", ["a2d.json", "detector.npz", "classifier.keras"])
def test_links_and_pipes_are_refused(name: str, copy: Path) -> None:
    (copy / name).rename(copy / "elsewhere")
    (copy / name).symlink_to(copy / "elsewhere")
    refused(copy, "a link, a device or a pipe")
    (copy / name).unlink()
    os.mkfifo(copy / name)
    refused(copy, "a link, a device or a pipe")


def test_a_link_to_the_folder_itself_is_followed(copy: Path) -> None:
    (copy.parent / "current").symlink_to(copy)
    assert list(A2D.load(copy.parent / "current").attacks) == ["bim", "jsma"]


def swapped_costs(settings: dict[str, Any]) -> None:
    features = settings["features"]
    features["bim"]["config"], features["jsma"]["config"] = (
        features["jsma"]["config"], features["bim"]["config"]
    )


@pytest.mark.parametrize("change", [
    swapped_costs,
    lambda settings: settings.update(bounds=[0.0, 2.0]),
    lambda settings: settings["order"].reverse(),
    lambda settings: settings.update(features=dict(reversed(settings["features"].items()))),
    lambda settings: settings["features"]["bim"]["config"].update(step=0.011),
])
def test_changed_settings_are_refused(change: Callable[[Any], None], copy: Path) -> None:
    settings = json.loads((copy / "a2d.json").read_text())
    change(settings)
    (copy / "a2d.json").write_text(json.dumps(settings))
    refused(copy, "expected the parts of one detector")


@pytest.mark.parametrize("key, value, message", [
    ("classifier", "../other.keras", "a file name within the folder"),
    ("classifier", "/etc/passwd", "a file name within the folder"),
    ("order", [], "to name each of bim, jsma once"),
    ("order", ["bim", "bim"], "to name each of bim, jsma once"),
    ("bounds", [0, float("nan")], "two finite numbers"),
    ("bounds", [1, 0], "lower < upper"),
    ("probabilities", 0, "true or false"),
    ("features", {}, "at least one feature"),
    ("format", "2", "a whole number"),
    ("format", 3, "load it with a newer version"),
])
def test_wrong_settings_are_refused_whatever_the_digest(
    key: str, value: Any, message: str, copy: Path
) -> None:
    change_settings(copy, lambda settings: settings.update({key: value}))
    refused(copy, message)


def test_a_wrong_attack_is_refused_whatever_the_digest(copy: Path) -> None:
    for config in (
        {}, {"attack": "none"}, {"attack": ["bim"]},
        {"attack": "bim", "eps": "much", "step": 0.1, "max_iterations": 5},
        {"attack": "bim", "eps": 0.1, "step": 0.1, "max_iterations": 5, "colour": "red"},
    ):
        change_settings(copy, lambda settings: settings["features"]["bim"].update(config=config))
        refused(copy)


@pytest.mark.long
def test_an_exported_folder_is_called_so(tmp_path: Path, saved: Path) -> None:
    A2D.load(saved / "detector").export(tmp_path / "served")
    refused(tmp_path / "served", "got a SavedModel, such as A2D.export")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values within JSON values."""
    inner = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ()
    )
    return [path] * bool(path) + [one for key, part in inner for one in places(part, (*path, key))]


def change_json(folder: Path, rng: np.random.Generator) -> str:
    path = folder / "a2d.json"
    settings = json.loads(path.read_text())
    every = places(settings)
    *above, key = every[rng.integers(len(every))]
    parent = settings
    for step in above:
        parent = parent[step]
    match rng.integers(3):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[f"{key}x"] = parent.pop(key)
        case _:
            value = WRONG[rng.integers(len(WRONG))]
            parent[key] = value if repr(value) != repr(parent[key]) else "another"
    path.write_text(json.dumps(settings))
    return f"a2d.json {above} {key}"


def change_array(folder: Path, rng: np.random.Generator) -> str:
    path = folder / "detector.npz"
    arrays = files.load_npz(path)
    key = sorted(arrays)[rng.integers(len(arrays))]
    array = arrays[key]
    match rng.integers(5):
        case 0:
            del arrays[key]
        case 1:
            arrays[f"{key}x"] = arrays.pop(key)
        case 2:
            arrays[key] = np.resize(array, rng.integers(4, 9))
        case 3:
            arrays[key] = array.astype("U9")[..., None]
        case _:
            value = [np.nan, np.inf, -1.0, 0.123, 1e300][rng.integers(5)]
            arrays[key] = np.full(array.shape, value)
    np.savez(path, **arrays)
    return f"detector.npz {key}"


def change_bytes(folder: Path, rng: np.random.Generator) -> str:
    names = ["a2d.json", "classifier.keras", "detector.npz"]
    path = folder / names[rng.integers(3)]
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    path.write_bytes(content)
    return path.name


def change_files(folder: Path, rng: np.random.Generator) -> str:
    names = ["a2d.json", "classifier.keras", "detector.npz"]
    name = names[rng.integers(3)]
    match rng.integers(4):
        case 0:
            (folder / name).unlink()
        case 1:
            target = folder.parent / "other" / name
            (folder / name).unlink()
            (folder / name).symlink_to(target)
        case 2:
            (folder / name).unlink()
            (folder / name).mkdir()
        case _:
            content = (folder / name).read_bytes()
            (folder / name).write_bytes(content[:rng.integers(len(content))])
    return f"file {name}"


@pytest.mark.parametrize("changes", [40, pytest.param(200, marks=pytest.mark.long)])
def test_random_changes_are_refused_or_harmless(
    changes: int, saved: Path, tmp_path: Path, benign: np.ndarray
) -> None:
    rng = np.random.default_rng(0)
    expected = A2D.load(saved / "detector").predict(benign[:20])
    harmless = []
    for number in range(changes):
        folder = tmp_path / str(number) / "detector"
        shutil.copytree(saved, folder.parent)
        change = [change_json, change_array, change_bytes, change_files][number % 4](folder, rng)
        try:
            loaded = A2D.load(folder)
        except InvalidInputError as error:
            assert "\n" not in str(error) and len(str(error)) < 500, change
        else:
            harmless.append(change)
            found = loaded.predict(benign[:20])
            np.testing.assert_array_equal(found.is_adversarial, expected.is_adversarial, change)
            np.testing.assert_array_equal(found.score, expected.score, change)
        shutil.rmtree(folder.parent)
    assert len(harmless) < changes / 20, harmless


def test_a_folder_that_is_replaced_while_it_is_read_is_read_again(copy: Path) -> None:
    reads = []

    def use(saved: detector_folder.SavedDetector) -> list[str]:
        reads.append(saved)
        if len(reads) == 1:
            copy.rename(copy.parent / "old")
            (copy.parent / "other").rename(copy)
        return list(saved.detector)

    detector_folder.read(copy, use)
    assert len(reads) == 2
    assert reads[0].detector["threshold"] != reads[1].detector["threshold"]


def test_equal_fits_give_equal_bytes(
    saved: Path, benign: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = saved / "detector" / "classifier.keras"  # it has a dropout, whose seed is kept
    for name in ("one", "two"):
        a2d = A2D(Classifier.load(model), BIM(max_iterations=9), "conformal").fit(benign[:60])
        a2d.save(tmp_path / name)
        monkeypatch.setattr(time, "time", lambda: 2e9)  # as if it were another year
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
