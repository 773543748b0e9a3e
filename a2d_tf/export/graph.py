"""Images to verdicts in one TensorFlow graph: classifier, features and detector."""

from collections.abc import Callable

import tensorflow as tf

from a2d_tf.attacks.loop import are_finite
from a2d_tf.attacks.runner import NO_COST
from a2d_tf.classifiers import Classifier, output_checks
from a2d_tf.detection.early_stopping import early_verdicts, stopping_features
from a2d_tf.detection.result import INVALID, Verdicts
from a2d_tf.detection.state import DetectorState
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import AttackCost, Feature, LogitsFeature
from a2d_tf.images.spec import Shape

CHUNK = 128  # images measured at once, where a feature names no smaller number


class Graph:
    """The functions that an exported detector serves.

    Args:
      state: the fitted A2D.
      shape: (H, W, C) of the images.

    Raises:
      InvalidInputError: a feature cannot be part of a graph.
    """

    def __init__(self, state: DetectorState, shape: Shape):
        if foreign := [name for name, one in state.features.items() if not one.in_graph]:
            raise InvalidInputError(
                f"expected features that can be part of a TensorFlow graph to export, got "
                f"{', '.join(foreign)}; implement graph_measure, or leave them out"
            )
        self._state = state
        self._classifier = state.classifier
        self._measure = {
            name: _measured(feature, state.classifier, shape, len(state.columns[name]))
            for name, feature in state.features.items()
        }
        outputs = state.classifier.output_spec(shape)
        self._labels_only = output_checks.are_labels(outputs)
        self._classes = None if self._labels_only or not outputs.shape.rank else outputs.shape[1]

    def judge(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """What `A2D.predict` gives for images f32[N,H,W,C], N >= 0, and class probabilities."""
        return self._judge(images, *self._classified(images))

    def _judge(
        self, images: tf.Tensor, label: tf.Tensor, logits: tf.Tensor | None
    ) -> dict[str, tf.Tensor]:
        measured = {
            name: self._columns(name, images, label, logits) for name in self._measure
        }
        columns = tf.concat(list(measured.values()), axis=1)
        valid = (label >= 0) & are_finite(columns)
        # No number stands for what is not known: JSON has neither NaN nor infinity.
        columns = tf.where(valid[:, None], columns, tf.zeros_like(columns))
        score = self._state.detector.graph_score(self._state.oriented(columns))
        valid &= tf.math.is_finite(score)
        found = {
            "is_adversarial": score > self._threshold,
            "score": score,
            "label": tf.cast(label, tf.int64),
            "valid": valid,
        }
        if logits is not None:
            # In double precision the last bit does not depend on the size of the batch.
            exact = tf.nn.softmax(tf.cast(logits, tf.float64))
            found["probabilities"] = tf.cast(exact, tf.float32)
        if costs := self._state.cost_names:
            places = [self._state.column_slice(name).start for name in costs]
            together = tf.gather(columns, places, axis=1)
            counted = costs == self._state.counted_names
            found["costs"] = tf.cast(together, tf.int32) if counted else together
        if len(costs) < len(measured):
            found["columns"] = columns
        return {name: _unless_invalid(name, values, valid) for name, values in found.items()}

    def classify(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Verdicts and validity alone; attacks stop once a verdict is known."""
        if not stopping_features(self._state):
            if any(feature.needs_labels for feature in self._state.features.values()):
                found = self.judge(images)
            else:
                found = self._judge(images, tf.zeros(tf.shape(images)[:1], tf.int32), None)
            return {name: found[name] for name in Verdicts._fields}
        label, logits = self._classified(images)

        def measure(
            name: str, images: tf.Tensor, labels: tf.Tensor,
            min_cost: tf.Tensor | None, max_cost: tf.Tensor | None,
        ) -> tf.Tensor:
            if min_cost is None:
                return self._columns(name, images, labels, logits)
            return self._measure[name](images, labels, min_cost, max_cost)

        return early_verdicts(self._state, images, label, measure)._asdict()

    def _columns(
        self, name: str, images: tf.Tensor, labels: tf.Tensor, logits: tf.Tensor | None
    ) -> tf.Tensor:
        """The columns f64[N,D] of a feature; those of the logits take no pass of their own."""
        feature = self._state.features[name]
        if isinstance(feature, LogitsFeature) and logits is not None:
            return _matrix(feature.from_logits(logits))
        return self._measure[name](images, labels, *_no_bounds(labels))

    @property
    def _threshold(self) -> tf.Tensor:
        return tf.constant(self._state.detector.threshold, tf.float32)

    def _classified(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Labels i32[N], -1 for none, and logits f32[N,K] of a classifier that has any."""
        if self._labels_only:
            return _unless_empty(
                images, self._classifier.decide, tf.TensorSpec((None,), tf.int32)
            ), None
        logits = _unless_empty(
            images, self._classifier, tf.TensorSpec((None, self._classes), tf.float32)
        )
        return output_checks.most_likely(logits), logits


def _measured(
    feature: Feature, classifier: Classifier, shape: Shape, width: int
) -> Callable[..., tf.Tensor]:
    """A feature as one graph: images, labels, bounds on costs -> columns f64[n,D], n >= 0."""
    def columns(
        images: tf.Tensor, labels: tf.Tensor, min_cost: tf.Tensor, max_cost: tf.Tensor
    ) -> tf.Tensor:
        if isinstance(feature, AttackCost):
            return feature.graph_costs(classifier, images, labels, min_cost, max_cost)
        return _in_chunks(
            lambda some, theirs: _matrix(feature.graph_measure(classifier, some, theirs)),
            images, tf.maximum(labels, 0), feature.batch_size or CHUNK, width,
        )

    numbers = tf.TensorSpec((None,), tf.int32)
    signature = [tf.TensorSpec((None, *shape), tf.float32), numbers, numbers, numbers]
    graph: Callable[..., tf.Tensor] = tf.function(
        columns, input_signature=signature, autograph=False
    )
    return graph


def _unless_invalid(name: str, values: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """The values of an output, and what is said of invalid images at their rows."""
    known = tf.reshape(valid, (-1, *[1] * (values.shape.rank - 1)))
    return tf.where(known, values, tf.cast(INVALID.get(name, 0), values.dtype))


def _in_chunks(
    function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    images: tf.Tensor, labels: tf.Tensor, size: int, width: int,
) -> tf.Tensor:
    """Columns f64[n,D] of images, `size` at once; the last ones are filled up with the first."""
    def measure() -> tf.Tensor:
        count = tf.shape(labels)[0]
        few = tf.minimum(count, size)
        rows = tf.reshape(tf.range(count + -count % few) % count, (-1, few))
        chunks = tf.map_fn(
            lambda part: function(tf.gather(images, part), tf.gather(labels, part)), rows,
            fn_output_signature=tf.TensorSpec((None, width), tf.float64), parallel_iterations=1,
        )
        return tf.reshape(chunks, (-1, width))[:count]

    values = tf.cond(
        tf.shape(labels)[0] > 0, measure, lambda: tf.zeros((0, width), tf.float64)
    )
    return tf.ensure_shape(values, (None, width))


def _matrix(values: tf.Tensor) -> tf.Tensor:
    """Columns [n,D], or [n] for a single one, as f64[n,D]."""
    columns = tf.cast(values, tf.float64)
    return columns[:, None] if columns.shape.rank == 1 else columns


def _no_bounds(labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Bounds on costs that hold for all."""
    return tf.fill(tf.shape(labels), NO_COST), tf.fill(tf.shape(labels), tf.int32.max)


def _unless_empty(
    images: tf.Tensor, function: Callable[[tf.Tensor], tf.Tensor], result: tf.TensorSpec
) -> tf.Tensor:
    """The function of images; nothing for no images, since a reloaded convolution fails on them."""
    values = tf.cond(
        tf.shape(images)[0] > 0,
        lambda: function(images),
        lambda: tf.zeros((0, *(size or 0 for size in result.shape[1:])), result.dtype),
    )
    return tf.ensure_shape(values, result.shape)
