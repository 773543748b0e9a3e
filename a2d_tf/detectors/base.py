"""What every detector is: how it is fitted, how it scores, and when it flags an image."""

import abc
import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags

from a2d_tf.detectors.calibration import Calibration, calibrated, exceeds
from a2d_tf.detectors.columns import Columns, checked_columns, checked_labels
from a2d_tf.errors import DetectorWarning, InvalidInputError, NotFittedError
from a2d_tf.storage import files

Self = TypeVar("Self", bound="Detector")


@dataclasses.dataclass(kw_only=True, eq=False)
class Detector(ClassifierMixin, BaseEstimator, abc.ABC):  # type: ignore[misc]
    """Tells adversarial from benign inputs by columns of numbers, a row for each input.

    A column is lower for adversarial inputs than for benign ones, as the cost of an attack is,
    unless the detector learns from both kinds. `fit`, `score`, `calibrate` and `predict` are
    separate steps. Columns are an array [N, D]; [N] counts as a single column.

    A detector is an estimator of scikit-learn. Its settings cannot be changed but by `set_params`,
    which forgets the fit. What it learned is in attributes that end in an underscore:

    Attributes:
      threshold_: the score above which an input is flagged as adversarial.
      calibration_: what the threshold was set for; None for the default threshold.
      n_features_in_: D of the fit.
      classes_: [False, True], the verdicts.
    """

    name: ClassVar[str]
    learns_from_adversarial: ClassVar[bool] = True
    # Whether it judges columns of which it is not known on which side adversarial inputs lie.
    is_two_sided: ClassVar[bool] = False
    # Whether it can take the predicted class among its columns, and judges each class by itself.
    judges_by_class: ClassVar[bool] = False
    # Whether a higher value of any column never raises the score, whatever was learned.
    is_monotone: ClassVar[bool] = False
    # Whether the scores depend on the fit; if not, the fit sets the threshold only.
    scores_depend_on_fit: ClassVar[bool] = True
    rows_at_once: ClassVar[int] = 4096  # bounds the memory of `score`
    # Whether the fit sets the threshold for a false-positive rate, its setting `fpr`.
    calibrates_itself: ClassVar[bool] = False
    # Whether scores are computed by one compiled graph in Python too, which pays for a detector of
    # many small operations.
    is_compiled: ClassVar[bool] = False

    if TYPE_CHECKING:  # what a fit learns is set by name
        def __getattr__(self, name: str) -> Any: ...

    @property
    @abc.abstractmethod
    def default_threshold(self) -> float:
        """The threshold after `fit`: the paper's where it names one. `calibrate` replaces it."""

    @abc.abstractmethod
    def check_counts(self, benign: int, adversarial: int) -> None:
        """Raises InvalidInputError if so many inputs of either kind are too few for a fit."""

    @abc.abstractmethod
    def _fit(self, columns: Columns, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        """What the detector learns from checked columns [N, D], as named arrays.

        They become attributes with an underscore at the end. `threshold` and `calibration` replace
        the default threshold.
        """

    @abc.abstractmethod
    def _score(self, columns: tf.Tensor) -> tf.Tensor:
        """Scores f64[n] of checked columns f64[n, D], by TensorFlow operations."""

    def fit(self: Self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learns from the columns of inputs; forgets an earlier fit and calibration.

        Args:
          X: columns [N, D].
          y: bool[N], which inputs are adversarial; None if all are benign.

        Raises:
          InvalidInputError: columns or labels of the wrong shape or type, or too few of them.
        """
        columns = checked_columns(X)
        is_adversarial = checked_labels(y, len(columns))
        self._learn(columns, is_adversarial)
        self._warn_if_blind()
        return self

    def _learn(self, columns: Columns, is_adversarial: NDArray[np.bool_]) -> None:
        self.check_counts(int((~is_adversarial).sum()), int(is_adversarial.sum()))
        order = np.lexsort((is_adversarial, *columns.T))  # the order of the inputs changes nothing
        learned = self._fit(columns[order], is_adversarial[order])
        self._forget()
        self.n_features_in_ = columns.shape[1]
        self.classes_ = np.array([False, True])
        self._keep({"threshold": self.default_threshold, "calibration": None} | learned)
        self._suspects = self._find_suspects(columns, is_adversarial)

    def _keep(self, learned: dict[str, Any]) -> None:
        """Sets what a fit or a calibration found, by name."""
        self.threshold_ = float(learned.pop("threshold"))
        self.calibration_: Calibration | None = learned.pop("calibration")
        for name, value in learned.items():
            setattr(self, f"{name}_", np.asarray(value))

    def _find_suspects(self, columns: Columns, is_adversarial: NDArray[np.bool_]) -> Columns:
        """Inputs [n,D] some of which must be flagged, or the detector flags nothing at all."""
        if self.learns_from_adversarial:
            return columns[is_adversarial]
        benign = columns[~is_adversarial]
        low, high, width = benign.min(axis=0), benign.max(axis=0), np.ptp(benign, axis=0)
        return np.stack([np.where(low >= 0, 0.0, low - width), high + width])

    def _warn_if_blind(self) -> None:
        suspects: Columns | None = getattr(self, "_suspects", None)  # none after a load
        if suspects is not None and not self.predict(suspects).any():
            what = (
                f"none of the {len(suspects)} adversarial inputs that it was fitted on"
                if self.learns_from_adversarial else "no input, whatever its columns"
            )
            warnings.warn(
                f"{self!r} flags {what}: the threshold is {self.threshold:g}; {self._advice()}",
                DetectorWarning, stacklevel=4,
            )

    def _advice(self) -> str:
        """What to do if the detector flags nothing."""
        return "calibrate it to a false-positive rate, or choose other features or settings"

    def fit_sided(self: Self, X: ArrayLike, y: ArrayLike, sides: Sequence[str]) -> Self:
        """As `fit`, for columns of which it may not be known on which side adversarial inputs lie.

        A detector that makes use of that overrides this method, and says `is_two_sided`.

        Args:
          X: columns [N, D].
          y: bool[N], which inputs are adversarial.
          sides: of each column; "either" if the side is not known, and "class" for the predicted
            class. The others are low for adversarial inputs.
        """
        return self.fit(X, y)

    @overload
    def score(self, X: ArrayLike) -> NDArray[np.float32]: ...

    @overload
    def score(self, X: ArrayLike, y: ArrayLike) -> float: ...

    def score(self, X: ArrayLike, y: ArrayLike | None = None) -> NDArray[np.float32] | float:
        """Scores f32[N] of columns [N, D]; higher means more adversarial.

        With labels y bool[N], the share of right verdicts instead, as scikit-learn's tools need.

        Raises:
          NotFittedError: before `fit`.
          InvalidInputError: another number of columns than in the fit.
        """
        self.require_fit()
        columns = checked_columns(X)
        if y is not None:
            return float((self.predict(X) == checked_labels(y, len(columns))).mean())
        if columns.shape[1] != self.n_features_in_:
            raise InvalidInputError(
                f"expected {self.n_features_in_} columns as in the fit, got {columns.shape[1]}"
                "; measure the features of the fit"
            )
        starts = range(0, len(columns), self.rows_at_once)
        parts = [self.graph_score(columns[start:start + self.rows_at_once]) for start in starts]
        return np.concatenate([np.zeros(0, np.float32), *(part.numpy() for part in parts)])

    def decision_function(self, X: ArrayLike) -> NDArray[np.float32]:
        """The scores of `score`, under the name that scikit-learn's tools ask for."""
        return self.score(X)

    def calibrate(self: Self, X: ArrayLike, fpr: float) -> Self:
        """Sets the threshold to a wanted false-positive rate; see `calibration.threshold_at`.

        Args:
          X: columns [N, D] of benign inputs that took no part in the fit.
          fpr: the wanted rate, in (0, 1).

        Raises:
          NotFittedError: before `fit`.
          InvalidInputError: too few benign inputs for that rate.
        """
        self._keep(self._calibrated(checked_columns(X), fpr))
        self._warn_if_blind()
        return self

    def _calibrated(self, benign: Columns, fpr: float) -> dict[str, Any]:
        """What benign columns [N, D] set: `threshold`, `calibration` and whatever else."""
        return calibrated(self.score(benign), fpr)

    def predict(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Verdicts bool[N] of columns [N, D]; True means adversarial.

        Raises:
          NotFittedError: before `fit`.
        """
        verdicts: NDArray[np.bool_] = exceeds(self.score(X), self.threshold_)
        return verdicts

    def graph_score(self, columns: tf.Tensor) -> tf.Tensor:
        """Scores f32[n] of checked columns f64[n, D], in a graph too."""
        values = tf.convert_to_tensor(columns, tf.float64)
        if not (self.is_compiled and tf.executing_eagerly()):
            return tf.cast(self._score(values), tf.float32)
        if "_graph" not in vars(self):
            self._graph = tf.function(
                lambda values: tf.cast(self._score(values), tf.float32), autograph=False,
                input_signature=[tf.TensorSpec((None, self.n_features_in_), tf.float64)],
            )
        return self._graph(values)

    def graph_predict(self, columns: tf.Tensor) -> tf.Tensor:
        """Verdicts bool[n] of checked columns f64[n, D], in a graph too.

        A score that is not a number is that of an adversarial input.
        """
        return exceeds(self.graph_score(columns), self.threshold_)

    def falls_with(self, column: int) -> bool:
        """Whether a higher value of a column never raises the score, whatever the others are."""
        return self.is_monotone

    def save(self, path: str | Path) -> None:
        """Writes the settings, what was learned and the threshold to an .npz file."""
        files.save_npz(path, **self.to_arrays())

    def to_arrays(self) -> dict[str, Any]:
        """What `save` writes, as named arrays; `from_arrays` rebuilds the detector from them.

        Raises:
          NotFittedError: before `fit`.
        """
        self.require_fit()
        learned = self.learned | {"columns": np.asarray(self.n_features_in_)}
        if self.calibration_:
            learned["calibration"] = np.array(self.calibration_, np.float64)
        return {
            "detector": np.array(self.name), "threshold": np.array(self.threshold_),
            **{f"setting_{name}": np.array(value) for name, value in self.get_params().items()},
            **{f"fitted_{name}": value for name, value in learned.items()},
        }

    @classmethod
    def from_arrays(cls: type[Self], arrays: dict[str, NDArray[Any]]) -> Self:
        """The detector that `to_arrays` described.

        Raises:
          KeyError, ValueError: an array is missing or of the wrong type.
        """
        # A setting that an earlier version did not have takes its default value.
        settings = {
            field.name: arrays[f"setting_{field.name}"].item()
            for field in dataclasses.fields(cls) if f"setting_{field.name}" in arrays
        }
        detector = cls(**settings)
        learned = {
            name.removeprefix("fitted_"): value
            for name, value in arrays.items() if name.startswith("fitted_")
        }
        calibration = learned.pop("calibration", None)
        detector.threshold_ = float(arrays["threshold"])
        detector.calibration_ = None
        if calibration is not None:
            detector.calibration_ = Calibration(float(calibration[0]), int(calibration[1]))
        detector.n_features_in_ = int(learned.pop("columns"))
        detector.classes_ = np.array([False, True])
        learned.pop("threshold", None)  # of a Conformal before version 0.6
        for name, value in learned.items():
            setattr(detector, f"{name}_", value)
        return detector

    @property
    def learned(self) -> dict[str, NDArray[Any]]:
        """The arrays that the fit found, by name."""
        known = ("threshold_", "calibration_", "n_features_in_", "classes_")
        return {
            name.removesuffix("_"): value for name, value in vars(self).items()
            if name.endswith("_") and name not in known
        }

    @property
    def threshold(self) -> float:
        """The score above which an input is flagged; the default one before `fit`."""
        return getattr(self, "threshold_", self.default_threshold)

    @property
    def calibration(self) -> Calibration | None:
        """What the threshold was set for; None for the default threshold."""
        return getattr(self, "calibration_", None)

    @property
    def calibration_scores(self) -> NDArray[np.float64]:
        """Benign scores f64[n] that set the threshold, see `calibration.kept_scores`.

        There are none for the default threshold, nor from folders of versions before 0.6.
        """
        return getattr(self, "calibration_scores_", np.zeros(0))

    def require_fit(self) -> None:
        """Raises NotFittedError before `fit`."""
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"expected a fitted {type(self).__name__}, got one that is not; call fit first"
            )

    def set_params(self: Self, **params: Any) -> Self:
        """Changes settings, and forgets the fit.

        Raises:
          InvalidInputError: there is no such setting, or its value is wrong.
        """
        known = self.get_params()
        if unknown := [name for name in params if name not in known]:
            raise InvalidInputError(
                f"expected settings out of {', '.join(known) or 'none'} for "
                f"{type(self).__name__}, got {', '.join(unknown)}; take one of these"
            )
        if params:
            changed = type(self)(**(known | params))
            self.__dict__ = dict(vars(changed))
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        settings = (field.name for field in dataclasses.fields(self) if field.init)
        if name in vars(self) and name in settings:
            raise dataclasses.FrozenInstanceError(
                f"expected {type(self).__name__}'s {name} to stay as it is, got {value!r}; make "
                "another detector, or call set_params, which forgets the fit"
            )
        super().__setattr__(name, value)

    def __sklearn_is_fitted__(self) -> bool:
        return "threshold_" in vars(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.target_tags.required = self.learns_from_adversarial
        return tags

    def _forget(self) -> None:
        for name in [name for name in vars(self) if name.endswith("_") or name == "_graph"]:
            delattr(self, name)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which compile their own graph."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_graph"}
