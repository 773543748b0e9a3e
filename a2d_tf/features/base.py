"""What every feature is: a few numbers that are measured of each image."""

import abc
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf import checks
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError, NotFittedError
from a2d_tf.images.batching import Batch, ImageSource
from a2d_tf.images.spec import Images, Labels

OnFinished = Callable[[int], None]
Values = NDArray[np.float64]
# On which side of benign values those of adversarial images lie, or that it is a predicted class.
Side = Literal["low", "high", "either", "class"]
Self = TypeVar("Self", bound="Feature")

# All features, by name. A class that names itself is added when it is defined.
REGISTRY: dict[str, type["Feature"]] = {}


class Measured(NamedTuple):
    """What a feature measured of N images, and its price.

    Attributes:
      values: f64[N,D]; NaN where an image could not be measured.
      queries: i64[N], the number of queries to the classifier.
      gradients: i64[N], the number of gradients.
    """

    values: Values
    queries: NDArray[np.int64]
    gradients: NDArray[np.int64]


class FeatureStream(Protocol):
    """A feature of images that come batch by batch."""

    def update(self, batch: Batch) -> None:
        """Measures a batch. Some of its images may finish in a later call only."""

    def result(self) -> Measured:
        """What was measured of all images, in their order, after the last batch."""


class FitData(NamedTuple):
    """What a feature may learn from.

    Attributes:
      benign: f32[N,H,W,C], the benign images of the fit.
      images: f32[M,H,W,C], images of every class: those that the classifier was trained on, or the
        benign images.
      labels: i64[M], their classes.
    """

    benign: Images
    images: Images
    labels: Labels


@dataclass(frozen=True, kw_only=True)
class Feature(abc.ABC):
    """Measures images: D numbers, its columns, for each of them.

    A subclass gives itself a `name` and implements `graph_measure` with TensorFlow operations.
    With them it can be measured, saved and exported. One that cannot be written so overrides
    `measure_batch` instead; it cannot be exported. Settings are the fields of the dataclass, and
    its `repr` rebuilds the feature.

    Class attributes:
      name: names the feature in files, tables and on the command line.
      description: what it is, in a few words, for reports.
      adversarial_is: whether the columns are "low" or "high" for adversarial inputs. "either" is
        for columns that only a detector that learns from both kinds of inputs, or is two-sided,
        can weigh; see `sides`. "class" is for the predicted class, by which a detector chooses its
        threshold.
      needs_fit: whether it must be fitted before it can measure.
      needs_logits, needs_gradients: what it needs of a classifier.
      needs_labels: whether it depends on the labels. One that does not gives NaN where the
        classifier's outputs are not finite, so that verdicts alone take no query for the labels.
      stops_early: whether it can stop once a verdict is known (`A2D.is_adversarial`).
      batch_size: the largest number of images to be measured at once; None if any will do.
      passes: the queries per image, and the gradients; see `passes_of`.
      default_detector: the name of the detector that judges this feature by itself, and its
        settings.
      noisy_negatives: whether such a detector takes noisy images as benign in its fit, as the
        feature was published.
    """

    name: ClassVar[str]
    description: ClassVar[str] = ""
    adversarial_is: ClassVar[Side] = "low"
    needs_fit: ClassVar[bool] = False
    needs_logits: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    stops_early: ClassVar[bool] = False
    batch_size: ClassVar[int | None] = None
    passes: ClassVar[tuple[int, int]] = (1, 0)
    default_detector: ClassVar[tuple[str, Mapping[str, Any]]] = ("threshold", {})
    noisy_negatives: ClassVar[bool] = False
    # What a fit found, as named arrays; None before the fit.
    learned: Mapping[str, NDArray[Any]] | None = dataclasses.field(
        default=None, repr=False, compare=False
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in vars(cls):
            REGISTRY[cls.name] = cls

    def __post_init__(self) -> None:
        checks.check_fields(self)

    def check(self, classifier: Classifier) -> None:
        """Raises InvalidInputError if this feature cannot be measured on the classifier at all."""

    def fit(self: Self, classifier: Classifier, data: FitData) -> Self:
        """The feature with what it learned; one that learns nothing is its own fit."""
        return self

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        """The columns [n,D] of checked images, by TensorFlow operations.

        Args:
          classifier: the classifier whose inputs are judged.
          images: f32[n,H,W,C], n >= 1.
          labels: i32[n], what the classifier predicts for them.
        """
        raise NotImplementedError

    @property
    def in_graph(self) -> bool:
        """Whether the feature can be part of a TensorFlow graph, and so be exported."""
        return type(self).graph_measure is not Feature.graph_measure

    def measure_batch(self, classifier: Classifier, batch: Batch) -> ArrayLike:
        """The columns [n,D] of a batch."""
        shape = batch.images.shape[1:]

        def graph(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            return tf.cast(self.graph_measure(classifier, images, labels), tf.float64)

        measure = classifier.graph(
            (self, self._graph_key, shape), graph,
            lambda: [tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.int32)],
        )
        # A label that is not known has no row; the outputs are not finite, and the columns neither.
        labels = np.maximum(batch.labels, 0).astype(np.int32)
        values: Values = measure(batch.images, labels).numpy()
        return values

    def measure_fit_batches(
        self, classifier: Classifier, batches: Sequence[Batch], rows: NDArray[np.int64]
    ) -> Values:
        """The columns f64[N,D] of images that the detector is fitted on.

        They are those of `measure`, unless the feature learned from these images.

        Args:
          classifier: the classifier whose inputs are judged.
          batches: the N images.
          rows: i64[N], which benign image of the fit each image is, or was made from.
        """
        return _stacked([self.measure_batch(classifier, part) for part in self._parts(batches)])

    def stream(
        self,
        classifier: Classifier,
        *,
        batch_size: int = 128,
        on_finished: OnFinished | None = None,
    ) -> FeatureStream:
        """This feature of images that come batch by batch.

        Args:
          classifier: the classifier whose inputs are judged.
          batch_size: images at once; bounds the memory, changes no value.
          on_finished: called with the number of images that were measured since the last call.
        """
        return _BatchStream(self, classifier, batch_size, on_finished)

    def measure(
        self,
        classifier: Classifier,
        images: ImageSource,
        *,
        batch_size: int = 128,
        on_finished: OnFinished | None = None,
    ) -> Values:
        """The columns f64[N,D] of images.

        Args:
          classifier: the classifier whose inputs are judged.
          images: f32[N,H,W,C] within the classifier's bounds, or a dataset of them; N may be 0.
          batch_size: images at once; bounds the memory, changes no value.
          on_finished: called with the number of images that were measured since the last call.

        Raises:
          InvalidInputError: images of the wrong shape, not finite or out of bounds.
          UnsuitableClassifierError: the classifier fails its preflight check.
          NotFittedError: the feature must be fitted first.
        """
        self.require_fit()
        stream = self.stream(classifier, batch_size=batch_size, on_finished=on_finished)
        for batch in classifier.batches(
            images, batch_size,
            needs_logits=self.needs_logits, needs_gradients=self.needs_gradients,
        ):
            stream.update(batch)
        return stream.result().values

    def column_names(self, name: str, width: int) -> list[str]:
        """Names for D columns of this feature, which itself goes by `name`."""
        return [name] if width == 1 else [f"{name}_{index}" for index in range(width)]

    def sides(self, width: int) -> Sequence[Side]:
        """`adversarial_is` of each of D columns, where they differ."""
        return [self.adversarial_is] * width

    def passes_of(self, width: int) -> tuple[int, int]:
        """The queries and the gradients per image, if there are D columns."""
        return self.passes

    def config(self) -> dict[str, Any]:
        """The settings as JSON values, from which `from_config` rebuilds the feature."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self) if field.name != "learned"
        }

    @classmethod
    def from_config(
        cls: type[Self], config: Mapping[str, Any], learned: Mapping[str, NDArray[Any]] | None
    ) -> Self:
        """The feature of these settings, with what a fit found.

        Raises:
          InvalidInputError: a setting is unknown or wrong.
        """
        try:
            return cls(**config, learned=learned)
        except TypeError as error:
            raise InvalidInputError(
                f"expected settings of the feature {cls.name}, got {dict(config)}; fit it again"
            ) from error

    def require_fit(self) -> None:
        """Raises NotFittedError if the feature must be fitted and is not."""
        if self.needs_fit and self.learned is None:
            raise NotFittedError(
                f"expected a fitted {type(self).__name__}, got one that is not; call fit first"
            )

    def learned_tensor(self, name: str) -> tf.Tensor:
        """A learned array as a tensor. A graph refers to it, and does not contain a copy."""
        self.require_fit()
        assert self.learned is not None
        with tf.init_scope():
            return tf.constant(self.learned[name])

    @property
    def _graph_key(self) -> int:
        """Tells features apart that are equal but learned from other images."""
        return id(self.learned) if self.learned is not None else 0

    def _parts(
        self, batches: Sequence[Batch], most: int | None = None
    ) -> Iterator[Batch]:
        """The batches in parts of at most `most` images, and of at most `batch_size`."""
        limits = [limit for limit in (self.batch_size, most) if limit]
        for batch in batches:
            size = min([*limits, len(batch.images)])
            for start in range(0, len(batch.images), size):
                part = slice(start, start + size)
                yield Batch(batch.images[part], batch.labels[part], is_last=False)


class _BatchStream:
    """Measures every batch by itself."""

    def __init__(
        self, feature: Feature, classifier: Classifier, batch_size: int,
        on_finished: OnFinished | None,
    ):
        self._feature = feature
        self._classifier = classifier
        self._batch_size = batch_size
        self._on_finished = on_finished
        self._parts: list[ArrayLike] = []

    def update(self, batch: Batch) -> None:
        for part in self._feature._parts([batch], self._batch_size):
            self._parts.append(self._feature.measure_batch(self._classifier, part))
            if self._on_finished:
                self._on_finished(len(part.images))

    def result(self) -> Measured:
        values = _stacked(self._parts)
        queries, gradients = (
            np.full(len(values), count, np.int64)
            for count in self._feature.passes_of(values.shape[1])
        )
        return Measured(values, queries, gradients)


def _stacked(parts: Sequence[ArrayLike]) -> Values:
    """Parts [n,D], or [n] for a single column, as f64[N,D]."""
    columns = [np.asarray(part, np.float64) for part in parts]
    columns = [part[:, None] if part.ndim == 1 else part for part in columns]
    return np.concatenate(columns) if columns else np.zeros((0, 0))
