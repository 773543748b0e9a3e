"""The types of errors. Every message is one line: what was expected, what came, how to mend it.

May import: nothing.
"""

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
