"""Stored detectors: every array is checked before it judges anything."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2d_tf import InvalidInputError, detectors
from a2d_tf.detectors.stored import from_stored

Arrays = dict[str, np.ndarray]


def stored(kind: str) -> Arrays:
    """A detector that was fitted on random columns, as arrays."""
    rng = np.random.default_rng(0)
    columns = rng.integers(1, 60, (80, 1 if kind == "threshold" else 2)).astype(float)
    detector = detectors.REGISTRY[kind]()
    labels = np.arange(80) % 2 == 1 if detector.learns_from_adversarial else None
    return {key: np.asarray(one) for key, one in detector.fit(columns, labels).to_arrays().items()}


# What versions before 0.6 did not write, or only of a calibrated detector.
MAY_MISS = (
    "fitted_calibration", "fitted_calibration_scores", "fitted_shift", "fitted_transformed",
)
FREE = ("fitted_benign", "fitted_roots")  # of any length


def wrong_arrays(key: str, array: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """What a broken or hostile file may hold in the place of an array."""
    found: list[Any] = [
        array[None], np.full(array.shape, "none"), np.zeros(array.shape, np.complex128),
        np.array(b"x"),
        array.astype("datetime64[s]") if array.dtype.kind == "i" else np.zeros((3, 0)),
    ]
    if array.dtype.kind == "f":
        place = tuple(rng.integers(size) for size in array.shape)
        for value in (np.nan, np.inf, -np.inf):
            changed = array.copy()
            changed[place] = value
            found.append(changed)
        found.append(array.astype(np.float16))
    if array.ndim:
        found += [array[:0], *([] if key in FREE else [np.concatenate([array, array])])]
    return found


@pytest.mark.parametrize("kind", sorted(detectors.REGISTRY))
def test_what_was_saved_is_read(kind: str) -> None:
    arrays = stored(kind)
    columns = np.random.default_rng(1).integers(1, 60, (50, int(arrays["fitted_columns"])))
    expected = detectors.REGISTRY[kind].from_arrays(dict(arrays)).score(columns)
    found = from_stored(arrays, detectors.REGISTRY, "here")
    np.testing.assert_array_equal(found.score(columns), expected)


@pytest.mark.parametrize("kind", sorted(detectors.REGISTRY))
def test_wrong_arrays_are_refused_in_one_line(kind: str) -> None:
    rng, arrays = np.random.default_rng(2), stored(kind)
    for key, array in arrays.items():
        for wrong in wrong_arrays(key, array, rng):
            with pytest.raises(InvalidInputError, match="expected .* got") as error:
                from_stored(arrays | {key: wrong}, detectors.REGISTRY, "here")
            assert "\n" not in str(error.value)
        if not key.startswith("setting_") and key not in MAY_MISS:
            with pytest.raises(InvalidInputError, match="expected"):
                from_stored({k: v for k, v in arrays.items() if k != key},
                            detectors.REGISTRY, "here")
    with pytest.raises(InvalidInputError, match="got another one, 'fitted_more'"):
        from_stored(arrays | {"fitted_more": np.zeros(1)}, detectors.REGISTRY, "here")


@pytest.mark.parametrize("kind, key, value", [
    ("zscore", "fitted_deviation", np.zeros(2)),
    ("zscore", "setting_votes", np.array(0)),
    ("zscore", "fitted_columns", np.array(10**12)),
    ("svm", "fitted_gamma", np.array(-1.0)),
    ("tree", "fitted_roots", np.array([10**9])),
    ("tree", "fitted_roots", np.array([-1])),
    ("conformal", "fitted_calibration", np.array([0.1, 1.5])),
    ("conformal", "fitted_calibration", np.array([1.5, 20.0])),
    ("conformal", "fitted_calibration_scores", np.arange(40.0)[::-1]),
    ("conformal", "fitted_calibration_scores", np.arange(39.0)),
    ("conformal", "setting_fpr", np.array(2.0)),
    ("knn", "setting_k", np.array(0)),
])
def test_values_out_of_range_are_refused(kind: str, key: str, value: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        from_stored(stored(kind) | {key: value}, detectors.REGISTRY, "here")


def test_trees_without_an_end_are_refused() -> None:
    arrays = stored("tree")
    for key in ("fitted_left", "fitted_right"):
        node = int(np.flatnonzero(arrays[key] > 0)[0])
        for child in (node, 0, 10**9, -2):
            changed = arrays[key].copy()
            changed[node] = child
            with pytest.raises(InvalidInputError, match="come after their parents"):
                from_stored(arrays | {key: changed}, detectors.REGISTRY, "here")
    for key, value in (("fitted_column", 2), ("fitted_share", 1.5)):
        changed = arrays[key].copy()
        changed[-1] = value
        with pytest.raises(InvalidInputError, match="expected"):
            from_stored(arrays | {key: changed}, detectors.REGISTRY, "here")


def test_a_detector_by_itself_is_checked_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "detector.npz", **(stored("zscore") | {"threshold": np.array(np.nan)}))
    with pytest.raises(InvalidInputError, match="finite numbers in 'threshold'"):
        detectors.load(tmp_path / "detector.npz")
