"""The profile detector: near a boundary, or unlike benign inputs, from benign images alone."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import scipy.stats
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from sklearn.covariance import LedoitWolf

from a2d_tf import checks
from a2d_tf.detectors import class_thresholds
from a2d_tf.detectors.base import Detector
from a2d_tf.detectors.calibration import (
    Calibration, calibrated, kept_scores, least_count, training_and_calibration,
)
from a2d_tf.detectors.columns import MIN_INPUTS, Columns, is_cost_like
from a2d_tf.detectors.conformal import interpolate
from a2d_tf.errors import InvalidInputError

# The share of the false positives that each question may have, if both are asked. Nearly all
# adversarial inputs that are known are near a boundary; those that are not are very unlike benign
# ones, and found at a small share.
NEAR_SHARE, UNLIKE_SHARE = 0.8, 0.2
LEAST = 1e-3  # of a column's median is added to it before the logarithm
TAIL = 0.1  # the share of the largest benign statistics that tell how fast p-values fall
Self = TypeVar("Self", bound="Profile")


@dataclass(kw_only=True, eq=False)
class Profile(Detector):
    """Benign images alone, and two questions: is an input near a boundary, is it unlike others?

    - Near, of columns that are low for adversarial inputs: the p-value of each among benign images,
      combined by Fisher's sum of logarithms.
    - Unlike, two-sided, of columns of which it is not known on which side adversarial inputs lie:
      the squared Mahalanobis distance from benign images, by the shrunken covariance of Ledoit and
      Wolf (2004, scikit-learn's). A column that is never negative enters by its logarithm where
      that is less skewed.

    Each statistic becomes a p-value among benign images; beyond the most extreme of them, an
    exponential tail goes on. The score is the larger of -log(p / share) of the two: Bonferroni's
    combination, with weights (Genovese et al. 2006), so that what one answer knows the other one
    cannot drown. With columns of one kind, there is one question. The threshold is the
    split-conformal one, from benign images that took part in nothing before. No distribution is
    assumed: the false-positive rate on fresh benign images is at most `fpr` on average.

    If one column is the predicted class (the feature "predicted-class"), each class gets a
    threshold of its own, and the rate holds within each class that has enough benign images; see
    `class_thresholds`. The score is then what is above the threshold of the class.

    Attributes:
      fpr: the false-positive rate that `fit` sets; `calibrate` sets another.
    """

    name: ClassVar[str] = "profile"
    learns_from_adversarial: ClassVar[bool] = False
    is_two_sided: ClassVar[bool] = True
    is_compiled: ClassVar[bool] = True
    judges_by_class: ClassVar[bool] = True
    calibrates_itself: ClassVar[bool] = True
    fpr: float = 0.1

    def __post_init__(self) -> None:
        checks.number(self.fpr, "Profile's fpr", maximum=1)
        self._given: tuple[NDArray[np.bool_] | None, int | None] = None, None

    @property
    def default_threshold(self) -> float:
        return np.inf

    def check_counts(self, benign: int, adversarial: int) -> None:
        least = 2 * max(least_count(self.fpr), MIN_INPUTS)
        if benign < least:
            raise InvalidInputError(
                f"expected at least {least} benign images to fit a profile to a false-positive "
                f"rate of {self.fpr}, at most half of which set its threshold, got {benign}; give "
                "more images or a higher rate"
            )

    def fit(
        self: Self, X: ArrayLike, y: ArrayLike | None = None, *, either: ArrayLike | None = None,
        class_column: int | None = None,
    ) -> Self:
        """Learns from the columns of inputs; see `Detector.fit`.

        Args:
          X: columns [N, D].
          y: bool[N], which inputs are adversarial; they are not looked at.
          either: bool[D], the columns of which it is not known on which side adversarial inputs
            lie; the others are low for them. None if it is not known of any.
          class_column: the place of the column that is the predicted class; None if there is none.

        Raises:
          InvalidInputError: columns, labels or sides of the wrong shape, or too few inputs.
        """
        self._given = None if either is None else np.asarray(either, np.bool_), class_column
        return super().fit(X, y)

    def fit_sided(self: Self, X: ArrayLike, y: ArrayLike, sides: Sequence[str]) -> Self:
        is_class = [place for place, side in enumerate(sides) if side == "class"]
        return self.fit(
            X, y, either=[side == "either" for side in sides],
            class_column=is_class[0] if is_class else None,
        )

    def _fit(self, columns: Columns, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        """Some of the benign images, drawn at random, are learned from; the others judge that."""
        benign, (given, place) = columns[~is_adversarial], self._given
        either = np.ones(columns.shape[1], np.bool_) if given is None else given.copy()
        if either.shape != (columns.shape[1],):
            raise InvalidInputError(
                f"expected a side for each of {columns.shape[1]} columns, got "
                f"{either.size}; give as many"
            )
        learned: dict[str, Any] = {"either": either}
        if place is None:
            known, fresh = training_and_calibration(benign, self.fpr)
        else:
            _check_class_column(benign, place)
            either[place], learned["class_column"] = False, np.array(place)
            known, fresh = class_thresholds.training_and_calibration(
                benign, benign[:, place], self.fpr
            )
        learned |= {"benign": known} | _distance(known, either)
        for name, statistic in _statistics(tf.constant(known), learned).items():
            learned |= {
                f"{name}_{key}": value for key, value in _tail(statistic.numpy()).items()
            }
        return learned | _thresholds(fresh, learned, self.fpr)

    def _calibrated(self, benign: Columns, fpr: float) -> dict[str, Any]:
        if "class_column" not in self.learned:
            return super()._calibrated(benign, fpr)
        self.score(benign)  # checks the columns
        self.__dict__.pop("_graph", None)  # it holds the former thresholds of the classes
        return _thresholds(benign, self.learned, fpr)

    def falls_with(self, column: int) -> bool:
        """Whether a column is known to be low for adversarial inputs; see `Detector`."""
        return bool(_is_low(self.learned)[column])

    def _score(self, columns: tf.Tensor) -> tf.Tensor:
        learned = self.learned
        surprise = _surprise(columns, learned)
        if "class_column" not in learned:
            return surprise
        # Single precision, in which the thresholds were found.
        return tf.cast(tf.cast(surprise, tf.float32), tf.float64) - class_thresholds.thresholds_of(
            columns[:, int(learned["class_column"])], learned
        )


def _is_low(learned: dict[str, Any]) -> NDArray[np.bool_]:
    """The columns bool[D] that are known to be low for adversarial inputs."""
    is_low = ~learned["either"]
    if "class_column" in learned:
        is_low[int(learned["class_column"])] = False
    return np.asarray(is_low)


def _check_class_column(benign: Columns, place: int) -> None:
    if not 0 <= place < benign.shape[1] or benign.shape[1] == 1:
        raise InvalidInputError(
            f"expected a class in one of several columns, got column {place} of "
            f"{benign.shape[1]}; measure something beside the class"
        )


def _thresholds(fresh: Columns, learned: dict[str, Any], fpr: float) -> dict[str, Any]:
    """The threshold by benign columns f64[N,D] that were not learned from, or one per class."""
    scores = _surprise(tf.constant(fresh), learned).numpy().astype(np.float32)
    if "class_column" not in learned:
        return calibrated(scores, fpr)
    place = int(learned["class_column"])
    classes = fresh[:, place]
    found: dict[str, Any] = class_thresholds.thresholds_by_class(
        scores.astype(np.float64), classes, fpr, learned["benign"][:, place]
    )
    above = scores - class_thresholds.thresholds_of(tf.constant(classes), found).numpy()
    return found | {
        "threshold": 0.0, "calibration": Calibration(float(fpr), len(scores)),
        "calibration_scores": kept_scores(above),
    }


def _distance(known: Columns, either: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """What the distance from benign columns f64[N,D] is made of; 0 for columns that are low."""
    least = LEAST * np.median(known, axis=0)
    shift = np.where(least > 0, least, 1.0)
    logarithms = np.log(np.where(is_cost_like(known), known, 0.0) + shift)
    with np.errstate(all="ignore"), warnings.catch_warnings():  # of a constant column
        warnings.simplefilter("ignore", RuntimeWarning)
        is_less_skewed = np.abs(scipy.stats.skew(logarithms)) < np.abs(scipy.stats.skew(known))
    # 0 stands for a column that is taken as it is.
    shift = np.where(is_cost_like(known) & is_less_skewed, shift, 0.0)
    taken = _transformed(tf.constant(known), shift).numpy()
    deviation = taken.std(axis=0)
    scale = {
        "shift": shift, "mean": taken.mean(axis=0),
        "deviation": np.where(deviation > 0, deviation, 1.0),  # of a constant column
    }
    precision = np.zeros((len(either), len(either)))
    if either.any():
        scaled = (taken - scale["mean"]) / scale["deviation"]
        shrunken = LedoitWolf(assume_centered=True).fit(scaled[:, either])
        precision[np.ix_(either, either)] = shrunken.precision_
    return scale | {"precision": precision}


def _transformed(columns: tf.Tensor, shift: NDArray[np.float64]) -> tf.Tensor:
    """Logarithms f64[n,D] of columns f64[n,D] that have a shift, and the others as they are."""
    has_shift = shift > 0
    shifted = tf.maximum(columns, 0.0) + np.where(has_shift, shift, 1.0)
    return tf.where(has_shift, tf.math.log(shifted), columns)


def _statistics(columns: tf.Tensor, learned: dict[str, Any]) -> dict[str, tf.Tensor]:
    """One or two numbers f64[n] of columns f64[n,D], each the higher the less benign."""
    either, found = learned["either"], {}
    if (is_low := _is_low(learned)).any():
        found["near"] = tf.add_n([
            _surprise_of(-columns[:, place], _tail(-learned["benign"][:, place]))
            for place in np.flatnonzero(is_low)
        ])
    if either.any():
        scaled = (
            _transformed(columns, learned["shift"]) - learned["mean"]
        ) / learned["deviation"]
        found["unlike"] = tf.reduce_sum(tf.matmul(scaled, learned["precision"]) * scaled, axis=1)
    return found


def _surprise(columns: tf.Tensor, learned: dict[str, Any]) -> tf.Tensor:
    """The largest -log(p / share) f64[n] of the statistics of columns f64[n,D]."""
    parts = {
        name: _surprise_of(statistic, {
            key: learned[f"{name}_{key}"] for key in ("places", "heights", "decay")
        })
        for name, statistic in _statistics(columns, learned).items()
    }
    if len(parts) == 1:
        return next(iter(parts.values()))
    return tf.maximum(
        parts["near"] + np.log(NEAR_SHARE), parts["unlike"] + np.log(UNLIKE_SHARE)
    )


def _surprise_of(statistic: tf.Tensor, tail: dict[str, NDArray[np.float64]]) -> tf.Tensor:
    """The -log p f64[n] of a statistic f64[n]."""
    beyond = tf.maximum(statistic - tail["places"][-1], 0.0) / float(tail["decay"])
    return interpolate(statistic, tail["places"], tail["heights"]) + beyond


def _tail(benign: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The -log p of benign statistics f64[N], between which straight lines are drawn.

    p is the share of them that are as high, the input itself among them. Beyond the highest, -log p
    rises by 1 in each mean excess over the (1 - `TAIL`)-quantile, as for an exponential tail.
    """
    values, counts = np.unique(benign, return_counts=True)
    as_high = 1 + np.cumsum(counts[::-1])[::-1]
    start = np.quantile(benign, 1 - TAIL)
    decay = float((benign[benign >= start] - start).mean()) or float(benign.std()) or 1.0
    return {
        "places": np.array([values[0] - decay, *values]),
        "heights": np.array([0.0, *-np.log(as_high / (1 + len(benign)))]),
        "decay": np.array(decay),
    }
