"""What stored results depend on."""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import a2d_tf
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.storage import files
from a2d_tf.storage.provenance import source_digest


def classifier_key(classifier: Classifier) -> dict[str, Any]:
    """What a result depends on that was made with a classifier, as JSON values.

    Raises:
      InvalidInputError: it was not loaded from a file.
    """
    if classifier.path is None:
        raise InvalidInputError("expected a classifier from a file; make it by Classifier.load")
    return {
        "model": files.sha256(classifier.path), "signature": classifier.signature,
        "output": classifier.output, "probabilities": classifier.probabilities,
        "bounds": classifier.bounds.to_lists(),
    }


def settings_key(instance: Any) -> dict[str, str]:
    """What a result depends on that an attack, a threat or a feature made: settings and code.

    The code of the library itself is part of every key; see `storage.stages.Stages`.
    """
    foreign = sorted(set(_foreign_sources(instance)))
    return {"settings": repr(instance)} | ({"code": source_digest(*foreign)} if foreign else {})


def _foreign_sources(instance: Any) -> Iterator[Path]:
    """The packages, or single files, with the code of an instance and its parts, but the library's.

    Classes that do not extend the library are covered by the versions of their packages.
    """
    for one in type(instance).__mro__:
        extends = any(_root(base) == a2d_tf.__name__ for base in one.__mro__)
        if not extends or _root(one) == a2d_tf.__name__:
            continue
        package = sys.modules[_root(one)]
        if hasattr(package, "__path__"):
            yield Path(next(iter(package.__path__))).resolve()
        elif file := getattr(package, "__file__", None):
            yield Path(file).resolve()
    if dataclasses.is_dataclass(instance):
        for field in dataclasses.fields(instance):
            value = getattr(instance, field.name)
            if dataclasses.is_dataclass(value):
                yield from _foreign_sources(value)


def _root(one: type) -> str:
    return one.__module__.partition(".")[0]
