"""Accuracies of detectors that are fitted on benign and pooled adversarial costs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.detectors import Detector
from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.experiment_images import BENIGN
from a2d_tf.evaluation.splits import FIT, TEST


class Accuracy(NamedTuple):
    """Shares of right verdicts of a detector, at the threshold that its fit sets.

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
        """The mean over all types of input, benign among them."""
        return float(np.mean([self.benign, *self.by_threat.values()]))


def accuracy(
    data: ExperimentData,
    attacks: Sequence[str],
    detector: Detector,
    threats: Sequence[str],
    *,
    ratio: float = 1.0,
) -> Accuracy:
    """Fits a detector on costs and judges the test images of all threats.

    Args:
      data: the costs.
      attacks: the attacks whose costs the detector judges.
      detector: not yet fitted.
      threats: those to learn from, in equal parts, if the detector learns from any.
      ratio: adversarial inputs of the fit for each benign one.

    Raises:
      InvalidInputError: a threat has too few adversarial images for that ratio.
    """
    def costs(input_type: str, split: str) -> NDArray[np.int32]:
        return data.costs(input_type, split, attacks)

    benign = costs(BENIGN, FIT)
    part = round(ratio * len(benign) / len(threats))
    crafted = [costs(threat, FIT)[:part] for threat in threats]
    if short := [t for t, one in zip(threats, crafted) if len(one) < part]:
        raise InvalidInputError(
            f"expected {part} adversarial images of {', '.join(short)} for a ratio of {ratio:g}, "
            "got fewer; use fewer benign images or a smaller ratio"
        )
    columns = np.concatenate([benign, *(crafted if detector.learns_from_adversarial else [])])
    detector.fit(columns, np.arange(len(columns)) >= len(benign))
    return Accuracy(
        benign=float(1 - detector.predict(costs(BENIGN, TEST)).mean()),
        by_threat={
            threat: float(detector.predict(costs(threat, TEST)).mean())
            for threat in data.threats
        },
    )
