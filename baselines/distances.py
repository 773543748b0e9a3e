"""Distances between many points at once."""

import tensorflow as tf

# Points nearer than this, relative to their norms, coincide: the float32 activations of one image
# in two batches differ by as much.
COINCIDENT = 1e-6


def squared_distances(queries: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    """Squared Euclidean distances f64[N,B] of rows [N,D] to rows [B,D]; 0 where they coincide."""
    # One matrix product; in float32 it would drown the small distances of confident softmaxes.
    rows, others = tf.cast(queries, tf.float64), tf.cast(reference, tf.float64)
    norms = (
        tf.reduce_sum(tf.square(rows), axis=1)[:, None]
        + tf.reduce_sum(tf.square(others), axis=1)
    )
    squares = norms - 2 * tf.matmul(rows, others, transpose_b=True)
    return tf.where(squares <= COINCIDENT**2 * norms, tf.zeros_like(squares), squares)
