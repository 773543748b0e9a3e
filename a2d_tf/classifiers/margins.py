"""How far a class leads the others, in logits."""

import tensorflow as tf

# With a lead of so many logits, probabilities of the other classes, and so the gradient of the
# cross-entropy, are about to vanish in single precision.
CERTAIN = 80.0


def without(logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """Logits [n,K], with the logit of each label i32[n] replaced by the lowest number."""
    left = tf.one_hot(label, tf.shape(logits)[1], on_value=True, off_value=False)
    return tf.where(left, logits.dtype.min, logits)


def smooth_lead(logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """By how much f32[n] the other classes lead each label i32[n]: logsumexp(others) - logit.

    The cross-entropy of the label is its softplus. So the two gradients have one direction, but
    this one does not vanish where the classifier is certain.
    """
    own = tf.gather(logits, label, batch_dims=1)
    return tf.reduce_logsumexp(without(logits, label), axis=1) - own


def loss_to_climb(logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """What attacks raise, f32[n]: the cross-entropy of each label i32[n], as published.

    Where the classifier is certain of the label, it is `smooth_lead` instead, whose gradient has
    the same direction. The other images keep the rounding of the cross-entropy, on which the
    counts of the authors' code depend.
    """
    lead = smooth_lead(logits, label)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits)
    return tf.where(lead < -CERTAIN, lead, entropy)
