"""Threats: named recipes that craft the adversarial inputs to be detected."""

import abc
import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method
from numpy.typing import ArrayLike, NDArray

from a2d_tf import attacks
from a2d_tf.attacks import BIM, CarliniWagner, PairwiseJSMA, randomness
from a2d_tf.attacks.running import OnFinished
from a2d_tf.classifier import Classifier, Labels
from a2d_tf.data import Dataset
from a2d_tf.errors import InvalidInputError, pick
from a2d_tf.pixels import Images
from a2d_tf.progress import Progress


class Crafted(NamedTuple):
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

    name: ClassVar[str]

    @abc.abstractmethod
    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        """Adversarial versions f32[N,H,W,C] of images with true labels i64[N]."""

    def craft(
        self,
        classifier: Classifier,
        images: ArrayLike,
        labels: ArrayLike,
        on_finished: OnFinished = lambda count: None,
    ) -> Crafted:
        """Crafts an adversarial version of every image.

        Args:
          classifier: the classifier to deceive.
          images: f32[N,H,W,C], which the classifier gets right.
          labels: i64[N], their true labels.
          on_finished: called with the number of images that were just crafted.

        Raises:
          InvalidInputError: unfit images.
          UnsuitableClassifierError: the classifier fails its preflight.
        """
        benign = classifier.check(images)
        truth = np.asarray(labels, np.int64)
        classifier.preflight(benign)
        adversarial = self.perturb(classifier, benign, truth, on_finished)
        return Crafted(adversarial, classifier.predict(adversarial) != truth)


@dataclass(frozen=True, kw_only=True)
class FGSM(Threat):
    """Fast Gradient Sign Method (Goodfellow 2015), by CleverHans.

    Attributes:
      eps: L-infinity distance as a fraction of the pixel range.
    """

    name: ClassVar[str] = "fgsm"
    eps: float

    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        batch_size = 128
        lower, upper = classifier.bounds
        adversarial = np.empty_like(images)
        for start in range(0, len(images), batch_size):
            batch = slice(start, start + batch_size)
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


@dataclass(frozen=True, kw_only=True)
class BIMa(Threat):
    """Basic Iterative Method that keeps the first misclassified iterate (Feinman 2017, BIM-A).

    Attributes:
      eps: radius of the L-infinity ball as a fraction of the pixel range.
      step: length of one step, likewise.
      iterations: steps at most.
    """

    name: ClassVar[str] = "bim-a"
    eps: float
    step: float
    iterations: int = 50

    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        attack = BIM(eps=self.eps, step=self.step, max_iterations=self.iterations)
        return attack.run(classifier, images, labels, on_finished=on_finished).adversarial


@dataclass(frozen=True, kw_only=True)
class JSMA(Threat):
    """Jacobian-based saliency map attack in pairs of pixels (Papernot 2016), to a random class.

    Attributes:
      theta: by how much a pixel brightens, as a fraction of the pixel range.
      gamma: share of the pixels that may change.
      seed: of the target classes; equal images have equal targets.
    """

    name: ClassVar[str] = "jsma"
    theta: float
    gamma: float
    seed: int = 0

    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        pairs = math.floor(images[0].size * self.gamma / 2) if len(images) else 0
        # The last pair is tested too.
        attack = PairwiseJSMA(theta=self.theta, max_iterations=pairs + 1)
        classes = classifier.logits(images[:1]).shape[1]
        targets = self._targets(images, labels, classes)
        return attack.run(
            classifier, images, labels, targets=targets, on_finished=on_finished
        ).adversarial

    def _targets(self, images: Images, labels: Labels, classes: int) -> Labels:
        """A random class other than the true one for each image."""
        drawn = randomness.uniform(
            randomness.keys(images, np.full(len(images), self.seed, np.uint32)),
            np.zeros(len(images), np.int32), 1,
        )
        steps = 1 + np.floor(drawn.numpy()[:, 0] * (classes - 1))
        targets: Labels = (labels + steps.astype(np.int64)) % classes
        return targets


@dataclass(frozen=True, kw_only=True)
class CW(Threat):
    """Carlini and Wagner's attack in L2 (2017), untargeted.

    Attributes:
      kappa: logits by which another class must lead.
      c: the constant to start from.
      step, constants, iterations: Adam's step size, the constants tried, and the descent steps
        for each.
    """

    name: ClassVar[str] = "cw"
    kappa: float
    c: float
    step: float = 0.05
    constants: int = 4
    iterations: int = 100

    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        attack = CarliniWagner(
            confidence=self.kappa, initial_const=self.c, step=self.step,
            binary_search_steps=self.constants,
            max_iterations=self.constants * self.iterations,
        )
        return attack.run(classifier, images, labels, on_finished=on_finished).adversarial


@dataclass(frozen=True, kw_only=True)
class DeepFool(Threat):
    """The step across the nearest boundary of a linear model, again and again (2016).

    Attributes:
      iterations: steps at most.
    """

    name: ClassVar[str] = "deepfool"
    iterations: int = 100

    def perturb(
        self, classifier: Classifier, images: Images, labels: Labels, on_finished: OnFinished
    ) -> Images:
        attack = attacks.DeepFool(max_iterations=self.iterations)
        return attack.run(classifier, images, labels, on_finished=on_finished).adversarial


# Paper, Table 5; DeepFool is Foolbox's.
_JSMA, _CW = JSMA(theta=1.0, gamma=0.1), CW(kappa=0.0, c=0.02)
PRESETS: dict[str, dict[str, Threat]] = {
    "mnist": {
        "fgsm": FGSM(eps=0.3), "bim-a": BIMa(eps=0.3, step=0.01), "jsma": _JSMA, "cw": _CW,
        "deepfool": DeepFool(),
    },
    "cifar10": {
        "fgsm": FGSM(eps=0.05), "bim-a": BIMa(eps=0.05, step=0.005), "jsma": _JSMA, "cw": _CW,
        "deepfool": DeepFool(),
    },
}


def preset(name: str, dataset: str) -> Threat:
    """A threat with the settings of the paper's Table 5.

    Args:
      name: "fgsm", "bim-a", "jsma", "cw" or "deepfool".
      dataset: "mnist" or "cifar10".

    Raises:
      InvalidInputError: an unknown threat or dataset.
    """
    return pick(pick(PRESETS, dataset, "a preset"), name, "a threat")


def craft_test_images(
    threat: Threat, classifier: Classifier, dataset: Dataset, limit: int, progress: Progress
) -> dict[str, NDArray[Any]]:
    """Crafts from the first correctly classified test images.

    Args:
      threat: the recipe.
      classifier: the classifier to deceive.
      dataset: its test images are used.
      limit: images at most.
      progress: follows the crafting.

    Returns:
      images f32[N,H,W,C], labels i64[N] (the true ones), index i64[N] in the test set and
      success bool[N].

    Raises:
      InvalidInputError: no test image is classified correctly.
    """
    correct = classifier.predict(dataset.x_test) == dataset.y_test
    index = np.flatnonzero(correct)[:limit]
    if not len(index):
        raise InvalidInputError(
            f"expected correctly classified test images, got none of {len(correct)}; "
            "check that model and dataset belong together"
        )
    labels = dataset.y_test[index]
    with progress.stage(f"craft {threat.name}", len(index)) as advance:
        crafted = threat.craft(classifier, dataset.x_test[index], labels, advance)
    return {
        "images": crafted.images, "labels": labels, "index": index, "success": crafted.success
    }
