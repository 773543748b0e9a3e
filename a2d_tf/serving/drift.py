"""Whether live images are still like those that the threshold was set on, by their scores.

The threshold promises a false-positive rate for benign images like those of the calibration. Two
things break that promise or its use, and look different:

- Adversarial images among the others raise the share of flagged images, and leave the scores below
  the threshold as they were.
- Benign images that have drifted change the scores below the threshold too. The promised rate then
  no longer holds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

BINS = 10  # of the population stability index
LEAST_SHARE = 1e-4  # of a bin, so that an empty one has a logarithm
LEAST_IMAGES = 100  # below which nothing is said
ALARM_P = 1e-6  # a false alarm in a million windows of images like those of the calibration
Scores = NDArray[np.float64]


class Calibrated(NamedTuple):
    """What the a2d.json of an exported detector says of its threshold.

    Attributes:
      threshold: the score above which an image is flagged.
      fpr: the promised false-positive rate; None for a threshold without one.
      images: the number of benign images that set the threshold.
      scores: theirs f[n], or some of them at equal ranks from each other; none in old exports.
    """

    threshold: float
    fpr: float | None
    images: int
    scores: Scores


class Drift(NamedTuple):
    """Live scores beside those of the calibration; None where nothing is known.

    Attributes:
      images: live ones.
      flagged_share: of them.
      flagged_p: the probability of so many flagged images or more if all are benign and like those
        of the calibration.
      ks: the Kolmogorov-Smirnov distance of all scores.
      ks_below: that of the scores below the threshold.
      ks_below_p: the probability of such a distance or more between scores of one distribution.
      psi: the population stability index of all scores, in tenths of the calibration.
    """

    images: int
    flagged_share: float | None
    flagged_p: float | None
    ks: float | None
    ks_below: float | None
    ks_below_p: float | None
    psi: float | None

    @property
    def is_flagged_more(self) -> bool:
        """Whether more images are flagged than the promised rate explains."""
        return self.flagged_p is not None and self.flagged_p < ALARM_P

    @property
    def has_drifted(self) -> bool:
        """Whether unflagged images are unlike those of the calibration."""
        return self.ks_below_p is not None and self.ks_below_p < ALARM_P


def calibrated(settings: Mapping[str, Any]) -> Calibrated:
    """What a2d.json says of the threshold."""
    scores = np.asarray(settings.get("calibration_scores") or [], np.float64)
    return Calibrated(
        float(settings["threshold"]), settings.get("fpr"),
        int(settings.get("calibration_images") or 0), scores,
    )


def compare(known: Calibrated, live: Sequence[float]) -> Drift:
    """Live scores f[m] beside the calibration.

    With at least `LEAST_IMAGES` scores. The number of flagged images among m that are exchangeable
    with the n of the calibration has a beta-binomial distribution; the distance of Kolmogorov and
    Smirnov has the asymptotic one of two samples.
    """
    scores = np.asarray(live, np.float64)
    if len(scores) < LEAST_IMAGES:
        return Drift(len(scores), *[None] * 6)
    is_flagged = scores > known.threshold
    flagged = int(is_flagged.sum())
    flagged_p = None
    if known.fpr and known.images:
        above = _ranks_above(known)
        flagged_p = float(stats.betabinom.sf(
            flagged - 1, len(scores), above, known.images + 1 - above
        ))
    ks = below = below_p = psi = None
    if len(known.scores):
        ks = _distance(known.scores, scores)
        psi = _stability_index(known.scores, scores)
        theirs, ours = known.scores[known.scores <= known.threshold], scores[~is_flagged]
        if len(theirs) and len(ours) >= LEAST_IMAGES:
            below = _distance(theirs, ours)
            count = known.images * len(theirs) / len(known.scores)
            unsure = 0.0 if known.images <= len(known.scores) else 1 / len(theirs)
            scale = np.sqrt(count * len(ours) / (count + len(ours)))
            below_p = float(stats.kstwobign.sf(max(below - unsure, 0.0) * scale))
    return Drift(len(scores), flagged / len(scores), flagged_p, ks, below, below_p, psi)


def messages(known: Calibrated, drift: Drift) -> list[str]:
    """What is to be said of live scores, in lines; nothing if all is well."""
    lines = []
    if drift.has_drifted:
        promised = f"{known.fpr:g}" if known.fpr else "that is promised"
        lines.append(
            f"the scores of unflagged images differ from those of the calibration (distance "
            f"{drift.ks_below:.3f} over the last {drift.images} images): the false-positive rate "
            f"{promised} no longer holds; calibrate the detector on images of today"
        )
    if drift.is_flagged_more:
        lines.append(
            f"{drift.flagged_share:.1%} of the last {drift.images} images are flagged, where "
            f"{known.fpr:.1%} were promised for benign ones: an attack, or images that have drifted"
        )
    return lines


def _ranks_above(known: Calibrated) -> int:
    """How many of n + 1 ranks lie above the threshold; see `detectors.calibration`."""
    assert known.fpr
    return max(1, int(np.floor(round((known.images + 1) * known.fpr, 9))))


def _distance(known: Scores, live: Scores) -> float:
    return float(stats.ks_2samp(known, live, method="asymp").statistic)


def _stability_index(known: Scores, live: Scores) -> float:
    inner = np.unique(np.quantile(known, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    edges = np.array([-np.inf, *np.nextafter(inner, np.inf), np.inf])
    shares = [
        np.maximum(np.histogram(some, edges)[0] / len(some), LEAST_SHARE) for some in (known, live)
    ]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
