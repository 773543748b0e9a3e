"""Verdicts alone, from no more queries than they need (paper, section 5.3.2)."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import tensorflow as tf

from a2d_tf.attacks.loop import are_finite
from a2d_tf.detectors import Detector
from a2d_tf.detectors.calibration import exceeds
from a2d_tf.features import AttackCost
from a2d_tf.features.attack_cost import known_costs
from a2d_tf.features.base import OnFinished
from a2d_tf.images.batching import Batch
from a2d_tf.detection.result import Verdicts
from a2d_tf.detection.state import DetectorState


class MeasureRows(Protocol):
    """Measures one feature of some images.

    It takes the feature's name, images f32[n,H,W,C] and labels i32[n], and for a feature that
    stops early `min_cost` and `max_cost` i32[n]; see `Attack.run`. It gives columns [n,D], NaN
    where an image cannot be measured.
    """

    def __call__(
        self, name: str, images: tf.Tensor, labels: tf.Tensor,
        min_cost: tf.Tensor | None, max_cost: tf.Tensor | None,
    ) -> tf.Tensor: ...


def stopping_features(state: DetectorState) -> list[str]:
    """The attack costs that can stop once a verdict is known, in the order of the state.

    The detector must be able to tell what no cost that is still possible can change: its score
    falls as the cost rises, or the cost is all that it judges.
    """
    return [
        name for name in state.order
        if isinstance(state.features[name], AttackCost) and state.features[name].stops_early
        and (len(state.features) == 1
             or state.detector.falls_with(state.column_slice(name).start))
    ]


def early_verdicts(
    state: DetectorState, images: tf.Tensor, labels: tf.Tensor, measure: MeasureRows
) -> Verdicts:
    """Verdicts as tensors; True means adversarial. They are those of the full columns.

    Features that cannot stop early are measured first, of all images. Then the attacks run one
    after the other, and each leaves an image as soon as no cost that is still possible can change
    its verdict. An image that cannot be measured is adversarial; an attack finds that as far as it
    runs.

    The same code runs in Python and in the graph of an exported detector; `measure` differs.

    Args:
      state: one for which there are `stopping_features`.
      images: f32[N,H,W,C].
      labels: i32[N], the classifier's; -1 where its outputs are not finite.
      measure: measures one feature.
    """
    stopping = stopping_features(state)
    count = tf.shape(labels)[0]
    columns = tf.zeros((count, state.width), tf.float64)
    for name in state.order:
        if name not in stopping:
            values = tf.cast(measure(name, images, labels, None, None), tf.float64)
            columns = _with_columns(columns, state.column_slice(name), values)
    valid = (labels >= 0) & are_finite(columns)
    verdicts, open_rows = ~valid, tf.cast(tf.where(valid)[:, 0], tf.int32)
    for place, name in enumerate(stopping):
        cap = _cap(state, name)
        later = {state.column_slice(other).start: _cap(state, other)
                 for other in stopping[place + 1:]}
        column = state.column_slice(name).start
        known = state.oriented(tf.gather(columns, open_rows))
        low, high = undecided(state.detector, known, column, cap, later)
        verdicts = tf.tensor_scatter_nd_update(verdicts, open_rows[:, None], low == cap)
        is_open = (low < cap) & (high > 0)
        open_rows, low, high = (
            tf.boolean_mask(values, is_open) for values in (open_rows, low, high)
        )
        costs = measure(
            name, tf.gather(images, open_rows), tf.gather(labels, open_rows), low, high
        )
        costs = tf.cast(costs[:, 0], tf.float64)
        is_known = tf.math.is_finite(costs)
        valid = tf.tensor_scatter_nd_update(valid, open_rows[:, None], is_known)
        verdicts = tf.tensor_scatter_nd_update(verdicts, open_rows[:, None], ~is_known)
        open_rows, costs = (tf.boolean_mask(values, is_known) for values in (open_rows, costs))
        cells = tf.stack([open_rows, tf.fill(tf.shape(open_rows), column)], axis=1)
        columns = tf.tensor_scatter_nd_update(columns, cells, costs)
    score = state.detector.graph_score(state.oriented(tf.gather(columns, open_rows)))
    is_known = tf.math.is_finite(score)
    flagged = exceeds(score, state.detector.threshold) | ~is_known
    return Verdicts(
        tf.tensor_scatter_nd_update(verdicts, open_rows[:, None], flagged),
        tf.tensor_scatter_nd_update(valid, open_rows[:, None], is_known),
    )


def undecided(
    detector: Detector,
    columns: tf.Tensor,
    column: int,
    cap: int,
    later: dict[int, int],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Between which costs of one attack the verdicts on inputs are open.

    Args:
      detector: fitted; its score falls with this column and the later ones, or it judges this
        single column.
      columns: f64[n,D], those that are known; the others may have any value.
      column: the column of the attack's cost.
      cap: the attack's largest cost.
      later: the columns of attacks that run after it, with their largest costs.

    Returns:
      i32[n], with this cost or less the input is adversarial for certain, -1 if with none; and
      i32[n], with this cost or more it is benign for certain, cap + 1 if with none.
    """
    def flagged(cost: tf.Tensor, others: dict[int, int]) -> tf.Tensor:
        parts = tf.unstack(columns, axis=1)
        parts[column] = tf.cast(cost, tf.float64)
        for other, value in others.items():
            parts[other] = tf.zeros_like(parts[other]) + value
        return detector.graph_predict(tf.stack(parts, axis=1))

    count = tf.shape(columns)[0]
    if not detector.falls_with(column):
        low, high = _certain_costs(detector, cap)
        return tf.fill([count], low), tf.fill([count], high)
    # The lower a cost, the more adversarial is the input: the extremes of later costs tell.
    must_be = _largest(lambda cost: flagged(cost, later), cap, count)
    may_be = _largest(lambda cost: flagged(cost, dict.fromkeys(later, 0)), cap, count)
    return must_be, may_be + 1


def in_batches(
    state: DetectorState, batch: Batch, batch_size: int, on_finished: OnFinished | None
) -> Verdicts:
    """`early_verdicts` of a batch in Python, with progress.

    `on_finished` is called with the number of (image, feature) pairs that are finished, or that
    need not be measured.
    """
    def measure(
        name: str, images: tf.Tensor, labels: tf.Tensor,
        min_cost: tf.Tensor | None, max_cost: tf.Tensor | None,
    ) -> tf.Tensor:
        feature, rows = state.features[name], len(labels)
        if on_finished and rows < len(batch.images):
            on_finished(len(batch.images) - rows)
        if min_cost is None or max_cost is None:
            stream = feature.stream(
                state.classifier, batch_size=batch_size, on_finished=on_finished
            )
            stream.update(batch._replace(is_last=True))
            return tf.constant(stream.result().values)
        assert isinstance(feature, AttackCost)
        attack = feature.attack.stream(
            state.classifier, batch_size=batch_size, on_finished=on_finished
        )
        if rows:
            attack.update(
                images.numpy(), labels=labels, min_cost=min_cost, max_cost=max_cost, is_last=True
            )
        return tf.constant(known_costs(attack.result())[:, None])

    images, labels = tf.constant(batch.images), tf.constant(batch.labels.astype(np.int32))
    return early_verdicts(state, images, labels, measure)


def _certain_costs(detector: Detector, cap: int) -> tuple[int, int]:
    """`undecided` for a detector of a single column that is not monotone: it is asked about all."""
    with tf.init_scope():  # outside the graph that is being traced, if there is one
        flagged = detector.predict(np.arange(cap + 1))
    low = cap if flagged.all() else int(flagged.argmin()) - 1
    high = cap + 1 - int(flagged[::-1].argmax()) if flagged.any() else 0
    return low, high


def _largest(
    holds: Callable[[tf.Tensor], tf.Tensor], cap: int, count: tf.Tensor
) -> tf.Tensor:
    """The largest cost i32[n] from 0 to `cap` of which something holds, -1 if of none.

    It is found by bisection: what holds of a cost also holds of every smaller one.
    """
    low, high = tf.fill([count], -1), tf.fill([count], cap + 1)
    for _ in range((cap + 1).bit_length()):
        middle = (low + high) // 2
        between = middle > low
        does = holds(tf.maximum(middle, 0))
        low, high = (
            tf.where(between & does, middle, low), tf.where(between & ~does, middle, high)
        )
    return low


def _cap(state: DetectorState, name: str) -> int:
    feature = state.features[name]
    assert isinstance(feature, AttackCost)
    return feature.attack.max_iterations


def _with_columns(columns: tf.Tensor, part: slice, values: tf.Tensor) -> tf.Tensor:
    """Columns f64[n,D], some of them replaced."""
    return tf.concat([columns[:, :part.start], values, columns[:, part.stop:]], axis=1)
