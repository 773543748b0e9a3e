"""What is counted of requests, in Prometheus' text format."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from a2d_tf.scoring.ray_session import import_ray
from a2d_tf.serving import drift

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SCORE_RANKS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)  # of the calibration: edges of a histogram


@dataclass
class Report:
    """What a replica has answered since its last report.

    Attributes:
      requests: the signature, the HTTP status and the seconds of each.
      batches: the number of images that were judged at once.
      images, flagged, invalid: numbers of images.
      scores: of images that could be judged.
    """

    requests: list[tuple[str, int, float]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    images: int = 0
    flagged: int = 0
    invalid: int = 0
    scores: list[float] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.requests or self.batches)


class Metrics:
    """The sums of all reports, and the last scores beside those of the calibration.

    Args:
      known: the calibration.
      window: the number of scores that are compared with it.
    """

    def __init__(self, known: drift.Calibrated, window: int):
        prometheus = import_ray("prometheus_client")
        prometheus.disable_created_metrics()
        self._known = known
        self._last: deque[float] = deque(maxlen=window)
        self._registry = prometheus.CollectorRegistry()
        made: dict[str, Any] = {"registry": self._registry}
        self._requests = prometheus.Counter(
            "a2d_requests", "Requests for verdicts.", ["signature", "code"], **made
        )
        self._seconds = prometheus.Histogram(
            "a2d_request_seconds", "From the body of a request to its answer.", ["signature"],
            buckets=SECONDS, **made,
        )
        self._batches = prometheus.Histogram(
            "a2d_batch_images", "Images that were judged at once.", buckets=BATCHES, **made
        )
        self._images = prometheus.Counter("a2d_images", "Images that were judged.", **made)
        self._flagged = prometheus.Counter("a2d_flagged", "Images that were flagged.", **made)
        self._invalid = prometheus.Counter(
            "a2d_invalid", "Flagged images that cannot be judged.", **made
        )
        self._scores = prometheus.Histogram(
            "a2d_score", "Scores; edges are ranks of the calibration, and the threshold.",
            buckets=_edges(known), **made,
        )
        self._gauges = {
            name: prometheus.Gauge(f"a2d_{name}", text, **made) for name, text in (
                ("threshold", "The score above which an image is flagged."),
                ("promised_rate", "The false-positive rate that the threshold was set for."),
                ("window_images", "Scores that are compared with the calibration."),
                ("window_flagged_share", "The share of flagged images among them."),
                ("score_ks", "Kolmogorov-Smirnov distance of scores from the calibration."),
                ("score_ks_below_threshold", "The same, of unflagged images alone."),
                ("score_psi", "Population stability index of scores."),
                ("drift_warning", "1 if unflagged images are unlike those of the calibration."),
                ("flagged_warning", "1 if more images are flagged than the rate explains."),
            )
        }
        self._text = prometheus.generate_latest

    def add(self, report: Report) -> None:
        """Adds what a replica has answered."""
        for signature, code, seconds in report.requests:
            self._requests.labels(signature, str(code)).inc()
            self._seconds.labels(signature).observe(seconds)
        for batch in report.batches:
            self._batches.observe(batch)
        self._images.inc(report.images)
        self._flagged.inc(report.flagged)
        self._invalid.inc(report.invalid)
        for score in report.scores:
            self._scores.observe(score)
        self._last.extend(report.scores)

    def text(self) -> bytes:
        """All metrics."""
        found = drift.compare(self._known, self._last)
        for name, value in {
            "threshold": self._known.threshold, "promised_rate": self._known.fpr,
            "window_images": found.images, "window_flagged_share": found.flagged_share,
            "score_ks": found.ks, "score_ks_below_threshold": found.ks_below,
            "score_psi": found.psi, "drift_warning": float(found.has_drifted),
            "flagged_warning": float(found.is_flagged_more),
        }.items():
            self._gauges[name].set(np.nan if value is None else value)
        content: bytes = self._text(self._registry)
        return content

    def messages(self) -> list[str]:
        """Warnings in words."""
        return drift.messages(self._known, drift.compare(self._known, self._last))


def _edges(known: drift.Calibrated) -> list[float]:
    ranks = np.quantile(known.scores, SCORE_RANKS).tolist() if len(known.scores) else []
    return sorted({float(edge) for edge in (*ranks, known.threshold) if np.isfinite(edge)})
