"""The checks of a server's requests: equal images are judged once, and invalid ones are flagged.

A server fills its batches up with copies of a row or with zeros, so that equal rows are judged
once. With NaN or pixels out of bounds, an attack would run to its maximum and the image would pass
for benign: such an image is invalid, and is flagged as adversarial without an attack. What counts
as out of bounds is what `InputSpec.check` refuses in Python.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from a2d_tf.detection.result import INVALID
from a2d_tf.images.bounds import BRIGHTEST, Bounds

Judge = Callable[[tf.Tensor], dict[str, tf.Tensor]]


def guard_float_images(judge: Judge, bounds: Bounds) -> Judge:
    """The outputs of `judge` for images f32[N,H,W,C]; it gets the valid and different ones only."""
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        least, most = bounds.with_tolerance
        within = (images >= least) & (images <= most)  # NaN is not
        valid = tf.reduce_all(within, axis=tuple(range(1, images.shape.rank)))
        rows = tf.where(valid)
        clipped = tf.clip_by_value(tf.boolean_mask(images, valid), *bounds.as_float32)
        with tf.device("CPU"):  # the only kernel that compares whole rows
            distinct, place = tf.raw_ops.UniqueV2(x=clipped, axis=tf.constant([0]))
        found = judge(tf.ensure_shape(distinct, (None, *images.shape[1:])))
        return {
            name: _with_invalid(name, tf.gather(values, place), rows, tf.size(valid))
            for name, values in found.items()
        }

    return serve


def guard_uint8_images(judge: Judge, bounds: Bounds) -> Judge:
    """The outputs of `judge` for bytes u8[N,H,W,C], scaled as `Bounds.from_bytes` scales them."""
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        unit = tf.cast(images, tf.float32) / np.float32(BRIGHTEST)
        if bounds == Bounds():
            return judge(unit)
        lower, upper = bounds.as_float32
        return judge(tf.clip_by_value(lower + unit * np.float32(bounds.range), lower, upper))

    return serve


def _with_invalid(name: str, values: tf.Tensor, rows: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The values at their rows, and the outputs for invalid images at the others."""
    shape = tf.concat([[count], tf.shape(values)[1:]], axis=0)
    invalid = tf.fill(shape, tf.cast(INVALID.get(name, 0), values.dtype))
    filled = tf.tensor_scatter_nd_update(invalid, rows, values)
    return tf.ensure_shape(filled, (None, *values.shape[1:]))
