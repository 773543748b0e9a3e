"""The Fast Gradient Sign Method in one step, by CleverHans."""

from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method

from a2d_tf.attacks.runner import OnFinished
from a2d_tf.classifiers import Classifier
from a2d_tf.images.spec import Images, Labels
from a2d_tf.threats.base import Threat

BATCH_SIZE = 128


@dataclass(frozen=True, kw_only=True)
class FGSM(Threat):
    """Fast Gradient Sign Method (Goodfellow 2015), by CleverHans.

    Attributes:
      eps: L-infinity distance as a fraction of the pixel range.
    """

    eps: float = field(metadata={"maximum": 1})

    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        classifier.bounds.require_one_range("the threat FGSM")
        lower, upper = classifier.bounds
        adversarial = np.empty_like(images)
        for start in range(0, len(images), BATCH_SIZE):
            batch = slice(start, start + BATCH_SIZE)
            adversarial[batch] = fast_gradient_method(
                classifier,
                tf.constant(images[batch]),
                eps=self.eps * classifier.bounds.range,
                norm=np.inf,
                clip_min=lower,
                clip_max=upper,
                y=tf.constant(labels[batch]),
            )
            on_finished(len(images[batch]))
        return adversarial
