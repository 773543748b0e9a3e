"""Distances between many points at once."""

import numpy as np
from numpy.typing import NDArray

# Points nearer than this, relative to their norms, coincide: float32 activations of one image
# in two batches differ by as much.
COINCIDENT = 1e-6


def distances(
    queries: NDArray[np.floating], reference: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Euclidean distances f64[N,B] of rows [N,D] to rows [B,D]; exactly 0 where they coincide."""
    # One matrix product; in float32 it would drown the small distances of confident softmaxes.
    rows, others = queries.astype(np.float64), reference.astype(np.float64)
    norms = np.square(rows).sum(axis=1)[:, None] + np.square(others).sum(axis=1)
    squares = norms - 2 * (rows @ others.T)
    return np.sqrt(np.where(squares <= COINCIDENT**2 * norms, 0, squares))
