"""What the folder of a saved detector holds, as plain values: a2d.json, arrays and a classifier.

    a2d.json        the settings of the classifier and of each feature, and the features' order
    detector.npz    the settings of the detector, what it learned, and its threshold
    features.npz    what the features learned, if any did
    classifier.keras or classifier/   the model, as a Keras file or as a SavedModel
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError
from a2d_tf.storage import files
from a2d_tf.storage.provenance import versions

FORMAT = 2  # 1 is that of versions 0.1 to 0.5
SETTINGS_FILE = "a2d.json"
DETECTOR_FILE = "detector.npz"
FEATURES_FILE = "features.npz"
ATTACK_COST = "attack_cost"
OWN_FEATURES = "a2d_tf.features"
Arrays = Mapping[str, NDArray[Any]]


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
        classifier = write_classifier(scratch)
        files.save_json(scratch / SETTINGS_FILE, {
            "format": FORMAT,
            "classifier": classifier,
            "classifier_sha256": files.sha256(scratch / classifier),
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
        })


def read(folder: str | Path) -> SavedDetector:
    """What `write` wrote, in this version or in an earlier one.

    Raises:
      InvalidInputError: the folder does not hold a detector.
    """
    folder = Path(folder)
    try:
        stored = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        if stored.get("format", 1) > FORMAT:
            raise InvalidInputError(
                f"expected a detector of format {FORMAT} or lower at {folder}, got format "
                f"{stored['format']}; load it with a newer version of a2d_tf"
            )
        features = _features(folder, stored)
        return SavedDetector(
            classifier=SavedClassifier(
                path=folder / stored["classifier"], bounds=tuple(stored["bounds"]),
                probabilities=stored["probabilities"],
                signature=stored.get("signature"), output=stored.get("output"),
            ),
            features=features,
            order=stored.get("order", list(features)),
            detector=files.load_npz(folder / DETECTOR_FILE),
        )
    except InvalidInputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"expected a detector folder at {folder}, got no readable {SETTINGS_FILE} there; "
            "write one with fit_detector.py or A2D.save"
        ) from error


def check_free(folder: str | Path) -> Path:
    """The folder as a path, if nothing is there or a detector that may be replaced.

    Raises:
      InvalidInputError: something else is there.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / SETTINGS_FILE).is_file():
        raise InvalidInputError(
            f"expected a new folder or an earlier detector at {folder}, got something else; "
            "choose another place"
        )
    return folder


def _features(folder: Path, stored: dict[str, Any]) -> dict[str, SavedFeature]:
    if stored.get("format", 1) == 1:
        return _features_of_format_1(stored)
    arrays = {}
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


def _features_of_format_1(stored: dict[str, Any]) -> dict[str, SavedFeature]:
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
