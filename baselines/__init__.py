"""Detectors that A2D is compared with; they fit, score, calibrate and predict on images."""

from collections.abc import Callable, Iterable

from a2d_tf.classifier import Classifier
from a2d_tf.data import Dataset
from a2d_tf.errors import pick
from baselines.base import FeatureDetector
from baselines.kd import KD
from baselines.lid import LID

Factory = Callable[[Classifier, Dataset, int], FeatureDetector]
# How a comparison makes each, from a classifier, its dataset and a seed.
REGISTRY: dict[str, Factory] = {
    "kd": lambda classifier, data, seed: KD(classifier, data.x_train, data.y_train, seed=seed),
    "lid": lambda classifier, data, seed: LID(classifier, seed=seed),
    # Stronger than published; needs 600 benign images to fit.
    "lid5": lambda classifier, data, seed: LID(classifier, minibatches=5, seed=seed),
}


def chosen(names: Iterable[str]) -> dict[str, Factory]:
    """The baselines of these names.

    Raises:
      InvalidInputError: an unknown name.
    """
    return {name: pick(REGISTRY, name, "a baseline") for name in names}


__all__ = ["KD", "LID", "REGISTRY", "Factory", "FeatureDetector", "chosen"]
