"""The types of errors. Every message is one line: what was expected, what came, how to mend it.

May import: nothing.
"""

import re

import sklearn.exceptions


class A2DError(Exception):
    """Base of every error that a user of this library can cause and mend."""


class InvalidInputError(A2DError, ValueError):
    """An argument, an array of images or a file is not what was expected."""


class UnsuitableClassifierError(A2DError, ValueError):
    """The classifier cannot be attacked: its outputs are wrong, or its gradients are zero."""


class NotFittedError(
    A2DError, RuntimeError, sklearn.exceptions.NotFittedError  # type: ignore[misc]
):
    """Something was asked to measure, score, calibrate, predict or save before it was fitted."""


class DetectorWarning(UserWarning):
    """A detector was fitted, but so that it flags nothing, or has little to judge by."""


def reason(error: BaseException) -> str:
    """What TensorFlow, Keras or another library says of its error, as a part of one line."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # Keras writes in colours
    lines = [re.sub(r"\{\{.*?\}\} *", "", line).strip() for line in text.splitlines()]
    # Keras names the layer first, and says in a later line what is wrong.
    telling = [line for line in lines if line and not line.startswith("Exception encountered")]
    return telling[0][:200] if telling else type(error).__name__
