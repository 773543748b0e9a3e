"""Detectors in folders that hold all they need, the classifier included."""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras

from a2d_tf import detectors, files
from a2d_tf.attacks import REGISTRY, Attack
from a2d_tf.classifier import Classifier
from a2d_tf.detectors import CostDetector
from a2d_tf.errors import InvalidInputError

SETTINGS_FILE = "a2d.json"
DETECTOR_FILE = "detector.npz"


class Saved(NamedTuple):
    """What a folder holds.

    Attributes:
      classifier: the classifier whose inputs are judged.
      attacks: the cost attacks, by name.
      detector: fitted.
      settings: what else was stored with them.
    """

    classifier: Classifier
    attacks: dict[str, Attack]
    detector: CostDetector
    settings: dict[str, Any]


def save(
    folder: str | Path,
    classifier: Classifier,
    attacks: Mapping[str, Attack],
    detector: CostDetector,
    settings: Mapping[str, Any],
) -> None:
    """Writes a detector to a folder, which then needs nothing else.

    Raises:
      NotFittedError: the detector is not fitted.
      InvalidInputError: the classifier is a bare callable, an attack is of an unknown class, or
        `folder` holds other things.
    """
    detector.require_fit()
    folder = check_free(folder)
    foreign = [n for n, a in attacks.items() if REGISTRY.get(a.name) is not type(a)]
    if foreign:
        raise InvalidInputError(
            f"expected attacks out of {', '.join(REGISTRY)} to save, got {', '.join(foreign)} "
            "of another class"
        )
    with files.replacing(folder) as scratch:
        scratch.mkdir()
        detector.save(scratch / DETECTOR_FILE)
        classifier_file = _save_classifier(classifier, scratch)
        files.save_json(scratch / SETTINGS_FILE, {
            "classifier": classifier_file,
            "classifier_sha256": files.sha256(scratch / classifier_file),
            "bounds": list(classifier.bounds),
            "probabilities": classifier.probabilities,
            "signature": classifier.signature,
            "output": classifier.output,
            "attacks": {
                name: {"attack": attack.name, **dataclasses.asdict(attack)}
                for name, attack in attacks.items()
            },
            **settings,
            "versions": files.versions(),
        })


def load(folder: str | Path) -> Saved:
    """What `save` wrote.

    Raises:
      InvalidInputError: the folder is none of a detector.
    """
    folder = Path(folder)
    try:
        stored = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        attacks = {name: _attack(**fields) for name, fields in stored["attacks"].items()}
        classifier_path = folder / stored["classifier"]
        bounds, probabilities = stored["bounds"], stored["probabilities"]
        chosen = {name: stored.get(name) for name in ("signature", "output")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"expected a detector folder at {folder}, got no readable {SETTINGS_FILE} there; "
            "write one with fit_detector.py or A2D.save"
        ) from error
    return Saved(
        Classifier.load(classifier_path, bounds, probabilities=probabilities, **chosen),
        attacks,
        detectors.load(folder / DETECTOR_FILE),
        stored,
    )


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


def _attack(attack: str, **fields: Any) -> Attack:
    return REGISTRY[attack](**fields)


def _save_classifier(classifier: Classifier, folder: Path) -> str:
    """Puts the classifier into the folder; returns its name there."""
    if classifier.path is not None and classifier.path.is_dir():
        shutil.copytree(classifier.path, folder / "classifier")
        return "classifier"
    if isinstance(classifier.model, keras.Model):
        classifier.model.save(folder / "classifier.keras")
        return "classifier.keras"
    raise InvalidInputError(
        "expected a Keras model or a SavedModel to save, got a bare callable; "
        "save it as a SavedModel and load it with Classifier.load"
    )
