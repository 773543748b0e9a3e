"""The pairwise saliency map attack of Papernot 2016, towards random classes."""

import math
from dataclasses import dataclass, field

from a2d_tf.attacks import PairwiseJSMA
from a2d_tf.attacks.runner import MAX_SEED, OnFinished
from a2d_tf.classifiers import Classifier
from a2d_tf.images.spec import Images, Labels
from a2d_tf.threats.base import Threat
from a2d_tf.threats.targets import random_targets


@dataclass(frozen=True, kw_only=True)
class JSMA(Threat):
    """Jacobian-based saliency map attack in pairs of pixels (Papernot 2016), to a random class.

    Attributes:
      theta: by how much a pixel brightens, as a fraction of the pixel range.
      gamma: share of the pixels that may change.
      seed: seed of the target classes; equal images have equal targets.
    """

    theta: float = field(metadata={"maximum": 1})
    gamma: float = field(metadata={"maximum": 1})
    seed: int = field(default=0, metadata={"minimum": 0, "maximum": MAX_SEED})

    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        if not len(images):
            return images
        pairs = math.floor(images[0].size * self.gamma / 2)
        # The last pair is tested too.
        attack = PairwiseJSMA(theta=self.theta, max_iterations=pairs + 1)
        classes = classifier.logits(images[:1]).shape[1]
        targets = random_targets(images, labels, classes, self.seed)
        return attack.run(
            classifier, images, labels, targets=targets, on_finished=on_finished
        ).adversarial
