"""The columns of a comparison: each is a way to detect, features and a detector over them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sklearn.base
from numpy.typing import NDArray

from a2d_tf import detectors
from a2d_tf.detection.arguments import default_detector
from a2d_tf.detection.result import INVALID, score_known
from a2d_tf.detection.state import check_combination, fit_detector, orientation
from a2d_tf.detectors import Detector
from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.experiment_images import BENIGN, NOISY
from a2d_tf.evaluation.splits import CALIBRATION, FIT, TEST
from a2d_tf.features import AttackCost, DirectionCosts, Feature, by_name

# Name, detector and what the report says of it; all of them judge the costs of several attacks.
ENSEMBLES: tuple[tuple[str, str, str], ...] = (
    ("zscore", "zscore", "Z-scores, 2 votes for benign needed, of"),
    ("conformal", "conformal", "conformal p-values, combined, of"),
    ("knn", "knn", "K-NN on"),
    ("svm", "svm", "support vector machine on"),
    ("forest", "forest", "random forest on"),
    ("logistic", "logistic", "logistic regression on"),
    ("directions", "logistic", "logistic regression on costs in all directions and"),
)
DIRECTIONS = "directions"
# What any other detector must beat: a forward pass, or a single gradient. They are in every table.
SIMPLEST = ("margin", "msp", "entropy", "energy", "first-order")
TOGETHER = "+"  # between the names of features that are judged together
DEFAULT = "response"  # the feature that `A2D` takes by default, with its own detector

Scores = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to detect: features, and a detector over their columns.

    Attributes:
      features: what is measured, by name.
      detector: not fitted.
      description: what it is, for the report.
      noisy_negatives: whether noisy images count as benign in its fit; see `A2D.fit`.
    """

    features: Mapping[str, Feature]
    detector: Detector
    description: str
    noisy_negatives: bool = False

    @property
    def learns_from_threats(self) -> bool:
        """Whether the scores depend on the adversarial images of the fit."""
        return self.detector.learns_from_adversarial or self.noisy_negatives

    @property
    def setting(self) -> str:
        """Rebuilds the method."""
        features = ", ".join(map(repr, self.features.values()))
        return f"{self.detector!r} on {features}"


def baseline(name: str | Feature, seed: int) -> Method:
    """A feature and the detector that judges it by itself, or several that are judged together.

    Args:
      name: a registered feature, the path of a class of your own, "module:Class", or a feature; or
        several names with "+" between them, whose detector is the one that `A2D` takes by default.
      seed: for features that have a setting of that name.

    Raises:
      InvalidInputError: there is no such feature, one is named twice, or none but the class.
    """
    together = isinstance(name, str) and TOGETHER in name
    method = _together(str(name), seed) if together else _by_itself(name, seed)
    check_combination(method.features, method.detector)
    return method


def _by_itself(name: str | Feature, seed: int) -> Method:
    feature = name if isinstance(name, Feature) else by_name(name)
    if "seed" in (config := feature.config()):
        feature = type(feature).from_config(config | {"seed": seed}, None)
    is_cost = isinstance(feature, AttackCost)
    key, what = (name, f"the {name} cost") if is_cost else (feature.name, feature.description)
    detector, settings = feature.default_detector
    kinds = "benign images only"
    if feature.noisy_negatives:
        kinds = "benign, noisy and adversarial images"
    elif detectors.REGISTRY[detector].learns_from_adversarial:
        kinds = "benign and adversarial images"
    return Method(
        features={str(key): feature}, detector=detectors.REGISTRY[detector](**settings),
        description=f"{what or key}; {kinds}",
        noisy_negatives=feature.noisy_negatives,
    )


def _together(name: str, seed: int) -> Method:
    features: dict[str, Feature] = {}
    for part in name.split(TOGETHER):
        added = _by_itself(part, seed).features
        if added.keys() & features.keys():
            raise InvalidInputError(
                f"expected different features, got {part} twice in {name}; leave one out"
            )
        features |= added
    detector = default_detector(features)
    return Method(
        features=features, detector=detectors.REGISTRY[detector](),
        description=f"{' and '.join(features)}, judged together by {detector}; benign images only",
    )


def simplest_methods() -> dict[str, Method]:
    """The simplest baselines, each judged by itself; see `SIMPLEST`."""
    return {name: baseline(name, seed=0) for name in SIMPLEST}


def default_methods() -> dict[str, Method]:
    """What `A2D` does by default."""
    method = baseline(DEFAULT, seed=0)
    return {DEFAULT: replace(method, description=f"the default, A2D(model): {method.description}")}


def cost_methods(data: ExperimentData) -> dict[str, Method]:
    """The cost of every attack by itself, and ensembles over those that are measured of all."""
    methods = {}
    for name in data.attacks:
        limit = data.slow_limits.get(name)
        part = f", of the first {limit} benign images and what was made from them"
        methods[name] = Method(
            features={name: data.features[name]}, detector=detectors.Threshold(),
            description=f"the {name} cost{part if limit else ''}",
        )
    costs: dict[str, Feature] = {
        name: data.features[name] for name in data.attacks if name not in data.slow_limits
    }
    for name, detector, what in ENSEMBLES if costs else ():
        if name == DIRECTIONS and DIRECTIONS not in data.features:
            continue
        judge = detectors.REGISTRY[detector]()
        kinds = "benign and adversarial images" if judge.learns_from_adversarial else (
            "benign images only"
        )
        directions: dict[str, Feature] = (
            {DIRECTIONS: DirectionCosts()} if name == DIRECTIONS else {}
        )
        methods[f"ensemble_{name}"] = Method(
            features=costs | directions, detector=judge,
            description=f"{what} the costs of {', '.join(costs)}; {kinds}",
        )
    return methods


class Scorer:
    """The scores of a method for the images of an experiment.

    A method is fitted on some threats, and scores the benign calibration and test images, the test
    images of every threat, and noisy ones (`noisy_type`) if these are among its negatives. A method
    that learns from benign images alone gives the same scores whatever the threats.

    An image that cannot be measured has the largest score, as it is flagged by `A2D.predict`, and
    takes no part in a fit.

    Args:
      method: the method.
      data: the images, and the features of the method among its own.
    """

    def __init__(self, method: Method, data: ExperimentData):
        self._method = method
        self._data = data
        self._is_slow = any(feature in data.slow_limits for feature in method.features)

    def scores(self, threats: Sequence[str]) -> Scores:
        """Scores by type of input (CALIBRATION, BENIGN, a threat, ...), fitted on `threats`."""
        detector: Detector = sklearn.base.clone(self._method.detector)
        if detector.scores_depend_on_fit:
            self._fit(detector, threats)
        return {
            input_type: _score(detector, self._columns(*where))
            for input_type, where in self._scored().items()
        }

    def _fit(self, detector: Detector, threats: Sequence[str]) -> None:
        pooled = self._data.pooled_rows(threats) if detector.learns_from_adversarial else {}
        noisy = pooled if self._method.noisy_negatives else {}
        negatives = [self._measured(BENIGN, FIT), *(
            self._measured(noisy_type(threat), FIT)[rows] for threat, rows in noisy.items()
        )]
        positives = [self._measured(threat, FIT)[rows] for threat, rows in pooled.items()]
        benign, adversarial = (
            [_known(columns) for columns in kind] for kind in (negatives, positives)
        )
        columns = np.concatenate([*benign, *adversarial])
        fit_detector(
            detector, self._method.features, self._names(), columns,
            np.arange(len(columns)) >= sum(map(len, benign)),
        )

    def passes(self) -> dict[str, float]:
        """The mean number of `queries` and of `gradients` per benign image.

        The query of the image's label is not among them.
        """
        prices = [self._data.query_count(BENIGN, TEST, name) for name in self._method.features]
        return {
            "queries": sum(one.queries / one.images for one in prices),
            "gradients": sum(one.gradients / one.images for one in prices),
        }

    def _columns(self, input_type: str, split: str) -> NDArray[np.float64]:
        """Columns as the detector takes them: lower for adversarial inputs."""
        signs = orientation(self._method.features, self._names())
        return self._measured(input_type, split) * signs

    def _measured(self, input_type: str, split: str) -> NDArray[np.float64]:
        return self._data.columns(input_type, split, list(self._method.features))

    def _names(self) -> dict[str, list[str]]:
        """A name for each column of each feature."""
        return {
            name: [name] * self._data.columns(BENIGN, TEST, [name]).shape[1]
            for name in self._method.features
        }

    def _scored(self) -> dict[str, tuple[str, str]]:
        """What is scored: type of input -> (type, split) of the samples."""
        scored = {CALIBRATION: (BENIGN, CALIBRATION), BENIGN: (BENIGN, TEST)}
        if self._is_slow:
            del scored[CALIBRATION]  # too few to set a threshold by
        threats = list(self._data.threats)
        noisy = map(noisy_type, threats) if self._method.noisy_negatives else ()
        return scored | {kind: (kind, TEST) for kind in (*threats, *noisy)}


def noisy_type(threat: str) -> str:
    """The type of benign inputs with noise as strong as a threat."""
    return f"{NOISY}{threat}"


def invalid(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which images bool[N] could not be measured, by their scores."""
    return np.asarray(scores == INVALID["score"])


def _known(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows of images that could be measured."""
    return columns[np.isfinite(columns).all(axis=1)]


def _score(detector: Detector, columns: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scores f32[N], the largest one for images that could not be measured."""
    def score(known: NDArray[np.float64]) -> NDArray[np.float32]:
        # What does not depend on a fit is scored without one.
        is_fitted = detector.scores_depend_on_fit
        return detector.score(known) if is_fitted else detector.graph_score(known).numpy()

    return score_known(score, columns, np.asarray(np.isfinite(columns).all(axis=1)))[0]
