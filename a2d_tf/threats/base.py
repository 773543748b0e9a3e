"""What every threat is: a frozen setting with one `craft`."""

import abc
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf import checks
from a2d_tf.attacks.base import class_count
from a2d_tf.attacks.runner import OnFinished
from a2d_tf.classifiers import Classifier, as_classifier
from a2d_tf.images.batching import ImageSource, to_array
from a2d_tf.images.spec import Images, Labels


class CraftedImages(NamedTuple):
    """Images that a threat crafted.

    Attributes:
      images: f32[N,H,W,C].
      success: bool[N], whether the classifier's label is no longer the true one.
    """

    images: Images
    success: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Threat(abc.ABC):
    """A recipe for adversarial inputs; its `repr` names it in tables and rebuilds it."""

    needs_logits: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checks.check_fields(self)

    @abc.abstractmethod
    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        """Adversarial versions f32[N,H,W,C] of images with true labels i64[N]."""

    def craft(
        self,
        classifier: Classifier,
        images: ImageSource,
        labels: ArrayLike,
        on_finished: OnFinished | None = None,
    ) -> CraftedImages:
        """Crafts an adversarial version of every image.

        Args:
          classifier: the classifier to attack.
          images: f32[N,H,W,C], or a dataset, which the classifier gets right.
          labels: i64[N] or i64[N,1], their true labels.
          on_finished: called with the number of images that were just crafted.

        Raises:
          InvalidInputError: images or labels that do not fit.
          UnsuitableClassifierError: the classifier fails its preflight check.
        """
        classifier = as_classifier(classifier)
        benign = to_array(images, classifier.input_spec)
        truth = checks.class_labels(labels, len(benign), classes=class_count(classifier, benign))
        classifier.preflight(
            benign, logits=self.needs_logits, gradients=self.needs_gradients
        )
        report = on_finished or (lambda count: None)
        adversarial = self.perturb(classifier, benign, truth, report)
        return CraftedImages(adversarial, classifier.predict(adversarial) != truth)
