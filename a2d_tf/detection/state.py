"""What a fitted A2D consists of: a classifier, features and a detector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2d_tf.classifiers import Classifier
from a2d_tf.detectors import Detector
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import AttackCost, Feature
from a2d_tf.features.base import Side


@dataclass(frozen=True, eq=False)
class DetectorState:
    """A fitted A2D; nothing of it can be changed.

    Attributes:
      classifier: the classifier whose inputs are judged.
      features: what is measured of an input, by name, each fitted.
      detector: judges the columns of all features, fitted.
      columns: the names of the columns of each feature.
      order: the names of the features, in the order in which they are measured if only verdicts
        are wanted.
    """

    classifier: Classifier
    features: Mapping[str, Feature]
    detector: Detector
    columns: Mapping[str, Sequence[str]]
    order: Sequence[str]

    @property
    def width(self) -> int:
        """D, the number of all columns."""
        return sum(len(names) for names in self.columns.values())

    @property
    def column_names(self) -> list[str]:
        """The names of all columns, in their order."""
        return [name for names in self.columns.values() for name in names]

    @property
    def cost_names(self) -> list[str]:
        """The features that are costs of attacks."""
        return [
            name for name, feature in self.features.items() if isinstance(feature, AttackCost)
        ]

    @property
    def counted_names(self) -> list[str]:
        """Those costs that count iterations; another is a number, as that of `FirstOrder`."""
        return [
            name for name, feature in self.features.items()
            if isinstance(feature, AttackCost)
            and np.issubdtype(feature.attack.cost_dtype, np.integer)
        ]

    def column_slice(self, feature: str) -> slice:
        """Where the columns of a feature are among all columns."""
        start = 0
        for name, names in self.columns.items():
            if name == feature:
                return slice(start, start + len(names))
            start += len(names)
        raise KeyError(feature)

    def oriented(self, values: Any) -> Any:
        """Columns f64[n,D] as the detector takes them: lower for adversarial inputs.

        It takes and gives NumPy arrays or tensors.
        """
        return values * orientation(self.features, self.columns)


def orientation(
    features: Mapping[str, Feature], columns: Mapping[str, Sequence[str]]
) -> NDArray[np.float64]:
    """-1 for each column f64[D] that is higher for adversarial inputs, 1 for the others."""
    return np.where(np.array(_sides(features, columns)) == "high", -1.0, 1.0)


def fit_detector(
    detector: Detector, features: Mapping[str, Feature], columns: Mapping[str, Sequence[str]],
    values: NDArray[np.float64], is_adversarial: NDArray[np.bool_],
) -> Detector:
    """Fits a detector on columns f64[N,D] as they were measured; gives it back."""
    oriented = values * orientation(features, columns)
    return detector.fit_sided(oriented, is_adversarial, _sides(features, columns))


def _sides(features: Mapping[str, Feature], columns: Mapping[str, Sequence[str]]) -> list[Side]:
    """On which side each column is for adversarial inputs."""
    return [
        side for name, feature in features.items() for side in feature.sides(len(columns[name]))
    ]


def check_combination(features: Mapping[str, Feature | str], detector: Detector) -> None:
    """Raises InvalidInputError if the detector cannot judge columns of these features.

    A name in place of a feature is that of an attack, whose cost is low for adversarial inputs.
    """
    sides = {
        name: feature.adversarial_is if isinstance(feature, Feature) else "low"
        for name, feature in features.items()
    }
    both = [name for name, side in sides.items() if side == "either"]
    if both and not (detector.learns_from_adversarial or detector.is_two_sided):
        raise InvalidInputError(
            f"expected a detector that weighs its columns for {', '.join(both)}, got "
            f"{detector.name}, which takes each column for a cost; choose profile, or one that "
            "learns from adversarial images"
        )
    classes = [name for name, side in sides.items() if side == "class"]
    if classes and not detector.judges_by_class:
        raise InvalidInputError(
            f"expected a detector that judges each class by itself for {', '.join(classes)}, got "
            f"{detector.name}; choose profile, or leave the class out"
        )
    if classes and (len(classes) > 1 or len(classes) == len(sides)):
        raise InvalidInputError(
            "expected the predicted class once, beside another feature, got "
            f"{', '.join(sides)}; name what else is measured, such as response"
        )
