"""Images to verdicts in one TensorFlow graph: classifier, attack loops and detector."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from a2d_tf import answers, verdicts
from a2d_tf.attacks import Attack
from a2d_tf.attacks.loop import Examples, rows, run_segment
from a2d_tf.classifier import Classifier
from a2d_tf.detectors import CostDetector
from a2d_tf.directions import costs_in_graph
from a2d_tf.export.scores import scorer

BATCH_SIZE = 128  # examples under attack at once; bounds the memory
NO_COST = -1


class Parts(Protocol):
    """What `pipeline.A2D` consists of."""

    classifier: Classifier
    attacks: dict[str, Attack]
    detector: CostDetector
    directions: bool
    order: list[str]


class Graph:
    """The functions that an exported detector serves.

    Args:
      a2d: what it consists of, fitted.
      shape: (H, W, C) of the images.

    Raises:
      InvalidInputError: a detector that no score is known for.
    """

    def __init__(self, a2d: Parts, shape: tuple[int | None, ...]):
        self._a2d = a2d
        self._classifier = a2d.classifier
        self._attacks = a2d.attacks
        fingerprints = tf.TensorSpec((None, int(a2d.detector.learned["columns"])), tf.float64)
        self._score = tf.function(
            scorer(a2d.detector), input_signature=[fingerprints], autograph=False
        )
        self._threshold = np.float32(a2d.detector.threshold)
        self._caps = [attack.max_iterations for attack in a2d.attacks.values()]
        self._count = {
            name: _counter(attack, a2d.classifier, shape) for name, attack in a2d.attacks.items()
        }
        answer = a2d.classifier.answer(shape)
        self._labels_only = answers.are_labels(answer)
        self._classes = None if self._labels_only or not answer.shape.rank else answer.shape[1]

    def judge(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """What `A2D.predict` says of images f32[N,H,W,C], N >= 0, and the class probabilities."""
        label, answer = self._classified(images)
        none = tf.fill(tf.shape(label), NO_COST)
        costs = tf.stack([
            count(images, label, none, tf.fill(tf.shape(label), cap))
            for count, cap in zip(self._count.values(), self._caps, strict=True)
        ], axis=1)
        seen = tf.cast(costs, tf.float64)
        if self._a2d.directions:
            seen = tf.concat([seen, self._directions(images)], axis=1)
        score = tf.cast(self._score(seen), tf.float32)
        return {
            "is_adversarial": score > self._threshold,
            "score": score,
            "costs": costs,
            "label": tf.cast(label, tf.int64),
        } | answer

    def classify(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """The verdicts alone; attacks stop once these are settled (see `verdicts`)."""
        if self._a2d.directions or not verdicts.can_settle(self._a2d.detector, self._attacks):
            return {"is_adversarial": self.judge(images)["is_adversarial"]}
        label, _ = self._classified(images)
        names = list(self._attacks)
        count = tf.shape(images)[0]
        costs = tf.zeros((count, len(names)), tf.float64)
        settled = tf.zeros(count, tf.bool)
        undecided = tf.range(count)
        for place, name in enumerate(self._a2d.order):
            column = names.index(name)
            later = [names.index(other) for other in self._a2d.order[place + 1:]]
            low, high = self._range(tf.gather(costs, undecided), column, later)
            settled = tf.tensor_scatter_nd_update(
                settled, undecided[:, None], low == self._caps[column]
            )
            is_open = (low < self._caps[column]) & (high > 0)
            undecided, low, high = (
                tf.boolean_mask(values, is_open) for values in (undecided, low, high)
            )
            found = self._count[name](
                tf.gather(images, undecided), tf.gather(label, undecided), low, high
            )
            places = tf.stack([undecided, tf.fill(tf.shape(undecided), column)], axis=1)
            costs = tf.tensor_scatter_nd_update(costs, places, tf.cast(found, tf.float64))
        last = self._flags(tf.gather(costs, undecided))
        return {
            "is_adversarial": tf.tensor_scatter_nd_update(settled, undecided[:, None], last)
        }

    def _classified(self, images: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Labels i32[N], and probabilities f32[N,K] of a classifier that has any."""
        if self._labels_only:
            return _unless_empty(
                images, self._classifier.decide, tf.TensorSpec((None,), tf.int32)
            ), {}
        logits = _unless_empty(
            images, self._classifier, tf.TensorSpec((None, self._classes), tf.float32)
        )
        label = tf.argmax(logits, axis=1, output_type=tf.int32)
        return label, {"probabilities": tf.nn.softmax(logits)}

    def _directions(self, images: tf.Tensor) -> tf.Tensor:
        width = self._classes and 2 * (self._classes - 1) + 2 * self._classes
        costs = _unless_empty(
            images, lambda some: costs_in_graph(self._classifier, some),
            tf.TensorSpec((None, width), tf.float32),
        )
        return tf.cast(costs, tf.float64)

    def _flags(self, costs: tf.Tensor) -> tf.Tensor:
        return tf.cast(self._score(costs), tf.float32) > self._threshold

    def _range(
        self, costs: tf.Tensor, column: int, later: Sequence[int]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`verdicts.undecided` in the graph."""
        if len(self._caps) == 1:  # the same for all: there is nothing else to know
            known = verdicts.undecided(
                self._a2d.detector, np.zeros((1, 1)), 0, np.array(self._caps), []
            )
            each = tf.zeros(tf.shape(costs)[0], tf.int32)
            return each + known.min_cost[0], each + known.max_cost[0]

        def flags(cost: tf.Tensor, others: Sequence[int]) -> tf.Tensor:
            columns = tf.unstack(costs, axis=1)
            columns[column] = tf.cast(cost, tf.float64)
            for other, value in zip(later, others, strict=True):
                columns[other] = tf.zeros_like(columns[other]) + value
            return self._flags(tf.stack(columns, axis=1))

        cap, rows_ = self._caps[column], tf.shape(costs)[0]
        certain = _last(lambda cost: flags(cost, [self._caps[i] for i in later]), cap, rows_)
        possible = _last(lambda cost: flags(cost, [0] * len(later)), cap, rows_)
        return certain, possible + 1


def _counter(
    attack: Attack, classifier: Classifier, shape: tuple[int | None, ...]
) -> Callable[..., tf.Tensor]:
    """An attack as one graph, whoever asks: images, labels, bounds on costs -> costs i32[n]."""
    def count(images: tf.Tensor, label: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        each = tf.zeros_like(label)
        examples = Examples(
            images=images, labels=label, targets=each - 1, seeds=tf.cast(each, tf.uint32),
            min_cost=low, max_cost=tf.minimum(high, attack.max_iterations),
        )
        _, _, finished = run_segment(
            attack, classifier, rows(attack, examples, 0, 0), tf.constant(0), examples,
            offset=tf.constant(0), batch_size=tf.constant(BATCH_SIZE), last=tf.constant(True),
            steps=np.iinfo(np.int32).max, outcome=("index", "cost"),
        )
        return tf.scatter_nd(finished["index"][:, None], finished["cost"], tf.shape(label))

    numbers = tf.TensorSpec((None,), tf.int32)
    signature = [tf.TensorSpec((None, *shape), tf.float32), numbers, numbers, numbers]
    counter: Callable[..., tf.Tensor] = tf.function(
        count, input_signature=signature, autograph=False
    )
    return counter


def _unless_empty(
    images: tf.Tensor, function: Callable[[tf.Tensor], tf.Tensor], result: tf.TensorSpec
) -> tf.Tensor:
    """The function of images; nothing for none, since a reloaded convolution fails on them."""
    values = tf.cond(
        tf.shape(images)[0] > 0,
        lambda: function(images),
        lambda: tf.zeros((0, *(size or 0 for size in result.shape[1:])), result.dtype),
    )
    return tf.ensure_shape(values, result.shape)


def _last(holds: Callable[[tf.Tensor], tf.Tensor], cap: int, count: tf.Tensor) -> tf.Tensor:
    """The largest cost i32[n] from 0 to `cap` of which something holds, -1 if of none.

    It is found by bisection: what holds of a cost holds of every smaller one.
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
