"""The profile detector: a row of columns that is too low somewhere, or unusual as a whole."""

import zlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from a2d_tf import checks
from a2d_tf.detectors import trees
from a2d_tf.detectors.base import MIN_INPUTS, Calibration, Columns, Detector, is_cost_like
from a2d_tf.detectors.calibration import check_count, kept_scores, threshold_at
from a2d_tf.detectors.conformal import interpolate
from a2d_tf.errors import InvalidInputError

PARTS = 4  # of the benign images: two are learned from, one gives p-values, one the threshold
LEAST = 1e-3  # of a column's median is added to it before the logarithm
TAIL = 0.1  # the share of the largest benign statistics that tell how fast p-values fall


@dataclass(kw_only=True, eq=False)
class Profile(Detector):
    """Benign images alone, many columns, and two questions: is one too low, are they unusual?

    - One-sided: the lowest column, of logarithms that are scaled by their benign mean and standard
      deviation. It sees inputs that are close to some boundary, as the cost of an attack does.
    - Two-sided: an isolation forest (Liu et al. 2008, scikit-learn's) over all scaled columns. It
      sees inputs that are farther from all boundaries than benign ones, too.

    Each answer becomes a p-value among benign images that were not learned from; beyond the most
    extreme of them, an exponential tail goes on. The score is the larger of the two -log p, which
    is Bonferroni's combination: what one answer knows the other one cannot drown. The threshold is
    the split-conformal one, from benign images that took part in nothing before. No distribution
    is assumed: the false-positive rate on fresh benign images is at most `fpr` on average.

    Columns that are never negative are taken for costs, and their logarithms are judged. The
    detector takes columns of which neither low nor high values are known to be adversarial, as
    those of `features.DirectionCosts`.

    Attributes:
      fpr: the false-positive rate that `fit` sets; `calibrate` sets another.
      seed: seed of the forest's growth.
    """

    name: ClassVar[str] = "profile"
    learns_from_adversarial: ClassVar[bool] = False
    is_two_sided: ClassVar[bool] = True
    fpr: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        checks.number(self.fpr, "Profile's fpr", maximum=1)
        checks.integer(self.seed, "a seed", minimum=0, maximum=2**32 - 1)

    @property
    def default_threshold(self) -> float:
        return np.inf

    def check_counts(self, benign: int, adversarial: int) -> None:
        try:
            check_count(benign // PARTS, self.fpr)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"{error} ({benign} in all, of which a quarter set the threshold)"
            ) from error
        if benign < PARTS * MIN_INPUTS:
            raise InvalidInputError(
                f"expected at least {PARTS * MIN_INPUTS} benign images to fit a profile, got "
                f"{benign}; give more of them"
            )

    def _fit(self, columns: Columns, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        benign = columns[~is_adversarial]
        # Drawn by their values, as in `Conformal`.
        benign = np.random.default_rng(zlib.crc32(benign.tobytes())).permutation(benign)
        known, ranked, fresh = benign[::2], benign[1::PARTS], benign[3::PARTS]
        least = LEAST * np.median(known, axis=0)
        # 0 stands for a column that is taken as it is.
        shift = np.where(is_cost_like(known), np.where(least == 0, 1.0, least), 0.0)
        logarithms = _logarithms(tf.constant(known), shift).numpy()
        deviation = logarithms.std(axis=0)
        scale = {
            "shift": shift, "mean": logarithms.mean(axis=0),
            "deviation": np.where(deviation > 0, deviation, 1.0),  # of a constant column
        }
        scaled = _scaled(tf.constant(known), scale).numpy()
        forest = IsolationForest(random_state=self.seed).fit(scaled.astype(np.float32))
        grown = [one.tree_ for one in forest.estimators_]
        learned = scale | trees.tables(grown, [_path_lengths(tree) for tree in grown])
        for name, statistic in _statistics(tf.constant(ranked), learned).items():
            learned |= _tail(name, statistic.numpy())
        scores = _surprise(tf.constant(fresh), learned).numpy().astype(np.float32)
        return learned | {
            "threshold": threshold_at(scores, self.fpr),
            "calibration": Calibration(self.fpr, len(scores)),
            "calibration_scores": kept_scores(scores),
        }

    def _score(self, columns: tf.Tensor) -> tf.Tensor:
        return _surprise(columns, self.learned)


def _logarithms(columns: tf.Tensor, shift: NDArray[np.float64]) -> tf.Tensor:
    """Logarithms f64[n,D] of columns f64[n,D] that have a shift, and the others as they are."""
    is_cost = shift > 0
    shifted = tf.maximum(columns, 0.0) + np.where(is_cost, shift, 1.0)
    return tf.where(is_cost, tf.math.log(shifted), columns)


def _scaled(columns: tf.Tensor, learned: dict[str, Any]) -> tf.Tensor:
    logarithms = _logarithms(columns, learned["shift"])
    return (logarithms - learned["mean"]) / learned["deviation"]


def _statistics(columns: tf.Tensor, learned: dict[str, Any]) -> dict[str, tf.Tensor]:
    """Two numbers f64[n] of columns f64[n,D], each the higher the less benign."""
    scaled = _scaled(columns, learned)
    # A short way to a leaf is that of an input that few splits set apart.
    return {
        "lowest": -tf.reduce_min(scaled, axis=1), "unusual": -trees.mean_of_leaves(scaled, learned)
    }


def _surprise(columns: tf.Tensor, learned: dict[str, Any]) -> tf.Tensor:
    """The larger -log p f64[n] of the statistics of columns f64[n,D]."""
    parts = []
    for name, statistic in _statistics(columns, learned).items():
        places, heights = learned[f"{name}_places"], learned[f"{name}_heights"]
        beyond = tf.maximum(statistic - places[-1], 0.0) / float(learned[f"{name}_decay"])
        parts.append(interpolate(statistic, places, heights) + beyond)
    return tf.maximum(*parts)


def _tail(name: str, benign: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The -log p of benign statistics f64[N], between which straight lines are drawn.

    p is the share of them that are as high, the input itself among them. Beyond the highest, -log p
    rises by 1 in each mean excess over the (1 - `TAIL`)-quantile, as for an exponential tail.
    """
    values, counts = np.unique(benign, return_counts=True)
    as_high = 1 + np.cumsum(counts[::-1])[::-1]
    start = np.quantile(benign, 1 - TAIL)
    decay = float((benign[benign >= start] - start).mean()) or float(benign.std()) or 1.0
    return {
        f"{name}_places": np.array([values[0] - decay, *values]),
        f"{name}_heights": np.array([0.0, *-np.log(as_high / (1 + len(benign)))]),
        f"{name}_decay": np.array(decay),
    }


def _path_lengths(tree: Any) -> NDArray[np.float64]:
    """The depth of each node of a tree, and what a search among its images would add to it."""
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # a parent comes before its children
        for child in (tree.children_left[node], tree.children_right[node]):
            if child != trees.LEAF:
                depth[child] = depth[node] + 1
    return depth + _average_path(tree.n_node_samples)


def _average_path(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean depth of an unsuccessful search among n values (Liu et al. 2008, equation 1)."""
    many = np.maximum(counts, 3).astype(np.float64)
    harmonic = np.log(many - 1) + np.euler_gamma
    return np.where(counts <= 1, 0.0, np.where(
        counts == 2, 1.0, 2 * harmonic - 2 * (many - 1) / many
    ))
