"""The fast gradient method in L2, as Foolbox 2 normalises it."""

from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from a2d_tf.attacks.loop import pixel_axes
from a2d_tf.attacks.runner import OnFinished
from a2d_tf.classifiers import Classifier
from a2d_tf.images.spec import Images, Labels
from a2d_tf.threats.base import Threat

BATCH_SIZE = 32
TINY = 1e-8


@dataclass(frozen=True, kw_only=True)
class FGM(Threat):
    """One step along the gradient of the loss, of a length in L2 (Foolbox 2's `GradientAttack`).

    Foolbox 2 divides the gradient by the root of its mean square, over all pixels and channels of
    the image, and multiplies it by eps and by the pixel range. So eps is the root mean square of
    the change: the L2 distance is eps * range * sqrt(H * W * C) before pixels are clipped. For
    eps = 0.016 and 224x224x3 pixels in [0, 1], that is 6.2.

    Attributes:
      eps: root mean square of the change, as a fraction of the pixel range.
    """

    eps: float = field(metadata={"maximum": 1})

    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        adversarial = np.empty_like(images)
        for start in range(0, len(images), BATCH_SIZE):
            part = slice(start, start + BATCH_SIZE)
            adversarial[part] = self._step(
                classifier, tf.constant(images[part]), tf.constant(labels[part])
            )
            on_finished(len(images[part]))
        return adversarial

    def _step(self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, classifier(images))
        gradient = tape.gradient(loss, images)
        size = tf.sqrt(tf.reduce_mean(
            tf.square(gradient), axis=pixel_axes(gradient), keepdims=True
        ))
        change = self.eps * classifier.bounds.range * gradient / (size + TINY)
        return tf.clip_by_value(images + change, *classifier.bounds)
