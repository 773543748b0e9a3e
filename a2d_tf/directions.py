"""What attacks in every direction would cost, to first order."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf.attacks.running import OnFinished
from a2d_tf.classifier import Classifier
from a2d_tf.pixels import Bounds

# Costs count steps of this length, as a fraction of the pixel range; a flat direction costs
# as many as cannot be told from infinity.
STEP = 1e-4
MAX_STEPS = 1e6


class _Gain(NamedTuple):
    """What a step along a gradient gains, f32[n]: in L-infinity, and in RMS as `BIM2` has it."""

    linf: tf.Tensor
    rms: tf.Tensor


def direction_costs(
    classifier: Classifier,
    images: ArrayLike,
    *,
    batch_size: int = 128,
    on_finished: OnFinished | None = None,
) -> NDArray[np.float32]:
    """First-order costs of leaving an image in every direction, not for one class only.

    An attack's cost measures one way across one boundary. Were the logits linear around the
    image, steps along the gradients would take

    - (label's logit - class's logit) / gain per step to reach each other class, and
    - 1 / gain per step to raise each class's logit by one,

    in the L-infinity norm (as `BIM` moves) and in RMS (as `BIM2`). K gradients give all of it,
    where an attack takes a gradient for every iteration. Not in the paper.

    Args:
      classifier: the classifier whose inputs are judged; K classes.
      images: f32[N,H,W,C] within the classifier's bounds; N may be 0.
      batch_size: images at once; bounds the memory, changes no cost.
      on_finished: called with the number of images that just finished.

    Returns:
      f32[N, 2 (K-1) + 2 K], in steps of 1/10000 of the pixel range, for each norm: the costs of
      reaching a class, then those of raising one, either in increasing order.

    Raises:
      InvalidInputError: images of the wrong shape, not finite or out of bounds.
      UnsuitableClassifierError: the classifier fails its preflight.
    """
    checked = classifier.check(images)
    classifier.preflight(checked)
    if not len(checked):
        return np.zeros((0, 0), np.float32)
    key = (direction_costs, checked.shape[1:])
    if key not in classifier.graphs:
        signature = tf.TensorSpec((None, *checked.shape[1:]), tf.float32)
        classifier.graphs[key] = tf.function(
            lambda batch: costs_in_graph(classifier, batch),
            input_signature=[signature], autograph=False,
        )
    rows = []
    for start in range(0, len(checked), batch_size):
        rows.append(classifier.graphs[key](checked[start:start + batch_size]).numpy())
        if on_finished:
            on_finished(len(rows[-1]))
    return np.concatenate(rows)


def costs_in_graph(classifier: Classifier, images: tf.Tensor) -> tf.Tensor:
    """`direction_costs` of images f32[n,H,W,C] with n >= 1."""
    logits = classifier(images)
    classes = tf.shape(logits)[1]
    label = tf.argmax(logits, axis=1, output_type=tf.int32)
    own = _gradient(classifier, images, tf.one_hot(label, classes))

    def towards(k: tf.Tensor) -> tuple[_Gain, _Gain]:
        raising = _gradient(classifier, images, tf.one_hot(tf.fill(tf.shape(label), k), classes))
        return _gain(raising, classifier.bounds), _gain(raising - own, classifier.bounds)

    gains = tf.map_fn(
        towards, tf.range(classes), parallel_iterations=1,
        fn_output_signature=(_Gain(tf.float32, tf.float32),) * 2,
    )
    lead = tf.reduce_max(logits, axis=1, keepdims=True) - logits
    # The label itself is reached at no cost and comes first.
    return tf.concat([
        part for raise_gain, reach_gain in zip(*gains, strict=True)
        for part in (
            _sorted_steps(lead, tf.transpose(reach_gain))[:, 1:],
            _sorted_steps(1.0, tf.transpose(raise_gain)),
        )
    ], axis=1)


def _gradient(classifier: Classifier, images: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """The gradient [n,H,W,C] of the logits' sum with weights [n,K]."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        logits = classifier(images)
    return tape.gradient(logits, images, output_gradients=weights)


def _gain(gradient: tf.Tensor, bounds: Bounds) -> _Gain:
    step = STEP * bounds.range
    size = tf.cast(tf.reduce_prod(tf.shape(gradient)[1:]), tf.float32)
    squares = tf.reduce_sum(tf.square(gradient), axis=(1, 2, 3))
    return _Gain(
        step * tf.reduce_sum(tf.abs(gradient), axis=(1, 2, 3)), step * tf.sqrt(size * squares)
    )


def _sorted_steps(distance: tf.Tensor | float, gain: tf.Tensor) -> tf.Tensor:
    steps = distance / tf.maximum(gain, np.finfo(np.float32).tiny)
    return tf.sort(tf.minimum(steps, MAX_STEPS), axis=1)
