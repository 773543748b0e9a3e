"""What can go wrong, as types; every message is one line: expected, got, how to mend it."""


class A2DError(Exception):
    """Base of every error that a user of this library can cause and mend."""


class InvalidInputError(A2DError, ValueError):
    """An argument, an image array or a file is not what was expected."""


class UnsuitableClassifierError(A2DError, ValueError):
    """The classifier cannot be attacked: wrong outputs, or gradients that are zero."""


class NotFittedError(A2DError, RuntimeError):
    """A detector was asked to score, calibrate, predict or save before it was fitted."""
