"""What can go wrong, as types; every message is one line: expected, got, how to mend it."""

from collections.abc import Mapping
from typing import TypeVar

Option = TypeVar("Option")


class A2DError(Exception):
    """Base of every error that a user of this library can cause and mend."""


class InvalidInputError(A2DError, ValueError):
    """An argument, an image array or a file is not what was expected."""


class UnsuitableClassifierError(A2DError, ValueError):
    """The classifier cannot be attacked: wrong outputs, or gradients that are zero."""


class NotFittedError(A2DError, RuntimeError):
    """A detector was asked to score, calibrate, predict or save before it was fitted."""


def pick(options: Mapping[str, Option], name: str, what: str) -> Option:
    """The option of that name.

    Raises:
      InvalidInputError: there is none; `what`, "an attack" say, tells what was expected.
    """
    if name not in options:
        raise InvalidInputError(f"expected {what} out of {', '.join(options)}, got {name!r}")
    return options[name]
