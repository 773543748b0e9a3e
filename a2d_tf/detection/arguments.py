"""What may be given to A2D: objects, or their names."""

from collections.abc import Mapping, Sequence
from typing import Any

from a2d_tf import checks, detectors
from a2d_tf.attacks import PRESETS, Attack
from a2d_tf.detectors import Detector
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import AttackCost, Feature, by_name

OWN = "own"
Features = Mapping[str, Any] | Sequence[Any] | Feature | Attack | str


def as_features(features: Any, preset: str) -> dict[str, Feature | str]:
    """Features by name. Names of attacks stay names if their steps are still to be chosen.

    Raises:
      InvalidInputError: there is none, there are several of one name, or one is of another type.
    """
    checks.lookup(dict.fromkeys([*PRESETS, OWN]), preset, "a preset")
    if not isinstance(features, Mapping):
        single = isinstance(features, (str, Feature, Attack)) or not _is_sequence(features)
        listed = [features] if single else list(features)
        names = [_name(feature) for feature in listed]
        if len(set(names)) < len(names):
            raise InvalidInputError(
                "expected attacks and features of different kinds, got several of one; name them "
                "in a dict"
            )
        features = dict(zip(names, listed))
    if not features:
        raise InvalidInputError(
            "expected at least one attack or another feature, got none; name one"
        )
    return {str(name): _as_feature(feature, preset) for name, feature in features.items()}


def default_features(detector: Any) -> str:
    """The feature that suits a detector, or none, if the caller names no other."""
    if detector is None or as_detector(detector).is_two_sided:
        return "response"
    return "bim-search"


def default_detector(features: Mapping[str, Feature | str]) -> str:
    """The name of the detector that learns from benign images alone and suits these features."""
    needs_profile = any(
        isinstance(one, Feature) and one.adversarial_is in ("either", "class")
        for one in features.values()
    )
    return "profile" if needs_profile else "conformal"


def as_detector(detector: Any) -> Detector:
    """The detector: itself, or the one of this name.

    Raises:
      InvalidInputError: it is neither.
    """
    if isinstance(detector, str):
        return checks.lookup(detectors.REGISTRY, detector, "a detector")()
    if isinstance(detector, type) and issubclass(detector, Detector):
        raise InvalidInputError(
            f"expected a detector, got the class {detector.__name__}; write "
            f"{detector.__name__}()"
        )
    if not isinstance(detector, Detector):
        raise InvalidInputError(
            f"expected a detector out of {', '.join(detectors.REGISTRY)}, got "
            f"{type(detector).__name__}; give one of these names, or an object such as ZScore()"
        )
    return detector


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) or hasattr(value, "__iter__")


def _name(feature: Any) -> str:
    if isinstance(feature, str):
        return feature.rpartition(":")[2].lower() if ":" in feature else feature
    if isinstance(feature, AttackCost):
        return feature.attack.name
    return str(getattr(feature, "name", type(feature).__name__))


def _as_feature(feature: Any, preset: str) -> Feature | str:
    if isinstance(feature, str):
        if preset == OWN and feature in PRESETS["mnist"]:
            return feature
        return by_name(feature) if preset == OWN else by_name(feature, preset)
    if isinstance(feature, Attack):
        return AttackCost(attack=feature)
    if isinstance(feature, Feature):
        return feature
    if isinstance(feature, type) and issubclass(feature, (Feature, Attack)):
        raise InvalidInputError(
            f"expected an attack or another feature, got the class {feature.__name__}; write "
            f"{feature.__name__}()"
        )
    raise InvalidInputError(
        f"expected an attack, another feature or its name, got {type(feature).__name__}; give one "
        "of these"
    )
