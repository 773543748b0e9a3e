"""What every cost detector is. Cost detectors see costs, never images or attacks."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf import files
from a2d_tf.calibration import threshold_at
from a2d_tf.errors import InvalidInputError, NotFittedError

# Below this, what a detector learns is an anecdote.
MIN_INPUTS = 10
Costs = NDArray[np.float64]
Self = TypeVar("Self", bound="CostDetector")


class Calibration(NamedTuple):
    """The false-positive rate that a threshold was set for, and by how many benign inputs."""

    fpr: float
    images: int

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As part of what a detector learned."""
        return {"calibration": np.array(self, np.float64)}


@dataclass(kw_only=True)
class CostDetector(abc.ABC):
    """Tells adversarial from benign inputs by their attack costs.

    `fit`, `score`, `calibrate` and `predict` are separate steps. Costs are an array [N, A],
    a row per input and a column per attack; [N] counts as a single column.
    """

    name: ClassVar[str]
    learns_from_adversarial: ClassVar[bool] = True
    # Whether a higher cost of any attack never raises the score, whatever was learned.
    falls_with_cost: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._fitted: dict[str, NDArray[Any]] = {}
        self.threshold = self.default_threshold

    @property
    @abc.abstractmethod
    def default_threshold(self) -> float:
        """The score above which `fit` lets `predict` call an input adversarial.

        The paper's where it names one; `calibrate` replaces it.
        """

    @abc.abstractmethod
    def check_counts(self, benign: int, adversarial: int) -> None:
        """Raises InvalidInputError if so many inputs of either kind are too few for a fit."""

    @abc.abstractmethod
    def _fit(self, costs: Costs, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        """What the detector learns from checked costs [N, A], as named arrays."""

    @abc.abstractmethod
    def _score(self, costs: Costs) -> Costs:
        """Scores [N] of checked costs [N, A]."""

    def fit(self: Self, costs: ArrayLike, is_adversarial: ArrayLike | None = None) -> Self:
        """Learns from the costs of inputs of known kind; forgets an earlier calibration.

        Args:
          costs: [N, A].
          is_adversarial: bool[N]; None if all are benign.

        Raises:
          InvalidInputError: costs or labels of the wrong shape or kind, or too few of them.
        """
        table = _table(costs)
        if is_adversarial is None:
            is_adversarial = np.zeros(len(table), np.bool_)
        kinds = np.asarray(is_adversarial, np.bool_)
        if kinds.shape != (len(table),):
            raise InvalidInputError(
                f"expected is_adversarial of shape [{len(table)}], got {list(kinds.shape)}"
            )
        self.check_counts(int((~kinds).sum()), int(kinds.sum()))
        order = np.lexsort((kinds, *table.T))  # so that the order given changes nothing
        learned = self._fit(table[order], kinds[order])
        self._fitted = {name: np.asarray(value) for name, value in learned.items()}
        self._fitted["columns"] = np.asarray(table.shape[1])
        self.threshold = self.default_threshold
        return self

    def score(self, costs: ArrayLike) -> NDArray[np.float32]:
        """Scores f32[N] of costs [N, A]; higher = more adversarial.

        Raises:
          NotFittedError: before `fit`.
          InvalidInputError: another number of columns than fitted.
        """
        self.require_fit()
        table = _table(costs)
        if not len(table):
            return np.zeros(0, np.float32)
        if table.shape[1] != self._fitted["columns"]:
            raise InvalidInputError(
                f"expected costs with {self._fitted['columns']} columns as in the fit, "
                f"got {table.shape[1]}"
            )
        return self._score(table).astype(np.float32)

    def calibrate(self: Self, benign_costs: ArrayLike, fpr: float) -> Self:
        """Sets the threshold to a wanted false-positive rate; see `calibration.threshold_at`.

        Args:
          benign_costs: [N, A] of benign inputs that took no part in the fit.
          fpr: the wanted rate, in (0, 1).

        Raises:
          NotFittedError: before `fit`.
          InvalidInputError: too few benign inputs for that rate.
        """
        scores = self.score(benign_costs)
        self.threshold = threshold_at(scores, fpr)
        self._fitted |= Calibration(fpr, len(scores)).arrays()
        return self

    def predict(self, costs: ArrayLike) -> NDArray[np.bool_]:
        """Verdicts bool[N], True = adversarial, of costs [N, A].

        Raises:
          NotFittedError: before `fit`.
        """
        return self.score(costs) > np.float32(self.threshold)

    def save(self, path: Path) -> None:
        """Writes settings, what was learned and the threshold to an .npz file."""
        self.require_fit()
        settings = {f"setting_{f.name}": getattr(self, f.name) for f in fields(self)}
        learned = {f"fitted_{name}": value for name, value in self._fitted.items()}
        files.save_npz(
            path, detector=self.name, threshold=self.threshold, **settings, **learned
        )

    @property
    def learned(self) -> Mapping[str, NDArray[Any]]:
        """What the fit found, as named arrays.

        Raises:
          NotFittedError: before `fit`.
        """
        self.require_fit()
        return self._fitted

    @property
    def calibration(self) -> Calibration | None:
        """What the threshold was set for; None for one that the fit set by default."""
        if "calibration" not in self._fitted:
            return None
        fpr, images = self._fitted["calibration"]
        return Calibration(float(fpr), int(images))

    def require_fit(self) -> None:
        """Raises NotFittedError before `fit`."""
        if not self._fitted:
            raise NotFittedError(
                f"expected a fitted {type(self).__name__}, got one that is not; call fit first"
            )


def require_both(benign: int, adversarial: int, what: str) -> None:
    """Raises InvalidInputError unless there are enough inputs of both kinds."""
    if min(benign, adversarial) < MIN_INPUTS:
        raise InvalidInputError(
            f"expected at least {MIN_INPUTS} benign and as many adversarial images to fit {what}, "
            f"got {benign} benign and {adversarial} adversarial"
        )


def load_detector(path: Path, registry: dict[str, type[CostDetector]]) -> CostDetector:
    """The cost detector that `save` wrote, out of a registry of known ones.

    Raises:
      InvalidInputError: the file is none of a cost detector.
    """
    stored = files.load_npz(path)
    try:
        kind = registry[str(stored["detector"])]
        detector = kind(**{f.name: stored[f"setting_{f.name}"].item() for f in fields(kind)})
        detector.threshold = float(stored["threshold"])
    except (KeyError, ValueError) as error:
        raise InvalidInputError(
            f"expected a saved cost detector at {path}, got something else; fit it again"
        ) from error
    detector._fitted = {
        name.removeprefix("fitted_"): value
        for name, value in stored.items() if name.startswith("fitted_")
    }
    return detector


def _table(costs: ArrayLike) -> Costs:
    table = np.asarray(costs, np.float64)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or table.shape[1] == 0:
        raise InvalidInputError(f"expected costs of shape [N, A], got {list(table.shape)}")
    if not np.isfinite(table).all() or (table < 0).any():
        raise InvalidInputError("expected finite costs >= 0, got negative, infinite or NaN ones")
    return table
