"""What the outputs and gradients of a classifier must be before it is attacked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf.classifiers.squashing import LINEAR, SOFTMAX, SQUASHING
from a2d_tf.errors import A2DError, UnsuitableClassifierError, reason

# A stray image of constant logits is no reason to refuse a classifier; a tenth of them is, or all.
MAX_ZERO_GRADIENTS = 0.1


def check_labels(labels: NDArray[Any], count: int) -> None:
    """Raises UnsuitableClassifierError unless a black box gave one integer label per image."""
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise UnsuitableClassifierError(
            f"expected {count} integer labels for {count} images, got {labels.dtype} of shape "
            f"{list(labels.shape)}; return the most likely class of each image"
        )


def check_prepared(images: Any) -> None:
    """Raises UnsuitableClassifierError unless `preprocess` gave a tensor."""
    if not tf.is_tensor(images):
        raise UnsuitableClassifierError(
            f"expected a tensor from preprocess, got {_kind(images)}; make it of TensorFlow "
            "operations alone"
        )


def check_tensor(outputs: Any) -> None:
    """Raises UnsuitableClassifierError unless a callable gave a tensor."""
    if not tf.is_tensor(outputs):
        raise UnsuitableClassifierError(
            f"expected a tensor [N, K] from the classifier, got {_kind(outputs)}; use "
            "Classifier.label_only for a Python function, or TensorFlow operations"
        )


def _kind(value: Any) -> str:
    return "a NumPy array" if isinstance(value, np.ndarray) else type(value).__name__


def most_likely(outputs: tf.Tensor) -> tf.Tensor:
    """The class i32[N] of the largest of outputs [N,K]; -1 where one of them is not finite."""
    is_finite = tf.reduce_all(tf.math.is_finite(outputs), axis=1)
    return tf.where(is_finite, tf.argmax(outputs, axis=1, output_type=tf.int32), -1)


def are_labels(outputs: tf.Tensor | tf.TensorSpec) -> bool:
    """Whether the outputs are labels alone, integers [N]."""
    return bool(outputs.shape.rank == 1 and outputs.dtype.is_integer)


def with_plain_labels(outputs: tf.Tensor) -> tf.Tensor:
    """The outputs, where labels [N,1] and Booleans become integers [N]."""
    if outputs.dtype.is_bool:
        outputs = tf.cast(outputs, tf.int32)
    if outputs.dtype.is_integer and outputs.shape.rank == 2 and outputs.shape[1] == 1:
        outputs = outputs[:, 0]
    return outputs


def sums_to_one(outputs: Any) -> bool:
    """Whether the rows of outputs [N,K] are all probability distributions."""
    rows = np.asarray(outputs, np.float64)
    return bool(rows.size and rows.min() >= 0 and np.allclose(rows.sum(axis=-1), 1, atol=1e-3))


def check_one_unit(outputs: tf.Tensor, last: str, declared: bool | None) -> None:
    """Raises UnsuitableClassifierError unless it is clear what one number per image means.

    Args:
      outputs: floats [N] or [N,1], for noise images.
      last: the type of the operation that gave them.
      declared: whether they are said to be probabilities; None if nothing is said.
    """
    values = np.asarray(outputs, np.float64)
    within = bool((values >= 0).all() and (values <= 1).all())
    if last == SOFTMAX and (values == 1).all():
        raise UnsuitableClassifierError(
            "expected a logit or a sigmoid from one output unit, got a softmax, which is always "
            "1; give one output per class, or end in a sigmoid"
        )
    if last in SQUASHING and declared is False or (
        within and declared is None and last not in SQUASHING + LINEAR
    ):
        raise UnsuitableClassifierError(
            f"expected a logit from one output unit, got numbers within 0 and 1 ({last}); say "
            "probabilities=True if they are probabilities"
            + ("" if last in SQUASHING else ", or probabilities=False")
        )
    if declared and not within and last not in LINEAR:
        raise UnsuitableClassifierError(
            f"expected probabilities within 0 and 1, got {values.min():g} to {values.max():g}; "
            "leave probabilities=True out"
        )


def check_logits(logits: tf.Tensor, count: int, *, declared_probabilities: bool) -> None:
    """Raises UnsuitableClassifierError unless these are logits [count, K], some rows finite."""
    shape = logits.shape.as_list()
    if len(shape) != 2 or shape[0] != count or shape[1] < 2:
        raise UnsuitableClassifierError(
            f"expected logits of shape [{count}, K] with K >= 2 classes for {count} images, "
            f"got {shape}; give a classifier with one output per class"
        )
    finite = np.isfinite(logits).all(axis=1)
    if not finite.any():
        raise UnsuitableClassifierError(
            "expected finite logits, got NaN or infinity; check the classifier's weights and "
            "that the images are scaled as in its training"
        )
    if not declared_probabilities and sums_to_one(np.asarray(logits)[finite]):
        raise UnsuitableClassifierError(
            "expected logits, got outputs that are probabilities; give the classifier without "
            "its softmax, or say probabilities=True"
        )


def check_gradients(gradient: tf.Tensor | None, probabilities: bool) -> None:
    """Raises UnsuitableClassifierError if gradients [N,H,W,C] are missing or useless.

    They are useless if all of them, or more than one and a tenth of them, are exactly zero, or if
    none is finite.
    """
    if gradient is None:
        raise UnsuitableClassifierError(
            "expected a classifier with gradients, got one whose outputs do not depend "
            "differentiably on its images; build it from TensorFlow operations, or use the attack "
            "DBA, which needs labels alone, or LocalSearch"
        )
    flat = np.asarray(gradient).reshape(len(gradient), -1)
    zero = int((~flat.any(axis=1)).sum())
    if zero == len(flat) or zero > max(MAX_ZERO_GRADIENTS * len(flat), 1):
        remedy = (
            "its probabilities are saturated: give the classifier without its softmax"
            if probabilities
            else "it is saturated, constant or quantized there: check its scaling and its last "
            "layers, or use the attack DBA, which needs labels alone"
        )
        raise UnsuitableClassifierError(
            f"expected gradients, got exactly zero on {zero} of {len(flat)} images; {remedy}"
        )
    if not np.isfinite(flat).all(axis=1).any():
        raise UnsuitableClassifierError(
            "expected finite gradients, got NaN or infinity; check the classifier's layers"
        )


@contextmanager
def one_line_errors(model: Any) -> Iterator[None]:
    """Turns what TensorFlow raises for a model that does not take a batch into one line."""
    try:
        yield
    except (A2DError, tf.errors.ResourceExhaustedError):
        raise
    except (tf.errors.OpError, ValueError, TypeError) as error:
        raise UnsuitableClassifierError(
            f"expected a {type(model).__name__} that takes any number of images at once, got an "
            f"error for a batch ({reason(error)}); check input_shape and preprocess, and if its "
            "batch size is fixed, give a tf.function with that input_signature"
        ) from error
