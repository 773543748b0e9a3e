"""Classifiers of two pixels, whose costs can be computed by hand."""

from collections.abc import Callable

import pytest
import tensorflow as tf

from a2d_tf import Bounds, Classifier


@pytest.fixture
def two_pixels() -> Callable[..., Classifier]:
    """Makes a classifier by a function of two values; the second logit is 0."""
    def make(
        first_logit: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], bounds: Bounds = Bounds(0, 1),
        shape: tuple[int, ...] = (1, 2, 1),
    ) -> Classifier:
        def logits(images: tf.Tensor) -> tf.Tensor:
            values = tf.reshape(images, (-1, 2))
            first = first_logit(values[:, 0], values[:, 1])
            return tf.stack([first, tf.zeros_like(first)], axis=1)

        return Classifier(logits, bounds, input_shape=shape)

    return make
