"""Detectors from stored arrays, whose types, shapes and ranges are checked first."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2d_tf.detectors.base import Detector
from a2d_tf.detectors.calibration import KEPT_SCORES
from a2d_tf.detectors.trees import LEAF
from a2d_tf.errors import InvalidInputError
from a2d_tf.storage import files

Arrays = Mapping[str, NDArray[Any]]
Sizes = dict[str, int]  # of axes, by the letters below
# For each detector: what it learned. The kind is "f" (finite numbers), "i" (whole numbers) or "b"
# (truth values). Of the axes, D are the columns; the other letters stand for any size, the same
# wherever they occur.
TREES = {
    "roots": ("i", "T"), "column": ("i", "N"), "split": ("f", "N"), "left": ("i", "N"),
    "right": ("i", "N"), "share": ("f", "N"),
}
LEARNED: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "zscore": {
        "shift": ("f", "D"), "power": ("f", "D"), "mean": ("f", "D"), "deviation": ("f", "D"),
    },
    "conformal": {"benign": ("f", "ND")},
    "knn": {"costs": ("f", "ND"), "is_adversarial": ("b", "N")},
    "svm": {"support": ("f", "SD"), "weights": ("f", "S"), "bias": ("f", ""), "gamma": ("f", "")},
    "logistic": {"weights": ("f", "P"), "bias": ("f", ""), "transformed": ("b", "D")},
    "threshold": {},
    "tree": TREES,
    "forest": TREES,
    "profile": {
        "benign": ("f", "ND"), "either": ("b", "D"),
        "shift": ("f", "D"), "mean": ("f", "D"), "deviation": ("f", "D"), "precision": ("f", "DD"),
    },
}
# Of these a profile holds one or both, whole.
TAILS = {
    f"{what}_{key}": ("f", axes)
    for what, size in (("near", "P"), ("unlike", "Q"))
    for key, axes in (("places", size), ("heights", size), ("decay", ""))
}
# These a profile holds, whole, if one of its columns is the predicted class.
CLASSES = {
    "class_column": ("i", ""), "class_numbers": ("f", "B"), "class_thresholds": ("f", "B"),
    "other_threshold": ("f", ""),
}
# Versions before 0.6 wrote a Conformal's threshold twice, no "transformed" of a Logistic, and no
# "shift" of a Z-score.
OLD = {"conformal": {"threshold": ("f", "")}}
MISSING_IN_OLD = {"logistic": {"transformed"}, "zscore": {"shift"}}
MAX_COLUMNS = 10**6


def load_detector(path: str | Path, registry: Mapping[str, type[Detector]]) -> Detector:
    """The detector that `Detector.save` wrote, out of a registry of known ones.

    Raises:
      InvalidInputError: the file does not hold a detector, or an array is not what it must be.
    """
    return from_stored(files.load_npz(path), registry, str(path))


def from_stored(arrays: Arrays, registry: Mapping[str, type[Detector]], place: str) -> Detector:
    """The detector that `Detector.to_arrays` described.

    Args:
      arrays: the arrays, of unknown origin.
      registry: the detectors that are known, by name.
      place: where the arrays were read, for messages.

    Raises:
      InvalidInputError: the first array that is not what it must be.
    """
    name = _name(arrays, registry, place)
    _check(arrays, name, place)
    try:
        return registry[name].from_arrays(dict(arrays))
    except (KeyError, ValueError, IndexError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInputError(
            f"expected a saved detector at {place}, got something else ({reason}); fit it again"
        ) from error


def _name(arrays: Arrays, registry: Mapping[str, type[Detector]], place: str) -> str:
    stored = arrays.get("detector")
    if stored is None or stored.shape or stored.dtype.kind != "U" or str(stored) not in registry:
        found = "none" if stored is None else " ".join(repr(stored).split())[:60]
        raise InvalidInputError(
            f"expected a saved detector at {place}, out of {', '.join(registry)}, got {found}; fit "
            "it again"
        )
    return str(stored)


def _check(arrays: Arrays, name: str, place: str) -> None:
    wanted = {"threshold": ("f", ""), "fitted_columns": ("i", "")}
    optional = {"fitted_calibration": ("f", "C"), "fitted_calibration_scores": ("f", "K")}
    known = LEARNED.get(name)
    if known is not None:
        wanted |= {f"fitted_{key}": spec for key, spec in known.items()}
        optional |= {f"fitted_{key}": spec for key, spec in OLD.get(name, {}).items()}
        if name == "profile":
            wanted |= {f"fitted_{key}": spec for key, spec in _asked(arrays).items()}
    may_miss = {f"fitted_{key}" for key in MISSING_IN_OLD.get(name, ())}
    for key in arrays:
        is_setting = key == "detector" or key.startswith("setting_")
        if not is_setting and known is not None and key not in wanted | optional:
            raise _wrong(place, f"arrays of a {name}", f"another one, {key!r}")
    sizes: Sizes = {"C": 2}
    if "fitted_columns" in arrays:
        _check_array(arrays["fitted_columns"], "fitted_columns", ("i", ""), sizes, place)
        sizes["D"] = int(arrays["fitted_columns"])
    for key, spec in (wanted | optional).items():
        if key in arrays:
            _check_array(arrays[key], key, spec, sizes, place)
        elif key in wanted and key not in may_miss:
            raise _wrong(place, f"{key!r}", "none")
    for key, array in arrays.items():
        if key.startswith("setting_"):
            _check_array(array, key, (array.dtype.kind if array.dtype.kind in "bi" else "f", ""),
                         sizes, place)
    for what, holds in _ranges(arrays, name, sizes):
        if not holds():
            raise _wrong(place, what, "others")


def _check_array(
    array: NDArray[Any], key: str, spec: tuple[str, str], sizes: Sizes, place: str
) -> None:
    kind, axes = spec
    kinds = {"f": "floats", "i": "whole numbers", "b": "truth values"}
    shape = [sizes.get(axis, "N") for axis in axes]
    is_kind = array.dtype.kind == kind and array.dtype.itemsize == (1 if kind == "b" else 8)
    fits = is_kind and array.dtype.isnative and array.ndim == len(axes) and all(
        sizes.setdefault(axis, size) == size for axis, size in zip(axes, array.shape)
    )
    if not fits or 0 in array.shape:
        raise _wrong(
            place, f"{key!r} as {kinds[kind]} of shape {shape}",
            f"{array.dtype} of shape {list(array.shape)}",
        )
    if kind == "f" and not np.isfinite(array).all():
        raise _wrong(place, f"finite numbers in {key!r}", "infinite or NaN ones")


def _ranges(
    arrays: Arrays, name: str, sizes: Sizes
) -> list[tuple[str, Callable[[], bool]]]:
    """What else must hold, in words, and whether it does."""
    def of(key: str) -> NDArray[Any]:
        return arrays[f"fitted_{key}"]

    rules: list[tuple[str, Callable[[], bool]]] = [
        (
            f"from 1 to {MAX_COLUMNS} columns in 'fitted_columns'",
            lambda: 1 <= sizes["D"] <= MAX_COLUMNS,
        ),
    ]
    if "fitted_calibration" in arrays:
        rules.append((
            "a rate in (0, 1) and a number of images in 'fitted_calibration'",
            lambda: bool(0 < of("calibration")[0] < 1) and bool(
                of("calibration")[1] >= 1 and of("calibration")[1] % 1 == 0
            ),
        ))
    if "fitted_calibration_scores" in arrays:
        rules.append((
            "the scores of the images that 'fitted_calibration' counts, in rising order",
            lambda: "fitted_calibration" in arrays and sizes["K"] == min(
                of("calibration")[1], KEPT_SCORES
            ) and bool((np.diff(of("calibration_scores")) >= 0).all()),
        ))
    if name in ("zscore", "profile"):
        rules.append(("deviations > 0", lambda: bool((of("deviation") > 0).all())))
    if name == "svm":
        rules.append(("'fitted_gamma' > 0", lambda: bool(of("gamma") > 0)))
    if name == "threshold":
        rules.append(("a single column for a threshold", lambda: sizes["D"] == 1))
    if name == "logistic":
        rules.append(("a weight for each predictor of a logistic", lambda: sizes["P"] == (
            sizes["D"] + int(arrays.get("fitted_transformed", np.ones(sizes["D"])).sum())
        )))
    if name in ("tree", "forest"):
        rules += _tree_ranges(of, sizes)
        rules.append(("shares from 0 to 1", lambda: _is_within(of("share"), 0, 1)))
    if name == "profile":
        if "fitted_class_column" in arrays:
            rules += [
                ("the place of a column in 'fitted_class_column'",
                 lambda: 0 <= int(of("class_column")) < sizes["D"]),
                ("increasing 'fitted_class_numbers'",
                 lambda: bool((np.diff(of("class_numbers")) > 0).all())),
            ]
        for what in sorted({key.partition("_")[0] for key in _asked(arrays)} - {"class", "other"}):
            rules.append((
                f"increasing places and a decay > 0 of {what!r}",
                lambda what=what: bool(  # type: ignore[misc]
                    (np.diff(of(f"{what}_places")) > 0).all() and of(f"{what}_decay") > 0
                ),
            ))
    return rules


def _asked(arrays: Arrays) -> dict[str, tuple[str, str]]:
    """The arrays of the questions that a profile asks, and of its classes, by its columns."""
    either = np.asarray(arrays.get("fitted_either", True), np.bool_)
    has_classes = "fitted_class_column" in arrays
    asked = ["near"] * bool((~either).sum() > has_classes) + ["unlike"] * bool(either.any())
    tails = {key: spec for key, spec in TAILS.items() if key.partition("_")[0] in asked}
    return tails | (CLASSES if has_classes else {})


def _tree_ranges(
    of: Callable[[str], NDArray[Any]], sizes: Sizes
) -> list[tuple[str, Callable[[], bool]]]:
    nodes = np.arange(sizes["N"])

    def are_children() -> bool:
        """A child comes after its parent, so that every way down ends in a leaf."""
        left, right = of("left"), of("right")
        leaves = left == LEAF
        inner = (left > nodes) & (right > nodes) & (left < len(nodes)) & (right < len(nodes))
        return bool(((right == LEAF) == leaves).all() and (leaves | inner).all())

    return [
        ("roots among the nodes", lambda: bool(((of("roots") >= 0) & (
            of("roots") < len(nodes))).all())),
        ("columns of the nodes among all columns", lambda: bool(((of("column") >= 0) & (
            of("column") < sizes["D"])).all())),
        ("children that come after their parents", are_children),
    ]


def _is_within(values: NDArray[Any], low: float, high: float) -> bool:
    return bool(((values >= low) & (values <= high)).all())


def _wrong(place: str, wanted: str, found: str) -> InvalidInputError:
    return InvalidInputError(
        f"expected {wanted} in the detector at {place}, got {found}; fit it again"
    )
