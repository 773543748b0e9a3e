"""A classifier of the bundled digits that needs no training, so that all machines have the same."""

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

CLASSES, EACH, SHARPNESS = 10, 5, 4.0
COUNT = 20


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images f32[1797,8,8,1] in [0, 1] and labels i64[1797]."""
    bundled = load_digits()
    return (bundled.images[..., None] / 16).astype(np.float32), bundled.target.astype(np.int64)


IMAGES, LABELS = digits()
PROTOTYPES = np.stack([
    IMAGES[LABELS == one][:EACH].reshape(EACH, -1) for one in range(CLASSES)
])


def logits(images: tf.Tensor) -> tf.Tensor:
    """Logits f32[n,10]: how near an image is to the first images of each class."""
    flat = tf.reshape(images, (-1, 1, 1, 64))
    away = tf.reduce_sum(tf.square(flat - PROTOTYPES), axis=3)
    return tf.reduce_logsumexp(-SHARPNESS * away, axis=2)


def right() -> tuple[np.ndarray, np.ndarray]:
    """The last images that the classifier gets right, and their labels."""
    found = np.argmax(logits(IMAGES), axis=1) == LABELS
    return IMAGES[found][-COUNT:], LABELS[found][-COUNT:]
