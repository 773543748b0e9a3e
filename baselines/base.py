"""What the baselines share: the face of A2D over a logistic regression on an image's features."""

import abc
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from a2d_tf.calibration import threshold_at
from a2d_tf.classifier import Classifier
from a2d_tf.errors import InvalidInputError, NotFittedError
from a2d_tf.pixels import Bounds, Images

Features = NDArray[np.float64]
Self = TypeVar("Self", bound="FeatureDetector")


class FeatureDetector(abc.ABC):
    """Tells adversarial from benign and noisy images by a few features of each.

    A subclass says what the features are. They are standardised and weighed by a logistic
    regression, as in Feinman et al. 2017 (section 5) and Ma et al. 2018 (section 4). An image's
    score does not depend on the images that are scored with it.

    Attributes:
      threshold: the score above which an image is called adversarial: 0, the regression's own
        boundary, until `calibrate` replaces it.
    """

    name: ClassVar[str]
    description: ClassVar[str]

    def __init__(self, classifier: Classifier, seed: int):
        self.classifier = classifier
        self.seed = seed
        self.threshold = 0.0
        self._regression: Any = None

    @abc.abstractmethod
    def __repr__(self) -> str:
        """The settings that scores depend on, besides classifier and training images."""

    @abc.abstractmethod
    def _features(self, images: Images) -> Features:
        """Features f64[N,D] of checked images; N > 0."""

    def _fit_features(self, benign: Images, noisy: Images, adversarial: Images) -> list[Features]:
        """Features of the three kinds of checked images to fit on; rows belong together."""
        return [self._features(images) for images in (benign, noisy, adversarial)]

    def fit(self: Self, benign: ArrayLike, adversarial: ArrayLike) -> Self:
        """Learns to tell adversarial images from benign and noisy ones; forgets a calibration.

        The noisy images are made here from the benign ones, see `noisy`.

        Args:
          benign: f32[N,H,W,C].
          adversarial: f32[N,H,W,C]; row i was crafted from row i of `benign`.

        Raises:
          InvalidInputError: images that do not fit the classifier or one another, or too few.
        """
        normal, attacked = self.classifier.check(benign), self.classifier.check(adversarial)
        if normal.shape != attacked.shape or not len(normal):
            raise InvalidInputError(
                "expected as many adversarial images as benign ones, pair by pair and at least "
                f"one, got {len(attacked)} for {len(normal)}"
            )
        noised = noisy(normal, attacked, self.classifier.bounds, self.seed)
        kinds = self._fit_features(normal, noised, attacked)
        is_adversarial = np.repeat([False, False, True], len(normal))
        regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        self._regression = regression.fit(np.concatenate(kinds), is_adversarial)
        self.threshold = 0.0
        return self

    def score(self, images: ArrayLike) -> NDArray[np.float32]:
        """Scores f32[N] of images f32[N,H,W,C]: log-odds of being adversarial.

        Raises:
          NotFittedError: before `fit`.
          InvalidInputError: images that do not fit the classifier.
        """
        if self._regression is None:
            raise NotFittedError(
                f"expected a fitted {type(self).__name__}, got one that is not; call fit first"
            )
        checked = self.classifier.check(images)
        if not len(checked):
            return np.zeros(0, np.float32)
        log_odds = self._regression.decision_function(self._features(checked))
        return np.asarray(log_odds, np.float32)

    def noisy(self, benign: ArrayLike, adversarial: ArrayLike) -> Images:
        """Benign images under noise as strong as the attack, other noise than in the fit.

        Args:
          benign, adversarial: as for `fit`.

        Returns:
          f32[N,H,W,C], see the function `noisy`.
        """
        pair = self.classifier.check(benign), self.classifier.check(adversarial)
        return noisy(*pair, self.classifier.bounds, self.seed + 1)

    def calibrate(self: Self, benign: ArrayLike, fpr: float) -> Self:
        """Sets the threshold to a wanted false-positive rate; see `calibration.threshold_at`.

        Args:
          benign: f32[N,H,W,C], images that took no part in the fit.
          fpr: the wanted rate, in (0, 1).

        Raises:
          NotFittedError: before `fit`.
          InvalidInputError: too few images for that rate, or images that do not fit.
        """
        self.threshold = threshold_at(self.score(benign), fpr)
        return self

    def predict(self, images: ArrayLike) -> NDArray[np.bool_]:
        """Verdicts bool[N], True = adversarial, of images f32[N,H,W,C].

        Raises:
          NotFittedError: before `fit`.
          InvalidInputError: images that do not fit the classifier.
        """
        return self.score(images) > np.float32(self.threshold)


def noisy(benign: Images, adversarial: Images, bounds: Bounds, seed: int) -> Images:
    """Benign images under Gaussian noise as strong as the attack, so that noise is no clue.

    Args:
      benign: f32[N,H,W,C].
      adversarial: f32[N,H,W,C], crafted from the same rows of `benign`.
      bounds: what the pixels are clipped to.
      seed: of the noise.

    Returns:
      f32[N,H,W,C]: before the clipping, row i is as far in L2 norm from `benign` as row i of
      `adversarial` (Feinman et al. 2017, section 5).
    """
    noise = np.random.default_rng(seed).standard_normal(benign.shape, np.float32)
    axes = (1, 2, 3)
    wanted = np.sqrt(np.square(adversarial - benign).sum(axes, keepdims=True))
    norms = np.sqrt(np.square(noise).sum(axes, keepdims=True))
    return np.asarray(np.clip(benign + noise * (wanted / norms), *bounds), np.float32)
