"""Random numbers that belong to one example, inside a graph.

TensorFlow's stateless generators take one seed for a whole tensor. An attack needs a key for each
example, made from the seed and from the example's own pixels, so that neither the batch nor the
place in it changes the numbers. They are hashes of key, draw and position, by the 32-bit finaliser
that Wellons found by search ("lowbias32", 2018).
"""

import numpy as np
import tensorflow as tf

# A NumPy number, since a tensor made on import would start TensorFlow's devices.
_GOLDEN = np.uint32(0x9E3779B9)  # spreads consecutive whole numbers


def keys(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """A key u32[n] for each image f32[n,H,W,C] and seed u32[n]; equal ones have equal keys."""
    pixels = tf.reshape(images, (tf.shape(images)[0], tf.reduce_prod(tf.shape(images)[1:])))
    bits = tf.bitcast(pixels + 0.0, tf.uint32)  # -0 and 0 are equal pixels
    hashed = tf.reduce_sum(_mix(bits + _mix(_numbers(tf.shape(pixels)[1]))), axis=1)
    return _mix(hashed + _GOLDEN * seeds)


def uniform(keys: tf.Tensor, draw: tf.Tensor, size: int | tf.Tensor) -> tf.Tensor:
    """Numbers f32[n,size] from the open interval (0, 1): draw number i32[n] of each key."""
    rows = _mix(keys + _GOLDEN * tf.cast(draw + 1, tf.uint32))
    hashed = _mix(tf.bitwise.bitwise_xor(rows[:, None], _mix(_numbers(size))))
    return (tf.cast(_shift(hashed, 9), tf.float32) + 0.5) * 2.0**-23


def to_normal(uniform: tf.Tensor) -> tf.Tensor:
    """Numbers from the standard normal distribution, out of as many from `uniform`."""
    return np.sqrt(2).astype(np.float32) * tf.math.erfinv(2 * uniform - 1)


def _numbers(size: int | tf.Tensor) -> tf.Tensor:
    return _GOLDEN * tf.cast(tf.range(size), tf.uint32)


def _mix(bits: tf.Tensor) -> tf.Tensor:
    bits = tf.bitwise.bitwise_xor(bits, _shift(bits, 16)) * tf.constant(0x7FEB352D, tf.uint32)
    bits = tf.bitwise.bitwise_xor(bits, _shift(bits, 15)) * tf.constant(0x846CA68B, tf.uint32)
    return tf.bitwise.bitwise_xor(bits, _shift(bits, 16))


def _shift(bits: tf.Tensor, count: int) -> tf.Tensor:
    return tf.bitwise.right_shift(bits, tf.constant(count, tf.uint32))
