"""What stored results depend on."""

import dataclasses
import inspect
import sys
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import keras

import a2d_tf
from a2d_tf.adaptive import Goal
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.storage import files
from a2d_tf.storage.provenance import source_digest

# Packages whose code, or whose versions, are part of every key.
KNOWN = (a2d_tf.__name__, "keras", "tensorflow", "builtins")


def classifier_key(classifier: Classifier) -> dict[str, Any]:
    """What a result depends on that was made with a classifier, as JSON values.

    Raises:
      InvalidInputError: it was not loaded from a file.
    """
    if classifier.path is None:
        raise InvalidInputError(
            "expected a classifier from a file, got one that was made from an object; make it by "
            "Classifier.load"
        )
    own: list[Any] = [*classifier.custom_objects.values()]
    if isinstance(classifier.model, keras.Model):
        own += [type(layer) for layer in classifier.model._flatten_layers()]
    key: dict[str, Any] = {
        "model": files.sha256(classifier.path), "signature": classifier.signature,
        "output": classifier.output, "probabilities": classifier.probabilities,
        "bounds": classifier.bounds.to_lists(),
    }
    if classifier.preprocess is not None:  # whose code may depend on what is not in its text
        key["preprocess"] = uuid.uuid4().hex
    return key | _code(own)


def settings_key(instance: Any) -> dict[str, Any]:
    """What a result depends on that an attack, a threat or a feature made: settings and code.

    The code of the library itself is part of every key; see `storage.stages.Stages`.

    Raises:
      InvalidInputError: a setting is a function or a goal of an attack, whose text does not say
        what it is.
    """
    return {"settings": repr(instance)} | _code(_classes(instance))


def _classes(instance: Any) -> Iterator[type]:
    """The classes that an instance and its parts are made of, but those of other packages.

    Classes that do not extend the library are covered by the versions of their packages.
    """
    for one in type(instance).__mro__:
        if any(_root(base) == a2d_tf.__name__ for base in one.__mro__):
            yield one
    if dataclasses.is_dataclass(instance):
        for field in dataclasses.fields(instance):
            value = getattr(instance, field.name)
            is_part = dataclasses.is_dataclass(value) or isinstance(value, type)
            if isinstance(value, Goal) or callable(value) and not is_part:
                raise InvalidInputError(
                    f"expected settings whose text says what they are, got {field.name} = "
                    f"{value!r} of {type(instance).__name__}; craft these images yourself, or "
                    "attack the detector by adaptive.py"
                )
            if dataclasses.is_dataclass(value):
                yield from _classes(value)


def _code(parts: Iterable[Any]) -> dict[str, Any]:
    """The code of classes and functions that are none of the library, Keras or TensorFlow."""
    paths, texts = set(), set()
    for part in parts:
        module = sys.modules.get(getattr(part, "__module__", None) or "")
        if module is None or _root(part) in KNOWN:
            continue
        package = sys.modules[_root(part)]
        if hasattr(package, "__path__"):
            paths.add(Path(next(iter(package.__path__))).resolve())
        elif file := getattr(package, "__file__", None):
            paths.add(Path(file).resolve())
        else:  # a notebook
            texts.add(_text(part))
    code: dict[str, Any] = {"code": source_digest(*sorted(paths))} if paths else {}
    return code | ({"text": sorted(texts)} if texts else {})


def _text(part: Any) -> str:
    """The code of a class or function without a file; if it is not known, it equals no other."""
    try:
        return inspect.getsource(part)
    except (OSError, TypeError):
        return uuid.uuid4().hex


def _root(one: Any) -> str:
    name: str = one.__module__
    return name.partition(".")[0]
