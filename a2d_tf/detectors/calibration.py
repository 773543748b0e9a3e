"""The threshold that gives a wanted false-positive rate, from benign scores."""

import math
import numbers
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.errors import InvalidInputError

KEPT_SCORES = 401  # of a calibration
CALIBRATION_SHARE = 3  # one in so many benign inputs sets the threshold


class Calibration(NamedTuple):
    """The false-positive rate that a threshold was set for, and the number of benign images."""

    fpr: float
    images: int


def calibrated(benign_scores: NDArray[np.float32], fpr: float) -> dict[str, Any]:
    """What a detector keeps of benign scores f32[N]: the threshold for a rate, and what set it.

    Raises:
      InvalidInputError: see `threshold_at`.
    """
    return {
        "threshold": threshold_at(benign_scores, fpr),
        "calibration": Calibration(float(fpr), len(benign_scores)),
        "calibration_scores": kept_scores(benign_scores),
    }


def training_and_calibration(
    benign: NDArray[np.float64], fpr: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two parts of benign columns, drawn at random: one to learn from, one for the threshold.

    About a third sets the threshold: the largest n up to there for which n + 1 times the rate is a
    whole number, since `threshold_at` rounds to one. The draw is the same on every machine,
    although sums are rounded differently there: the means of the columns seed it, to three digits.
    It depends on the values, since otherwise some ranks would always be in the same part, which
    would bias every detector alike.

    Args:
      benign: f64[N,D], in rising order.
      fpr: the wanted false-positive rate; N is at least twice its `least_count`.

    Returns:
      The proper training set f64[N-n,D] and the calibration set f64[n,D] of split conformal
      prediction (Papadopoulos et al. 2002).
    """
    largest = np.abs(benign).max(axis=0)
    means = np.round(benign.mean(axis=0) / np.where(largest > 0, largest, 1), 3) + 0.0  # no -0
    drawn = np.random.default_rng(zlib.crc32(means.tobytes())).permutation(benign)
    beyond = math.floor(round((len(benign) // CALIBRATION_SHARE + 1) * fpr, 9))
    count = _rounded_up(max(beyond, 1) / fpr - 1)
    return drawn[count:], drawn[:count]


def exceeds(score: Any, threshold: float) -> Any:
    """Which scores f32[n] are above a threshold, bool[n]; one that is not a number counts as such.

    It takes and gives NumPy arrays or tensors.
    """
    return ~(score <= np.float32(threshold))


def threshold_at(benign_scores: ArrayLike, fpr: float) -> float:
    """The threshold above which at most `fpr` of fresh benign scores are expected to lie.

    The (n+1)(1-fpr)-th smallest of n benign scores (split conformal prediction; Vovk 2005,
    section 2.2): exchangeable benign scores lie strictly above it with probability at most
    `fpr`, in finite samples and whatever their distribution.

    Args:
      benign_scores: f[N], higher = more adversarial; not the scores of the fit.
      fpr: the wanted false-positive rate, in (0, 1).

    Raises:
      InvalidInputError: a rate outside (0, 1), or too few scores to promise that rate.
    """
    scores = np.sort(np.asarray(benign_scores, np.float64))
    check_count(len(scores), fpr)
    return float(scores[_rounded_up((len(scores) + 1) * (1 - fpr)) - 1])


def kept_scores(benign_scores: ArrayLike) -> NDArray[np.float64]:
    """The scores f[N] in rising order, or `KEPT_SCORES` of them at ranks of equal distance.

    They tell later how benign scores were distributed when the threshold was set.
    """
    ranked = np.sort(np.asarray(benign_scores, np.float64))
    places = np.linspace(0, len(ranked) - 1, min(len(ranked), KEPT_SCORES))
    return ranked[places.round().astype(np.int64)]


def check_count(count: int, fpr: float) -> None:
    """Raises InvalidInputError if so many benign images cannot promise that rate."""
    needed = least_count(fpr)
    if count < needed:
        raise InvalidInputError(
            f"expected at least {needed} benign images to calibrate to a false-positive rate of "
            f"{fpr:g}, got {count}; give more images or a higher rate"
        )


def least_count(fpr: float) -> int:
    """The number of benign images without which no threshold can promise that rate.

    Raises:
      InvalidInputError: the rate is not in (0, 1).
    """
    if not isinstance(fpr, numbers.Real) or not 0 < fpr < 1:
        raise InvalidInputError(
            f"expected a false-positive rate in (0, 1), got {fpr!r}; give a share, such as 0.05"
        )
    return _rounded_up(1 / fpr - 1)


def _rounded_up(value: float) -> int:
    return math.ceil(round(value, 9))  # 0.99 x 100 must be 99, whatever the rounding error
