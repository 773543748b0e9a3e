"""How a fitted A2D becomes a folder, and a folder an A2D; see `storage.detector_folder`."""

import functools
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
from numpy.typing import NDArray

from a2d_tf import attacks, detectors
from a2d_tf.classifiers import Classifier
from a2d_tf.detection.state import DetectorState
from a2d_tf.detectors import Detector
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import REGISTRY, AttackCost, Feature
from a2d_tf.storage import detector_folder


def save(state: DetectorState, folder: str | Path) -> None:
    """Writes a fitted A2D to a folder; see `storage.detector_folder`.

    Raises:
      InvalidInputError: the classifier is a bare callable, an attack or a feature is of a class
        that is not registered, or `folder` holds other things.
    """
    state.detector.require_fit()
    for name, feature in state.features.items():
        _check_registered(name, feature)
    classifier = state.classifier
    saved = detector_folder.SavedDetector(
        classifier=detector_folder.SavedClassifier(
            path=Path(folder), bounds=tuple(classifier.bounds.to_lists()),
            probabilities=classifier.probabilities, signature=classifier.signature,
            output=classifier.output,
        ),
        features={
            name: detector_folder.SavedFeature(
                feature=feature.name, module=type(feature).__module__,
                config=feature.config(), columns=state.columns[name], learned=feature.learned,
            )
            for name, feature in state.features.items()
        },
        order=state.order,
        detector=state.detector.to_arrays(),
    )
    detector_folder.write(folder, saved, functools.partial(_write_classifier, classifier))


def load(folder: str | Path) -> DetectorState:
    """What `save` wrote, in this version or in an earlier one.

    Raises:
      InvalidInputError: the folder does not hold a detector, or one with a feature of a class that
        is not registered.
    """
    saved = detector_folder.read(folder)
    detector = _detector(saved.detector, Path(folder))
    features = {name: _feature(stored) for name, stored in saved.features.items()}
    fields = saved.classifier
    classifier = Classifier.load(
        fields.path, fields.bounds, probabilities=fields.probabilities,
        signature=fields.signature, output=fields.output,
    )
    singles = sum(isinstance(feature, AttackCost) for feature in features.values())
    columns = {}
    for name, feature in features.items():
        width = 1 if isinstance(feature, AttackCost) else detector.n_features_in_ - singles
        columns[name] = saved.features[name].columns or feature.column_names(name, width)
    return DetectorState(classifier, features, detector, columns, tuple(saved.order))


def _feature(stored: detector_folder.SavedFeature) -> Feature:
    if stored.feature not in REGISTRY:
        raise InvalidInputError(
            f"expected a feature out of {', '.join(REGISTRY)}, got {stored.feature!r}; import "
            f"{stored.module} first, which defines it"
        )
    return REGISTRY[stored.feature].from_config(stored.config, stored.learned)


def _detector(arrays: Mapping[str, NDArray[Any]], folder: Path) -> Detector:
    try:
        return detectors.REGISTRY[str(arrays["detector"])].from_arrays(dict(arrays))
    except (KeyError, ValueError, IndexError) as error:
        raise InvalidInputError(
            f"expected a saved detector in {folder}, got something else; fit it again"
        ) from error


def _check_registered(name: str, feature: Feature) -> None:
    if isinstance(feature, AttackCost):
        attack = feature.attack
        if attacks.REGISTRY.get(attack.name) is not type(attack):
            raise InvalidInputError(
                f"expected attacks out of {', '.join(attacks.REGISTRY)} to save, got {name} "
                "of another class"
            )
    elif REGISTRY.get(feature.name) is not type(feature):
        raise InvalidInputError(
            f"expected features out of {', '.join(REGISTRY)} to save, got {name} of another class"
        )


def _write_classifier(classifier: Classifier, folder: Path) -> str:
    """Writes the classifier into the folder; returns its name there."""
    if classifier.preprocess is not None:
        raise InvalidInputError(
            "expected a classifier without preprocess to save, got one whose model file would lack "
            "it; put it into the model as its first layers, keras.Sequential([keras.Input(shape), "
            "keras.layers.Rescaling(...), model]), or use export, which holds it"
        )
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
