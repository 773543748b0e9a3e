"""Checks of single arguments, with one-line errors.

May import: errors.
"""

import dataclasses
import math
import os
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.errors import InvalidInputError

Option = TypeVar("Option")


def check_keras_backend() -> None:
    """Checks that Keras computes with TensorFlow.

    Raises:
      InvalidInputError: Keras has another backend.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend == "tensorflow":  # otherwise Keras may not even be importable
        import keras

        backend = keras.config.backend()
    if backend != "tensorflow":
        raise InvalidInputError(
            f"expected Keras with the backend tensorflow, got {backend}; set the environment "
            "variable KERAS_BACKEND=tensorflow before Keras is imported, or mend keras.json"
        )


def lookup(
    options: Mapping[str, Option], name: str, what: str, *, remedy: str = ""
) -> Option:
    """The option with this name.

    Args:
      options: what there is, by name.
      name: the name that was asked for.
      what: what the options are, with its article ("an attack"), for the message.
      remedy: what to do about it, for the end of the message.

    Raises:
      InvalidInputError: there is no option with this name.
    """
    if not isinstance(name, str) or name not in options:
        raise InvalidInputError(
            f"expected {what} out of {', '.join(options)}, got {name!r}; "
            f"{remedy or 'take one of these'}"
        )
    return options[name]


def integer(
    value: Any, what: str, *, minimum: int = 1, maximum: int | None = None
) -> int:
    """The value as a Python integer; NumPy's integers are integers too.

    Raises:
      InvalidInputError: it is not an integer, or out of range.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise InvalidInputError(
            f"expected {what} to be an integer, got {value!r}; give a whole number"
        )
    if value < minimum:
        raise InvalidInputError(
            f"expected {what} of at least {minimum}, got {value}; give a larger one"
        )
    if maximum is not None and value > maximum:
        raise InvalidInputError(
            f"expected {what} from {minimum} to {maximum}, got {value}; give one within these"
        )
    return int(value)


def number(
    value: Any, what: str, *, minimum: float | None = None, maximum: float | None = None
) -> float:
    """The value as a finite Python float above 0, or of at least `minimum` if that is given.

    Raises:
      InvalidInputError: it is not a finite number, or out of range.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.integer, np.floating)
    ):
        raise InvalidInputError(
            f"expected {what} to be a number, got {value!r}; give a number"
        )
    result = float(value)
    if minimum is None and not 0 < result < math.inf:
        raise InvalidInputError(f"expected {what} > 0, got {value}; give a positive number")
    if not math.isfinite(result):
        raise InvalidInputError(
            f"expected {what} to be finite, got {value}; give a finite number"
        )
    if minimum is not None and result < minimum:
        raise InvalidInputError(f"expected {what} >= {minimum:g}, got {value}; give a larger one")
    if maximum is not None and result > maximum * (1 + 1e-9):
        raise InvalidInputError(f"expected {what} <= {maximum:g}, got {value}; give a smaller one")
    return result


def text_path(value: Any, what: str) -> str:
    """The path as text, `~` not expanded.

    Raises:
      InvalidInputError: it is neither text nor a path.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise InvalidInputError(
            f"expected {what}, got {type(value).__name__}; give a path as text or as a pathlib.Path"
        )
    return os.fsdecode(value)


def boolean(value: Any, what: str) -> bool:
    """The value as a Python bool.

    Raises:
      InvalidInputError: it is neither True nor False.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise InvalidInputError(
            f"expected {what} to be True or False, got {value!r}; give one of the two"
        )
    return bool(value)


def class_labels(
    labels: ArrayLike, count: int, what: str = "labels", classes: int | None = None
) -> NDArray[np.int64]:
    """Labels as i64[N]; a column [N,1], as `keras.datasets` gives them, is one too.

    Args:
      labels: integers [N] or [N,1].
      count: N.
      what: what they are, for the message.
      classes: the number of classes, if it is known.

    Raises:
      InvalidInputError: labels of another shape or type, or beyond the classes.
    """
    array = np.asarray(labels)
    if array.shape == (count, 1):
        array = array[:, 0]
    if array.shape != (count,) or (count and not np.issubdtype(array.dtype, np.integer)):
        hint = "numpy.argmax(labels, axis=1)" if array.ndim == 2 else "an integer for each"
        raise InvalidInputError(
            f"expected {count} integer {what}, one per image, got {array.dtype} of shape "
            f"{list(array.shape)}; give {hint}"
        )
    if count and array.min() < 0:
        raise InvalidInputError(
            f"expected {what} >= 0, got {array.min()}; number the classes from 0"
        )
    if count and classes is not None and array.max() >= classes:
        raise InvalidInputError(
            f"expected {what} below the {classes} classes, got {array.max()}; number the classes "
            "from 0, in the order of the classifier's outputs"
        )
    return array.astype(np.int64)


def check_fields(instance: Any) -> None:
    """Checks the fields of a frozen dataclass by their types, and stores them as Python values.

    An `int` must be at least 1 and a `float` above 0, unless the field's metadata hold another
    `minimum` or a `maximum`. Fields of other types are left to their class.

    Raises:
      InvalidInputError: a value is of another type, or out of range.
    """
    hints = typing.get_type_hints(type(instance))  # a hint may be a string
    for field in dataclasses.fields(instance):
        value, what = getattr(instance, field.name), f"{type(instance).__name__}'s {field.name}"
        minimum, maximum = field.metadata.get("minimum"), field.metadata.get("maximum")
        hint = hints[field.name]
        if hint is bool:
            checked: object = boolean(value, what)
        elif hint is int:
            least = 1 if minimum is None else minimum
            checked = integer(value, what, minimum=least, maximum=maximum)
        elif hint is float:
            checked = number(value, what, minimum=minimum, maximum=maximum)
        else:
            continue
        object.__setattr__(instance, field.name, checked)
