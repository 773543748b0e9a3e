"""What a server's clients send: every image once, and none that is not one.

A server fills its batches up with copies of a row or with zeros; equal rows are judged once. An
image with NaN or with pixels out of bounds would let an attack run to its cap and pass for benign;
it is called adversarial unseen.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from a2d_tf.pixels import Bounds

Judge = Callable[[tf.Tensor], dict[str, tf.Tensor]]
# What is said of an image that is none; the rest is zero.
REFUSED = {"is_adversarial": True, "score": np.finfo(np.float32).max, "label": -1}


def of_images(judge: Judge, bounds: Bounds) -> Judge:
    """What `judge` says of images f32[N,H,W,C], asked about every valid and different one."""
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        within = (images >= bounds.lower) & (images <= bounds.upper)  # NaN is not
        valid = tf.reduce_all(within, axis=(1, 2, 3))
        with tf.device("CPU"):  # the only kernel that compares whole rows
            distinct, place = tf.raw_ops.UniqueV2(
                x=tf.boolean_mask(images, valid), axis=tf.constant([0])
            )
        rows = tf.where(valid)
        found = judge(tf.ensure_shape(distinct, (None, *images.shape[1:])))
        return {
            name: _filled(name, tf.gather(values, place), rows, tf.size(valid))
            for name, values in found.items()
        }

    return serve


def of_bytes(judge: Judge, bounds: Bounds) -> Judge:
    """What `judge` says of bytes u8[N,H,W,C], as `image_files` scales them to pixels."""
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        unit = tf.cast(images, tf.float32) / np.float32(255)
        if bounds == Bounds():
            return judge(unit)
        return judge(tf.clip_by_value(bounds.lower + unit * np.float32(bounds.range), *bounds))

    return serve


def _filled(name: str, values: tf.Tensor, rows: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The values at their rows, and what is said of an image that is none at the others."""
    shape = tf.concat([[count], tf.shape(values)[1:]], axis=0)
    refused = tf.fill(shape, tf.cast(REFUSED.get(name, 0), values.dtype))
    filled = tf.tensor_scatter_nd_update(refused, rows, values)
    return tf.ensure_shape(filled, (None, *values.shape[1:]))
