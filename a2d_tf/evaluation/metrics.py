"""How well scores separate adversarial from benign inputs (the paper, Section 5.2).

All functions but `mean_interval` take two 1-D arrays of scores, ``benign`` [N] and ``adversarial``
[M], where a higher score means "more adversarial". Only the order of the scores matters, so
infinite scores are allowed and NaN is not. Ties count half.
"""

from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score, roc_curve

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer[Any]]

# Upper bound on the elements of one bootstrap work array (8 MB each).
_CHUNK_ELEMENTS = 1_000_000


def auroc(benign: ArrayLike, adversarial: ArrayLike) -> float:
    """Area under the ROC curve: P(adversarial > benign) + P(equal) / 2.

    Args:
      benign: scores [N].
      adversarial: scores [M].

    Returns:
      A number in [0, 1]; 0.5 is chance.

    Raises:
      ValueError: an array is empty, not 1-D or contains NaN.
    """
    labels, ranks = _labels_and_ranks(benign, adversarial)
    return float(roc_auc_score(labels, ranks))


def auroc_interval(
    benign: ArrayLike,
    adversarial: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the AUROC, each class resampled on its own.

    Perfectly separated scores give (1, 1): resampling cannot show an overlap that the sample
    does not have.

    Args:
      benign: scores [N].
      adversarial: scores [M].
      level: coverage of the interval, in (0, 1).
      resamples: number of bootstrap samples.
      seed: the same seed gives the same interval.

    Returns:
      (lower, upper).

    Raises:
      ValueError: an array is empty, not 1-D or contains NaN; `level` or `resamples` is out of
        range.
    """
    if not 0 < level < 1:
        raise ValueError(f"expected level in (0, 1), got {level}")
    if resamples < 1:
        raise ValueError(f"expected at least one resample, got {resamples}")
    labels, ranks = _labels_and_ranks(benign, adversarial)
    benign_ranks, adversarial_ranks = ranks[labels == 0], ranks[labels == 1]
    distinct = int(ranks.max()) + 1
    rng = np.random.default_rng(seed)
    areas = np.empty(resamples)
    step = max(1, _CHUNK_ELEMENTS // ranks.size)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        areas[start:start + rows] = _areas(
            _resampled_counts(rng, benign_ranks, distinct, rows),
            _resampled_counts(rng, adversarial_ranks, distinct, rows),
        )
    tail = (1 - level) / 2
    lower, upper = np.quantile(areas, [tail, 1 - tail])
    return float(lower), float(upper)


def tpr_at_fpr(benign: ArrayLike, adversarial: ArrayLike, fpr: float) -> float:
    """Share of adversarial inputs detected while at most `fpr` of the benign ones are flagged.

    The threshold is the smallest one for which the share of benign scores strictly above it is
    at most `fpr`; an input is detected if its score is strictly above that threshold.

    Args:
      benign: scores [N].
      adversarial: scores [M].
      fpr: allowed false-positive rate, in [0, 1].

    Returns:
      The true-positive rate, in [0, 1].

    Raises:
      ValueError: an array is empty, not 1-D or contains NaN; `fpr` is out of range.
    """
    adversarial_scores = _checked(adversarial, "adversarial")
    threshold = threshold_for(benign, fpr)
    return 1.0 if fpr == 1 else float(np.mean(adversarial_scores > threshold))


def threshold_for(benign: ArrayLike, fpr: float) -> float:
    """The smallest threshold above which at most a share `fpr` of the benign scores lie.

    Args:
      benign: scores [N].
      fpr: allowed false-positive rate, in [0, 1].

    Returns:
      One of the scores, or minus infinity if all may lie above.

    Raises:
      ValueError: the array is empty, not 1-D or contains NaN; `fpr` is out of range.
    """
    if not 0 <= fpr <= 1:
        raise ValueError(f"expected fpr in [0, 1], got {fpr}")
    scores = _checked(benign, "benign")
    # The tolerance undoes float error: 0.29 * 100 is 28.999999999999996.
    allowed = int(np.floor(fpr * scores.size + 1e-9))
    return float(np.sort(scores)[::-1][allowed]) if allowed < scores.size else -np.inf


def roc(benign: ArrayLike, adversarial: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Points of the ROC curve, from (0, 0) to (1, 1).

    Args:
      benign: scores [N].
      adversarial: scores [M].

    Returns:
      (false-positive rates [P], true-positive rates [P]), both non-decreasing; collinear points
      are dropped.

    Raises:
      ValueError: an array is empty, not 1-D or contains NaN.
    """
    labels, ranks = _labels_and_ranks(benign, adversarial)
    fpr, tpr, _ = roc_curve(labels, ranks)
    return np.asarray(fpr, np.float64), np.asarray(tpr, np.float64)


def mean_interval(values: ArrayLike, level: float = 0.9) -> tuple[float, float]:
    """Mean of a sample and half the width of its confidence interval, by Student's t.

    Table 1 of the paper gives mean +- half width at level 0.9.

    Args:
      values: [N], finite.
      level: coverage of the interval, in (0, 1).

    Returns:
      (mean, half width); the latter is infinite for a single value.

    Raises:
      ValueError: no values, not 1-D or not finite; `level` is out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"expected level in (0, 1), got {level}")
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"expected a non-empty 1-D array of finite values, got {array!r}")
    if array.size == 1:
        return float(array[0]), float("inf")
    quantile = scipy.stats.t.ppf((1 + level) / 2, array.size - 1)
    return float(array.mean()), float(quantile * array.std(ddof=1) / np.sqrt(array.size))


def _checked(scores: ArrayLike, name: str) -> FloatArray:
    array = np.asarray(scores, np.float64)
    expected = f"expected {name} scores to be a non-empty 1-D array without NaN"
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{expected}, got shape {array.shape}")
    if np.isnan(array).any():
        raise ValueError(f"{expected}, got {np.isnan(array).sum()} NaN of {array.size}")
    return array


def _labels_and_ranks(benign: ArrayLike, adversarial: ArrayLike) -> tuple[IntArray, IntArray]:
    """Labels (1 = adversarial) and dense ranks, both [N + M]; equal scores share a rank."""
    benign_scores = _checked(benign, "benign")
    adversarial_scores = _checked(adversarial, "adversarial")
    labels = np.repeat([0, 1], [benign_scores.size, adversarial_scores.size])
    _, ranks = np.unique(
        np.concatenate([benign_scores, adversarial_scores]), return_inverse=True
    )
    return labels, ranks


def _resampled_counts(
    rng: np.random.Generator, ranks: IntArray, distinct: int, rows: int
) -> IntArray:
    """How often each rank occurs in each of `rows` bootstrap samples of `ranks`: [rows, distinct].

    Counting ranks replaces sorting every sample.
    """
    samples = ranks[rng.integers(ranks.size, size=(rows, ranks.size))]
    offsets = np.arange(rows)[:, None] * distinct
    counts = np.bincount((samples + offsets).ravel(), minlength=rows * distinct)
    return counts.reshape(rows, distinct)


def _areas(benign_counts: IntArray, adversarial_counts: IntArray) -> FloatArray:
    """AUROC of each row of two tables of counts per rank [R, D]: [R]."""
    below = np.cumsum(benign_counts, axis=1) - benign_counts / 2
    pairs = benign_counts.sum(axis=1) * adversarial_counts.sum(axis=1)
    return np.asarray((adversarial_counts * below).sum(axis=1) / pairs, np.float64)
