"""What a2d.json of a detector folder must be: its keys, and the types and ranges of the values."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from a2d_tf.errors import InvalidInputError

FORMAT = 2  # 1 is that of versions 0.1 to 0.5
SETTINGS_FILE = "a2d.json"
MAX_BYTES = 2**24  # of the settings, which take some thousands
SHOWN = 60  # characters of a wrong value in a message
HEX_DIGITS = 64  # of a SHA-256
Rule = tuple[str, Callable[[Any], bool]]
Settings = dict[str, Any]


def parse(text: bytes, folder: Path) -> Settings:
    """The settings of a detector folder, checked.

    Args:
      text: the content of a2d.json.
      folder: where it was read, for messages.

    Raises:
      InvalidInputError: the first thing that is not as it must be.
    """
    try:
        stored = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"expected a detector folder at {folder}, got {SETTINGS_FILE} that is no JSON "
            f"({error}); write one with fit_detector.py or A2D.save"
        ) from error
    if not isinstance(stored, dict):
        raise InvalidInputError(
            f"expected a detector folder at {folder}, got {SETTINGS_FILE} without settings; write "
            "one with fit_detector.py or A2D.save"
        )
    where = f"{folder}/{SETTINGS_FILE}"
    version = stored.get("format", 1)
    _check(where, "'format'", version, _WHOLE)
    if version > FORMAT:
        raise InvalidInputError(
            f"expected a detector of format {FORMAT} or lower at {folder}, got format {version}; "
            "load it with a newer version of a2d_tf"
        )
    required = _REQUIRED_1 if version == 1 else _REQUIRED_2
    optional = _OPTIONAL_1 if version == 1 else {}
    for key, rule in {**_REQUIRED, **required}.items():
        if key not in stored:
            raise InvalidInputError(f"expected {key!r} in {where}, got none; fit it again")
        _check(where, repr(key), stored[key], rule)
    for key, rule in optional.items():
        if key in stored:
            _check(where, repr(key), stored[key], rule)
    _check_features(where, stored, version)
    return stored


def _check_features(where: str, stored: Settings, version: int) -> None:
    features = stored["attacks" if version == 1 else "features"]
    for name, feature in features.items():
        if version == 1:
            _check(where, f"the attack {name!r}", feature, _SETTINGS)
            continue
        _check(where, f"the feature {name!r}", feature, _SETTINGS)
        for key, rule in _FEATURE.items():
            if key not in feature:
                raise InvalidInputError(
                    f"expected {key!r} of the feature {name!r} in {where}, got none; fit it again"
                )
            _check(where, f"{key!r} of the feature {name!r}", feature[key], rule)
    if not features:
        raise InvalidInputError(f"expected at least one feature in {where}, got none; fit it again")
    order = stored.get("order", list(features))  # in format 1, of the attacks alone
    if sorted(order) != sorted(features):
        raise InvalidInputError(
            f"expected 'order' in {where} to name each of {', '.join(features)} once, got "
            f"{_shown(order)}; fit it again"
        )


def _check(where: str, what: str, value: Any, rule: Rule) -> None:
    wanted, holds = rule
    if not holds(value):
        raise InvalidInputError(
            f"expected {what} in {where} to be {wanted}, got {_shown(value)}; fit it again"
        )


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and (
        abs(value) < 1e38 and math.isfinite(value)
    )


def _is_bound(value: Any) -> bool:
    """A number, or one for each channel."""
    return _is_number(value) or isinstance(value, list) and bool(value) and all(
        map(_is_number, value)
    )


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and len(value) == HEX_DIGITS and value.isalnum()


def _is_name(value: Any) -> bool:
    """A file name, and no path that could lead elsewhere."""
    return isinstance(value, str) and value not in ("", ".", "..") and not set("/\\:\0") & set(
        value
    )


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and one for one in value)


_WHOLE: Rule = (
    "a whole number >= 1",
    lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 1,
)
_TRUTH: Rule = ("true or false", lambda value: isinstance(value, bool))
_TEXT: Rule = ("a text", lambda value: isinstance(value, str))
_TEXT_OR_NONE: Rule = ("a text or null", lambda value: value is None or isinstance(value, str))
_NAME: Rule = ("a file name within the folder", _is_name)
_HASH: Rule = (f"a hash of {HEX_DIGITS} digits", _is_hash)
_SETTINGS: Rule = (
    "settings by name",
    lambda value: isinstance(value, dict) and all(value),
)
_BOUNDS: Rule = (
    "two finite numbers, lower and upper",
    lambda value: isinstance(value, list) and len(value) == 2 and all(map(_is_bound, value)),
)
_NAMES: Rule = ("a list of names", _are_texts)
_COLUMNS: Rule = (
    "a list of names or null", lambda value: value is None or _are_texts(value) and bool(value)
)

_REQUIRED: Mapping[str, Rule] = {
    "classifier": _NAME, "bounds": _BOUNDS, "probabilities": _TRUTH,
}
_REQUIRED_1: Mapping[str, Rule] = {"attacks": _SETTINGS, "classifier_sha256": _HASH}
_OPTIONAL_1: Mapping[str, Rule] = {
    "signature": _TEXT_OR_NONE, "output": _TEXT_OR_NONE, "directions": _TRUTH, "order": _NAMES,
}
_REQUIRED_2: Mapping[str, Rule] = {
    "digest": _HASH, "signature": _TEXT_OR_NONE, "output": _TEXT_OR_NONE, "features": _SETTINGS,
    "order": _NAMES, "versions": _SETTINGS,
}
_FEATURE: Mapping[str, Rule] = {
    "feature": _TEXT, "module": _TEXT, "config": _SETTINGS, "columns": _COLUMNS, "learns": _TRUTH,
}
