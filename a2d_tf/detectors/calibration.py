"""The threshold that gives a wanted false-positive rate, from benign scores."""

import math
import numbers

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.errors import InvalidInputError

KEPT_SCORES = 401  # of a calibration


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
        raise InvalidInputError(f"expected a false-positive rate in (0, 1), got {fpr!r}")
    return _rounded_up(1 / fpr - 1)


def _rounded_up(value: float) -> int:
    return math.ceil(round(value, 9))  # 0.99 x 100 must be 99, whatever the rounding error
