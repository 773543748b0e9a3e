"""Where columns become verdicts: what A2D says of images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2d_tf.attacks.runner import Costs
from a2d_tf.checks import lookup
from a2d_tf.detection.state import DetectorState
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import FeatureTable
from a2d_tf.images.spec import Labels


@dataclass(frozen=True, eq=False, repr=False)
class Detection:
    """What A2D says of N images. `len` gives N, and `detection["bim"]` a column by its name.

    Attributes:
      is_adversarial: bool[N], the verdicts.
      score: f32[N]; higher means more adversarial.
      columns: f64[N,D], what was measured of the images.
      column_names: the names of the columns.
      cost_names: the names of those columns that are costs of attacks.
      counted_names: those of the costs that count iterations.
      label: i64[N], what the classifier predicts.
    """

    is_adversarial: NDArray[np.bool_]
    score: NDArray[np.float32]
    columns: NDArray[np.float64]
    column_names: Sequence[str]
    cost_names: Sequence[str]
    counted_names: Sequence[str]
    label: Labels

    @property
    def costs(self) -> Costs:
        """The costs of the attacks, i32[N,A] in iterations; f64[N,A] if not all are counts."""
        places = [list(self.column_names).index(name) for name in self.cost_names]
        every = self.columns[:, places]
        return every.astype(np.int32) if len(self.counted_names) == len(places) else every

    def to_frame(self, names: Sequence[str] | None = None) -> Any:
        """A pandas DataFrame with a row per image: label, score, verdict and all columns.

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
            {"label": self.label, "score": self.score, "is_adversarial": self.is_adversarial}
            | {name: self[name] for name in self.column_names},
            index=names,
        )

    def table(self, names: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
        """A header and a row per image, for a CSV file.

        Args:
          names: N names of the images.
        """
        costs = [
            self[name].astype(np.int32) if name in self.counted_names else self[name]
            for name in self.cost_names
        ]
        others = [name for name in self.column_names if name not in self.cost_names]
        header = ["image", "label", "score", "is_adversarial"]
        header += [f"cost_{name}" for name in self.cost_names] + others
        rows = [
            [name, self.label[index], self.score[index], int(self.is_adversarial[index]),
             *(values[index] for values in costs), *(self[other][index] for other in others)]
            for index, name in enumerate(names)
        ]
        return header, rows

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        places = {name: place for place, name in enumerate(self.column_names)}
        return self.columns[:, lookup(places, name, "a column")]

    def __repr__(self) -> str:
        return (
            f"Detection({int(self.is_adversarial.sum())} of {len(self)} images adversarial; "
            f"columns {', '.join(self.column_names)})"
        )


def detect(state: DetectorState, table: FeatureTable) -> Detection:
    """The verdicts on images whose features were measured: flagged if score > threshold."""
    values = table.values if len(table) else np.zeros((0, state.width))
    score = state.detector.score(state.oriented(values))
    return Detection(
        is_adversarial=score > np.float32(state.detector.threshold),
        score=score,
        columns=values,
        column_names=tuple(state.column_names),
        cost_names=tuple(state.cost_names),
        counted_names=tuple(state.counted_names),
        label=table.labels,
    )
