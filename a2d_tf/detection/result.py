"""Where columns become verdicts: what A2D says of images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.attacks.runner import Costs
from a2d_tf.checks import lookup
from a2d_tf.detection.state import DetectorState
from a2d_tf.detectors.calibration import exceeds
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import FeatureTable
from a2d_tf.images.spec import Labels


# What is said of an image that cannot be judged: it is flagged. The score is the largest number,
# and not infinity, which JSON cannot hold.
INVALID: Mapping[str, Any] = {
    "is_adversarial": True, "score": np.finfo(np.float32).max, "label": -1, "valid": False,
}


class Verdicts(NamedTuple):
    """The verdicts on N images, and no more.

    Attributes:
      is_adversarial: bool[N].
      valid: bool[N], whether each image could be judged; see `Detection`.
    """

    is_adversarial: Any
    valid: Any


@dataclass(frozen=True, eq=False, repr=False)
class Detection:
    """What A2D says of N images. `len` gives N, and `detection["bim"]` a column by its name.

    An image is invalid if the classifier's outputs for it, a gradient of an attack or a column is
    not finite, or if the gradient at the image itself is exactly zero, as where the classifier is
    saturated: no attack can tell how robust such an image is. It is flagged as adversarial, with
    the label -1 and the largest score, and changes nothing for other images.

    Attributes:
      is_adversarial: bool[N], the verdicts.
      score: f32[N]; higher means more adversarial.
      columns: f64[N,D], what was measured of the images; NaN where that failed.
      column_names: the names of the columns.
      cost_names: the names of those columns that are costs of attacks.
      label: i64[N], what the classifier predicts.
      valid: bool[N], whether the image could be judged; all are if nothing is given.
      counted_names: those of the costs that count iterations; all do if nothing is given.
    """

    is_adversarial: NDArray[np.bool_]
    score: NDArray[np.float32]
    columns: NDArray[np.float64]
    column_names: Sequence[str]
    cost_names: Sequence[str]
    label: Labels
    valid: NDArray[np.bool_] = None  # type: ignore[assignment]
    counted_names: Sequence[str] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.valid is None:
            object.__setattr__(self, "valid", np.ones(len(self.label), np.bool_))
        if self.counted_names is None:
            object.__setattr__(self, "counted_names", tuple(self.cost_names))

    @property
    def costs(self) -> Costs:
        """The costs of the attacks, i32[N,A] in iterations; f64[N,A] if not all are counts.

        They are 0 for an invalid image.
        """
        places = [list(self.column_names).index(name) for name in self.cost_names]
        every = np.where(self.valid[:, None], self.columns[:, places], 0)
        return every.astype(np.int32) if len(self.counted_names) == len(places) else every

    def to_frame(self, names: Sequence[str] | None = None) -> Any:
        """A pandas DataFrame with a row per image: label, score, verdict, validity, all columns.

        Args:
          names: N names of the images, for the index.

        Raises:
          InvalidInputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InvalidInputError(
                "expected pandas to be installed for to_frame, got none; pip install pandas"
            ) from error
        return pandas.DataFrame(
            {"label": self.label, "score": self.score, "is_adversarial": self.is_adversarial,
             "valid": self.valid}
            | {name: self[name] for name in self.column_names},
            index=names,
        )

    def table(self, names: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
        """A header and a row per image, for a CSV file.

        Args:
          names: N names of the images.
        """
        measured = {name: np.where(self.valid, self[name], 0) for name in self.cost_names}
        costs = [
            values.astype(np.int32) if name in self.counted_names else values
            for name, values in measured.items()
        ]
        others = [name for name in self.column_names if name not in self.cost_names]
        header = ["image", "label", "score", "is_adversarial", "valid"]
        header += [f"cost_{name}" for name in self.cost_names] + others
        rows = [
            [name, self.label[index], self.score[index], int(self.is_adversarial[index]),
             int(self.valid[index]), *(values[index] for values in costs),
             *(self[other][index] for other in others)]
            for index, name in enumerate(names)
        ]
        return header, rows

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        places = {name: place for place, name in enumerate(self.column_names)}
        return self.columns[:, lookup(places, name, "a column")]

    def __repr__(self) -> str:
        invalid = int((~self.valid).sum())
        return (
            f"Detection({int(self.is_adversarial.sum())} of {len(self)} images adversarial"
            f"{f', {invalid} of these invalid' if invalid else ''}; "
            f"columns {', '.join(self.column_names)})"
        )


def detect(state: DetectorState, table: FeatureTable) -> Detection:
    """The verdicts on images whose features were measured: flagged if score > threshold."""
    values = table.values if len(table) else np.zeros((0, state.width))
    score, valid = score_known(state.detector.score, state.oriented(values), table.valid)
    return Detection(
        is_adversarial=exceeds(score, state.detector.threshold) | ~valid,
        score=score,
        columns=values,
        column_names=tuple(state.column_names),
        cost_names=tuple(state.cost_names),
        counted_names=tuple(state.counted_names),
        label=np.where(valid, table.labels, INVALID["label"]),
        valid=valid,
    )


def score_known(
    score: Callable[[NDArray[np.float64]], NDArray[np.float32]],
    columns: NDArray[np.float64],
    known: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Scores f32[N], the largest one for images that cannot be judged; and which can be, bool[N].

    Args:
      score: a detector's, of columns f64[N,D].
      columns: f64[N,D].
      known: bool[N], whether the columns of each image are finite.
    """
    found = score(np.where(known[:, None], columns, 0.0))
    valid = known & np.isfinite(found)
    return np.where(valid, found, np.float32(INVALID["score"])), valid
