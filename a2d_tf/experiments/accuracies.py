"""Accuracies of detectors that are fitted on benign and pooled adversarial costs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.detectors import CostDetector
from a2d_tf.errors import InvalidInputError
from a2d_tf.experiments.evidence import BENIGN, FIT, TEST, Evidence


class Accuracy(NamedTuple):
    """Shares of inputs that a detector judges rightly, at the threshold that its fit sets.

    Attributes:
      benign: of the benign test images.
      by_threat: of each threat's test images.
    """

    benign: float
    by_threat: dict[str, float]

    @property
    def adversarial(self) -> float:
        """The mean over the threats."""
        return float(np.mean(list(self.by_threat.values())))

    @property
    def mean(self) -> float:
        """The mean over the kinds of input, benign among them."""
        return float(np.mean([self.benign, *self.by_threat.values()]))


def accuracy(
    evidence: Evidence,
    attacks: Sequence[str],
    detector: CostDetector,
    threats: Sequence[str],
    *,
    ratio: float = 1.0,
) -> Accuracy:
    """Fits a detector on costs and judges the test images of all threats.

    Args:
      evidence: the costs.
      attacks: those whose costs the detector sees.
      detector: not yet fitted.
      threats: those to learn from, in equal parts, if the detector learns from any.
      ratio: adversarial inputs of the fit for each benign one.

    Raises:
      InvalidInputError: a threat has too few adversarial images for that ratio.
    """
    def costs(kind: str, split: str) -> NDArray[np.int32]:
        return evidence.costs(kind, split, attacks)

    benign = costs(BENIGN, FIT)
    part = round(ratio * len(benign) / len(threats))
    crafted = [costs(threat, FIT)[:part] for threat in threats]
    if short := [t for t, one in zip(threats, crafted) if len(one) < part]:
        raise InvalidInputError(
            f"expected {part} adversarial images of {', '.join(short)} for a ratio of {ratio:g}, "
            "got fewer; use fewer benign images or a smaller ratio"
        )
    seen = np.concatenate([benign, *(crafted if detector.learns_from_adversarial else [])])
    detector.fit(seen, np.arange(len(seen)) >= len(benign))
    return Accuracy(
        benign=float(1 - detector.predict(costs(BENIGN, TEST)).mean()),
        by_threat={
            threat: float(detector.predict(costs(threat, TEST)).mean())
            for threat in evidence.threats
        },
    )
