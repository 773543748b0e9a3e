"""Columns of numbers that detectors judge: checks, and what several detectors ask of them."""

import numpy as np
import scipy.sparse
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf.errors import InvalidInputError

MIN_INPUTS = 10  # a fit on fewer inputs says little
Columns = NDArray[np.float64]


def require_both(benign: int, adversarial: int, what: str) -> None:
    """Raises InvalidInputError unless there are enough inputs of both kinds."""
    if min(benign, adversarial) < MIN_INPUTS:
        raise InvalidInputError(
            f"expected at least {MIN_INPUTS} benign and as many adversarial images to fit {what}, "
            f"got {benign} benign and {adversarial} adversarial; give more of both kinds"
        )


def is_cost_like(columns: Columns) -> NDArray[np.bool_]:
    """Which columns bool[D] of a fit are never negative, as costs are.

    Logarithms and powers suit these; other columns are taken as they are.
    """
    return np.asarray((columns >= 0).all(axis=0))


def squared_distances(columns: tf.Tensor, known: NDArray[np.float64]) -> tf.Tensor:
    """Squared distances f64[n,M] between columns f64[n,D] and known ones f64[M,D]."""
    # Column by column: |a|^2 + |b|^2 - 2ab would lose the small ones among large.
    return tf.add_n([
        tf.math.squared_difference(column[:, None], its)
        for column, its in zip(tf.unstack(columns, axis=1), known.T, strict=True)
    ])


def checked_columns(X: ArrayLike) -> Columns:
    """Columns f64[N,D] of what a user gave, [N,D] or [N].

    Raises:
      InvalidInputError: they are not finite real numbers of that shape.
    """
    if scipy.sparse.issparse(X):
        raise InvalidInputError("expected a dense array of columns, got a sparse one; densify it")
    given = np.asarray(X)
    if given.dtype.kind == "c":
        raise InvalidInputError(
            "expected columns of real numbers, got complex ones. Complex data not supported"
        )
    try:
        columns = given.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"expected columns of real numbers, got {given.dtype} ({error}); convert them"
        ) from error
    if columns.ndim == 1:
        columns = columns[:, None]
    if columns.ndim != 2 or columns.shape[1] == 0:
        raise InvalidInputError(
            f"expected columns of shape [N, D], got {list(columns.shape)}; give rows of inputs"
        )
    if not np.isfinite(columns).all():
        rows = np.flatnonzero(~np.isfinite(columns).all(axis=1))
        raise InvalidInputError(
            f"expected finite columns, got infinite or NaN ones in {len(rows)} of {len(columns)} "
            f"rows, the first of them row {rows[0]}; leave these out"
        )
    return columns


def checked_labels(y: ArrayLike | None, count: int) -> NDArray[np.bool_]:
    """Which of `count` inputs are adversarial, bool[count]; None stands for none.

    Raises:
      InvalidInputError: another number of labels, or other values than 0 and 1.
    """
    if y is None:
        return np.zeros(count, np.bool_)
    labels = np.asarray(y)
    if labels.shape != (count,):
        raise InvalidInputError(
            f"expected is_adversarial of shape [{count}], got {list(labels.shape)}; give one for "
            "each input"
        )
    if labels.dtype.kind not in "biuf" or not np.isin(labels, (0, 1)).all():
        raise InvalidInputError(
            f"expected is_adversarial as booleans or 0 and 1, got {labels.dtype} of other values"
            "; give True for adversarial inputs"
        )
    return labels.astype(np.bool_)
