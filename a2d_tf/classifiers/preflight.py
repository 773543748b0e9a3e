"""The check of a classifier on the first images that it is attacked with."""

from typing import TYPE_CHECKING

import tensorflow as tf

from a2d_tf.classifiers import output_checks
from a2d_tf.classifiers.margins import loss_to_climb
from a2d_tf.images.batching import MIN_BATCH
from a2d_tf.images.spec import Images

if TYPE_CHECKING:
    from a2d_tf.classifiers.classifier import Classifier

LABELS, LOGITS, GRADIENTS = ALL = ("labels", "logits", "gradients")


def check(
    classifier: "Classifier", images: Images, passed: set[str], *, logits: bool, gradients: bool
) -> None:
    """Checks what is needed of a classifier and has not been checked before.

    Args:
      classifier: the classifier.
      images: f32[N,H,W,C], checked; the first 32 are used.
      passed: the checks that it passed before; those that it passes now are added.
      logits, gradients: what is needed; see `Classifier.preflight`.
    """
    needed = [LABELS] if not (logits or gradients) else [LOGITS, GRADIENTS][:1 + gradients]
    if not len(images) or passed.issuperset(needed):
        return
    batch = images[:MIN_BATCH]
    if needed == [LABELS]:
        classifier.check_labels(batch)
    elif LOGITS not in passed:
        found = classifier(tf.constant(batch))
        output_checks.check_logits(
            found, len(batch), declared_probabilities=classifier.probabilities
        )
    if gradients:
        output_checks.check_gradients(_gradient(classifier, batch), classifier.probabilities)
    passed.update(needed)


def _gradient(classifier: "Classifier", images: Images) -> tf.Tensor | None:
    """The gradient [n,H,W,C] that attacks follow; None where TensorFlow has none."""
    def gradient(batch: tf.Tensor) -> tf.Tensor | None:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(batch)
            outputs = classifier(batch)
            labels = tf.argmax(outputs, axis=1, output_type=tf.int32)
            losses = loss_to_climb(outputs, labels)
        return tape.gradient(losses, batch)

    # In a graph: an eager tape would also compute the gradients of the weights, and some kernels
    # for these end the process.
    try:
        return tf.function(gradient, autograph=False)(tf.constant(images))
    except LookupError:  # an operation that TensorFlow has no gradient of
        return None
