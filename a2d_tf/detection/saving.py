"""How a fitted A2D becomes a folder, and a folder an A2D; see `storage.detector_folder`."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from a2d_tf import attacks, detectors
from a2d_tf.checks import text_path
from a2d_tf.classifiers import Classifier
from a2d_tf.classifiers.saving import FOLDER
from a2d_tf.classifiers.saving import write as write_classifier
from a2d_tf.detection.state import DetectorState
from a2d_tf.detectors import Detector
from a2d_tf.detectors.stored import from_stored
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import REGISTRY, AttackCost, Feature
from a2d_tf.storage import detector_folder


def save(state: DetectorState, folder: str | Path) -> None:
    """Writes a fitted A2D to a folder; see `storage.detector_folder`.

    Raises:
      InvalidInputError: the classifier is a black box or cannot be read back, an attack or a
        feature is of a class that is not registered, or `folder` holds other things.
    """
    state.detector.require_fit()
    for name, feature in state.features.items():
        _check_registered(name, feature)
    detector_folder.check_free(folder)  # before the classifier is written and read back
    classifier = state.classifier
    with tempfile.TemporaryDirectory() as scratch:
        written = write_classifier(classifier, Path(scratch))
        if written.name == FOLDER and isinstance(classifier.model, keras.Model):
            _check_features(state, Path(scratch) / FOLDER)
        saved = detector_folder.SavedDetector(
            classifier=detector_folder.SavedClassifier(
                path=Path(folder), bounds=tuple(classifier.bounds.to_lists()),
                probabilities=written.probabilities, signature=written.signature,
                output=written.output,
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

        def move(place: Path) -> str:
            shutil.move(Path(scratch) / written.name, place / written.name)
            return written.name

        detector_folder.write(folder, saved, move)


def load(
    folder: str | Path,
    *,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
) -> DetectorState:
    """What `save` wrote, in this version or in an earlier one.

    Args:
      folder: where it was written.
      custom_objects, safe_mode: as for `Classifier.load`.

    Raises:
      InvalidInputError: the folder does not hold a detector, or one with a feature of a class that
        is not registered.
    """
    path = text_path(folder, "a detector folder")
    return detector_folder.read(
        path, lambda saved: _state(saved, Path(path), custom_objects, safe_mode)
    )


def _state(
    saved: detector_folder.SavedDetector, folder: Path, custom_objects: Mapping[str, Any] | None,
    safe_mode: bool,
) -> DetectorState:
    detector = from_stored(saved.detector, detectors.REGISTRY, str(folder))
    features = {name: _feature(name, stored, folder) for name, stored in saved.features.items()}
    columns = _columns(saved, features, detector, folder)
    fields = saved.classifier
    classifier = Classifier.load(
        fields.path, fields.bounds, probabilities=fields.probabilities,
        signature=fields.signature, output=fields.output, custom_objects=custom_objects,
        safe_mode=safe_mode,
    )
    return DetectorState(classifier, features, detector, columns, tuple(saved.order))


def _check_features(state: DetectorState, folder: Path) -> None:
    """Raises InvalidInputError if a feature cannot be measured on the SavedModel of the classifier.

    Some features look at the layers of a Keras model, which a SavedModel does not have.
    """
    again = Classifier.load(folder, state.classifier.bounds, probabilities=False)
    for feature in state.features.values():
        feature.check(again)


def _feature(name: str, stored: detector_folder.SavedFeature, folder: Path) -> Feature:
    if stored.feature not in REGISTRY:
        raise InvalidInputError(
            f"expected a feature out of {', '.join(REGISTRY)}, got {stored.feature!r}; import "
            f"{stored.module} first, which defines it"
        )
    for key, array in (stored.learned or {}).items():
        if array.dtype.kind != "U" and (
            array.dtype.kind not in "biuf" or not np.isfinite(array).all()
        ):
            raise InvalidInputError(
                f"expected finite numbers in {key!r} of the feature {name} in {folder}, got others "
                f"({array.dtype}); fit it again"
            )
    try:
        return REGISTRY[stored.feature].from_config(stored.config, stored.learned)
    except InvalidInputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(
            f"expected settings of the feature {name} in {folder}, got {dict(stored.config)}; fit "
            "it again"
        ) from error


def _columns(
    saved: detector_folder.SavedDetector, features: Mapping[str, Feature], detector: Detector,
    folder: Path,
) -> dict[str, Sequence[str]]:
    """The names of the columns of each feature.

    Raises:
      InvalidInputError: they are not as many as the detector judges, or two have the same name.
    """
    singles = sum(isinstance(feature, AttackCost) for feature in features.values())
    columns: dict[str, Sequence[str]] = {}
    for name, feature in features.items():
        width = 1 if isinstance(feature, AttackCost) else detector.n_features_in_ - singles
        columns[name] = saved.features[name].columns or feature.column_names(name, width)
    every = [one for names in columns.values() for one in names]
    if len(set(every)) != len(every) or len(every) != detector.n_features_in_:
        raise InvalidInputError(
            f"expected {detector.n_features_in_} columns of different names in {folder}, as the "
            f"detector judges, got {', '.join(every)}; fit it again"
        )
    return columns


def _check_registered(name: str, feature: Feature) -> None:
    if isinstance(feature, AttackCost):
        attack = feature.attack
        if attacks.REGISTRY.get(attack.name) is not type(attack):
            raise InvalidInputError(
                f"expected attacks out of {', '.join(attacks.REGISTRY)} to save, got {name} "
                "of another class; register the class in attacks.REGISTRY"
            )
    elif REGISTRY.get(feature.name) is not type(feature):
        raise InvalidInputError(
            f"expected features out of {', '.join(REGISTRY)} to save, got {name} of another class"
            "; give the class a name of its own"
        )
