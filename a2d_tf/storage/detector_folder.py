"""What the folder of a saved detector holds, as plain values: a2d.json, arrays and a classifier.

    a2d.json        the settings of the classifier and of each feature, and the features' order
    detector.npz    the settings of the detector, what it learned, and its threshold
    features.npz    what the features learned, if any did
    classifier.keras or classifier/   the model, as a Keras file or as a SavedModel

The parts belong together: a2d.json has a digest over all of them. It tells accidents and parts of
different detectors. It is no signature: who can write to the folder can also write another digest,
so that a folder from someone whom you do not trust stays what it is.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError
from a2d_tf.storage import detector_schema, files
from a2d_tf.storage import detector_parts as parts
from a2d_tf.storage.detector_schema import FORMAT, SETTINGS_FILE, Settings
from a2d_tf.storage.places import check_folder_place
from a2d_tf.storage.provenance import versions

DETECTOR_FILE = "detector.npz"
FEATURES_FILE = "features.npz"
ATTACK_COST = "attack_cost"
OWN_FEATURES = "a2d_tf.features"
EXPORT_FILE = "saved_model.pb"  # of an exported detector
Arrays = Mapping[str, NDArray[Any]]
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class SavedClassifier:
    """How to load the classifier again.

    Attributes:
      path: the Keras file or the SavedModel.
      bounds, probabilities, signature, output: as for `Classifier.load`.
    """

    path: Path
    bounds: tuple[Any, ...]
    probabilities: bool
    signature: str | None
    output: str | None


@dataclass(frozen=True, kw_only=True)
class SavedFeature:
    """A feature as plain values.

    Attributes:
      feature: its name among all features.
      module: the Python module that defines it.
      config: its settings.
      columns: the names of its columns; None if there is one column that has the feature's name.
      learned: what it learned; None for a feature that learns nothing.
    """

    feature: str
    module: str
    config: Mapping[str, Any]
    columns: Sequence[str] | None
    learned: Arrays | None


@dataclass(frozen=True, kw_only=True)
class SavedDetector:
    """All that a folder holds.

    Attributes:
      classifier: how to load the classifier.
      features: the features, by name, in the order of their columns.
      order: their names, in the order in which they are measured if only verdicts are wanted.
      detector: the detector, as `Detector.to_arrays` gives it.
    """

    classifier: SavedClassifier
    features: Mapping[str, SavedFeature]
    order: Sequence[str]
    detector: Arrays


def write(
    folder: str | Path,
    saved: SavedDetector,
    write_classifier: Callable[[Path], str],
) -> None:
    """Writes a folder, whole or not at all; it then needs nothing else.

    Args:
      folder: a new folder, or one that `write` wrote before.
      saved: what it shall hold; the path of its classifier is not used.
      write_classifier: writes the classifier into the folder it is given, and returns its name
        there.

    Raises:
      InvalidInputError: `folder` holds other things.
    """
    folder = check_free(folder)
    with files.replacing(folder) as scratch:
        scratch.mkdir()
        files.save_npz(scratch / DETECTOR_FILE, **saved.detector)
        learned = {
            f"{name}/{key}": array
            for name, feature in saved.features.items() if feature.learned is not None
            for key, array in feature.learned.items()
        }
        if learned:
            files.save_npz(scratch / FEATURES_FILE, **learned)
        settings = {
            "format": FORMAT,
            "classifier": write_classifier(scratch),
            "bounds": list(saved.classifier.bounds),
            "probabilities": saved.classifier.probabilities,
            "signature": saved.classifier.signature,
            "output": saved.classifier.output,
            "features": {
                name: {
                    "feature": feature.feature, "module": feature.module,
                    "config": dict(feature.config),
                    "columns": None if feature.columns is None else list(feature.columns),
                    "learns": feature.learned is not None,
                }
                for name, feature in saved.features.items()
            },
            "order": list(saved.order),
            "versions": versions(),
        }
        digest = parts.digest(scratch, _part_names(settings), settings)
        files.save_json(scratch / SETTINGS_FILE, settings | {"digest": digest})


def read(folder: str | Path, use: Callable[[SavedDetector], Result]) -> Result:
    """What `use` makes of the detector that `write` wrote, in this version or in an earlier one.

    If another process replaces the folder meanwhile, all is read again, so that no part of the old
    detector meets a part of the new one.

    Args:
      folder: the folder.
      use: is given what the folder holds, and reads the classifier.

    Raises:
      InvalidInputError: the folder does not hold a detector, its parts do not belong together or
        are not what they must be, or one of them is a link.
    """
    folder = Path(os.path.expanduser(folder))
    return parts.unchanged(folder, lambda: use(_read(folder)))


def _read(folder: Path) -> SavedDetector:
    if (folder / EXPORT_FILE).is_file():
        raise InvalidInputError(
            f"expected a detector folder at {folder}, got a SavedModel, such as A2D.export and "
            "export_detector.py write; serve it with TensorFlow, or load the folder that it was "
            "exported from"
        )
    settings = parts.part(folder, SETTINGS_FILE)
    if settings.stat().st_size > detector_schema.MAX_BYTES:
        raise InvalidInputError(
            f"expected a detector folder at {folder}, got {SETTINGS_FILE} of more than "
            f"{detector_schema.MAX_BYTES} bytes; fit it again"
        )
    stored = detector_schema.parse(settings.read_bytes(), folder)
    classifier = parts.part(folder, stored["classifier"])
    parts.part(folder, DETECTOR_FILE)
    if "digest" in stored:
        whole = parts.digest(folder, _part_names(stored), stored) == stored["digest"]
    else:
        whole = files.sha256(classifier) == stored["classifier_sha256"]
    if not whole:
        raise InvalidInputError(
            f"expected the parts of one detector in {folder}, got others than were saved together; "
            "copy the whole folder again, or fit it again"
        )
    features = _features(folder, stored)
    lower, upper = stored["bounds"]
    return SavedDetector(
        classifier=SavedClassifier(
            path=classifier, bounds=(lower, upper), probabilities=stored["probabilities"],
            signature=stored.get("signature"), output=stored.get("output"),
        ),
        features=features,
        order=list(dict.fromkeys([*stored.get("order", []), *features])),
        detector=files.load_npz(folder / DETECTOR_FILE),
    )


def check_free(folder: str | Path) -> Path:
    """The folder as a path, if nothing is there or a detector that may be replaced.

    Raises:
      InvalidInputError: something else is there, or nothing can be written there.
    """
    folder = check_folder_place(folder)
    if folder.exists() and not (folder / SETTINGS_FILE).is_file():
        raise InvalidInputError(
            f"expected a new folder or an earlier detector at {folder}, got something else; "
            "choose another place"
        )
    return folder


def _part_names(settings: Settings) -> list[str]:
    """The files and folders of a detector besides its settings."""
    learns = any(feature["learns"] for feature in settings.get("features", {}).values())
    return [settings["classifier"], DETECTOR_FILE, *([FEATURES_FILE] if learns else [])]


def _features(folder: Path, stored: Settings) -> dict[str, SavedFeature]:
    if stored.get("format", 1) == 1:
        return _features_of_format_1(stored)
    arrays: dict[str, NDArray[Any]] = {}
    if any(feature["learns"] for feature in stored["features"].values()):
        arrays = files.load_npz(folder / FEATURES_FILE)
    return {
        name: SavedFeature(
            feature=feature["feature"], module=feature["module"], config=feature["config"],
            columns=feature["columns"],
            learned=None if not feature["learns"] else {
                key.removeprefix(f"{name}/"): array
                for key, array in arrays.items() if key.startswith(f"{name}/")
            },
        )
        for name, feature in stored["features"].items()
    }


def _features_of_format_1(stored: Settings) -> dict[str, SavedFeature]:
    """Versions 0.1 to 0.5 knew attacks, and a flag for the costs in all directions."""
    features = {
        name: SavedFeature(
            feature=ATTACK_COST, module=OWN_FEATURES, config=fields, columns=None, learned=None
        )
        for name, fields in stored["attacks"].items()
    }
    if stored.get("directions", False):
        features["directions"] = SavedFeature(
            feature="directions", module=OWN_FEATURES, config={}, columns=None, learned=None
        )
    return features
