"""The images of an experiment: benign, adversarial and noisy ones, in splits."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.special
from numpy.typing import NDArray

from a2d_tf.classifiers import Classifier
from a2d_tf.detection.fitting import add_noise
from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation.cache_keys import settings_key
from a2d_tf.evaluation.splits import FIT, split
from a2d_tf.images.spec import Images, Labels
from a2d_tf.reports.progress import Progress
from a2d_tf.storage.stages import Arrays, Stages
from a2d_tf.threats import Threat
from a2d_tf.zoo.datasets import Dataset

BENIGN = "benign"
NOISY = "noisy-"  # before the name of the threat that the noise is as strong as


class SampleSet(NamedTuple):
    """The images of one type and split.

    Attributes:
      images: f32[N,H,W,C].
      source_index: i64[N], the benign image of the same split that each was made from.
      success_rate: the share of the crafted images that are misclassified; only these are here.
    """

    images: Images
    source_index: NDArray[np.int64]
    success_rate: float


class ExperimentImages:
    """Crafts and keeps the images that the detectors of an experiment share.

    Only images that the classifier gets right are used, each in one split: `limit` to test on,
    half as many to fit, a quarter to calibrate, but at least 100 for each of the latter two. An
    adversarial input is one that is misclassified; crafted images that are not do not count.

    Args:
      classifier: the classifier under attack.
      model_key: what the stages depend on of the classifier; see `cache_keys.classifier_key`.
      dataset: its test images are used.
      threats: the recipes for adversarial inputs, by name.
      limit: benign test images; fewer if the dataset does not have as many.
      shuffle: seed by which the images are drawn at random; None takes the first ones, as in the
        paper (section 5.1).
      noise_seed: seed of the noise of noisy images.
      stages: where results are kept.
      progress: follows the stages.

    Raises:
      InvalidInputError: too few correctly classified images for the three splits.
    """

    def __init__(
        self,
        classifier: Classifier,
        model_key: Mapping[str, Any],
        dataset: Dataset,
        threats: Mapping[str, Threat],
        *,
        limit: int,
        shuffle: int | None,
        noise_seed: int = 0,
        stages: Stages,
        progress: Progress,
    ):
        self.classifier = classifier
        self.dataset = dataset
        self.threats = dict(threats)
        self.cache_key = {
            "model": dict(model_key), "dataset": dataset.digest(), "limit": limit,
            "shuffle": shuffle,
        }
        self.noise_seed = noise_seed
        self.stages = stages
        self.progress = progress
        labels = self._predictions()
        correct = labels == dataset.y_test
        self.accuracy = float(correct.mean())
        self.classes = classifier.logits(dataset.x_test[:1]).shape[-1]
        self.splits = split(np.flatnonzero(correct), limit, shuffle)

    @property
    def input_types(self) -> list[str]:
        """Benign, and every threat."""
        return [BENIGN, *self.threats]

    def samples(self, input_type: str, split: str) -> SampleSet:
        """Benign images, a threat's successful adversarial ones, or noisy ones, of a split.

        Raises:
          InvalidInputError: the threat never succeeded.
        """
        index = self.splits[split]
        if input_type == BENIGN:
            images = self.dataset.x_test[index]
            return SampleSet(images, np.arange(len(index)), 1.0)
        if input_type.startswith(NOISY):
            return self._noisy(input_type.removeprefix(NOISY), split)
        crafted = self._crafted(input_type, split)
        source = np.flatnonzero(crafted["success"])
        if not len(source):
            raise InvalidInputError(
                f"expected {input_type} to fool the classifier, got none misclassified out of "
                f"{len(index)} images; leave that threat out or raise the limit"
            )
        return SampleSet(
            crafted["images"][source], source, float(crafted["success"].mean())
        )

    def pooled_rows(self, threats: Sequence[str]) -> dict[str, NDArray[np.intp]]:
        """Which rows of each threat's fit images are used when several threats are pooled.

        Every threat contributes an equal share (paper, section 5.3.1), and so no benign image
        is paired twice.
        """
        count = len(threats)
        sources = {threat: self.samples(threat, FIT).source_index for threat in threats}
        return {
            threat: np.flatnonzero(source % count == place)
            for place, (threat, source) in enumerate(sources.items())
        }

    def confidence(self, split: str) -> NDArray[np.float64]:
        """The classifier's probability f64[N] of its label for the benign images of a split."""
        logits = self.classifier.logits(self.dataset.x_test[self.splits[split]])
        probabilities: NDArray[np.float64] = scipy.special.softmax(logits, axis=1).max(axis=1)
        return probabilities

    def sample_key(self, input_type: str, split: str) -> dict[str, Any]:
        """What the images of a type and split depend on, as JSON values."""
        if input_type.startswith(NOISY):
            key = self.sample_key(input_type.removeprefix(NOISY), split)
            return key | {"noise": self.noise_seed}
        threat = None if input_type == BENIGN else settings_key(self.threats[input_type])
        return self.cache_key | {"split": split, "threat": threat}

    def _predictions(self) -> Labels:
        def make() -> Arrays:
            return {"labels": self.classifier.predict(self.dataset.x_test)}

        key = {name: self.cache_key[name] for name in ("model", "dataset")}
        return self.stages.arrays("predictions", key, make)["labels"]

    def _crafted(self, threat: str, split: str) -> Arrays:
        index = self.splits[split]
        images, truth = self.dataset.x_test[index], self.dataset.y_test[index]

        def make() -> Arrays:
            with self.progress.stage(f"craft {threat} ({split})", len(index)) as advance:
                crafted = self.threats[threat].craft(self.classifier, images, truth, advance)
            return crafted._asdict()

        return self.stages.arrays(f"craft/{threat}/{split}", self.sample_key(threat, split), make)

    def _noisy(self, threat: str, split: str) -> SampleSet:
        """Benign images with noise as strong as a threat, other noise to test than in the fit."""
        benign, crafted = self.samples(BENIGN, split), self.samples(threat, split)
        images = add_noise(
            benign.images[crafted.source_index], crafted.images, self.classifier.bounds,
            self.noise_seed + (split != FIT),
        )
        return crafted._replace(images=images)
