"""Feeds the loop with batches of images, and gathers what it finds."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf.attacks.loop import OUTCOME, Examples, State, Steppable, any_count, rows, run_segment
from a2d_tf.classifier import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.pixels import Images

OnFinished = Callable[[int], None]
# The loop returns to Python this often: for progress and for Ctrl-C.
SEGMENT_STEPS = 64
NO_COST = -1  # costs of at most so much need not be told apart


class AttackResult(NamedTuple):
    """What an attack found, an entry per example.

    Attributes:
      adversarial: f32[N,H,W,C], the image at which the attack stopped; none where they were not
        kept.
      cost: i32[N], the zero-based index of the iteration at which it stopped (one-based for
        DBA, as published); equal to `max_iterations`, or the lower `max_cost` that was asked
        for, where it did not succeed before.
      success: bool[N].
      queries: i32[N], how often the classifier was asked.
      gradients: i32[N], how many of these queries were asked for a gradient too.
    """

    adversarial: Images
    cost: NDArray[np.int32]
    success: NDArray[np.bool_]
    queries: NDArray[np.int32]
    gradients: NDArray[np.int32]


class Run:
    """An attack on a stream of images; the memory it takes does not grow with their number.

    Args:
      attack: hashable, since its graph is traced once for each classifier and kept there.
      classifier: asked inside the graph.
      seed: of its random numbers.
      batch_size: examples under attack at once.
      keep_images: whether the result holds the adversarial images, all of them.
      on_finished: called with the number of examples that finished since the last call.

    Raises:
      InvalidInputError: a batch size below 1, or a seed that is no u32.
    """

    def __init__(
        self,
        attack: Steppable,
        classifier: Classifier,
        *,
        seed: int = 0,
        batch_size: int = 128,
        keep_images: bool = False,
        on_finished: OnFinished | None = None,
    ):
        if batch_size < 1:
            raise InvalidInputError(f"expected a batch size of at least 1, got {batch_size}")
        if not 0 <= seed < 2**32:
            raise InvalidInputError(f"expected a seed from 0 to 2**32 - 1, got {seed}")
        self._attack = attack
        self._classifier = classifier
        self._seed = seed
        self._batch_size = tf.constant(batch_size)
        self._keep_images = keep_images
        self._on_finished = on_finished
        self._state: State | None = None
        self._count = 0
        self._finished: list[tuple[NDArray[Any], ...]] = []

    def feed(
        self,
        images: Images,
        *,
        labels: ArrayLike = -1,
        targets: ArrayLike = -1,
        min_cost: ArrayLike = NO_COST,
        max_cost: ArrayLike | None = None,
        last: bool = False,
    ) -> None:
        """Attacks checked images; some may still be under way afterwards, until the last come.

        Args:
          images: f32[n,H,W,C].
          labels, targets: i32[n] or one for all; see `loop.Examples`.
          min_cost, max_cost: i32[n] or one for all, likewise; None for the attack's maximum.
          last: whether no others will follow.
        """
        cap = self._attack.max_iterations if max_cost is None else max_cost
        examples = Examples(
            images=tf.constant(images),
            labels=_each(labels, len(images)),
            targets=_each(targets, len(images)),
            seeds=_each(self._seed, len(images), np.uint32),
            min_cost=_each(min_cost, len(images)),
            max_cost=_each(np.minimum(cap, self._attack.max_iterations), len(images)),
        )
        segment = self._segment(examples)
        if self._state is None:
            self._state = rows(self._attack, examples, 0, 0)
        position, offset = tf.constant(0), tf.constant(self._count)
        self._count += len(images)
        while int(position) < len(images) or (last and len(self._state["index"])):
            self._state, position, finished = segment(
                self._state, position, examples, offset=offset, batch_size=self._batch_size,
                last=tf.constant(last),
            )
            self._keep(finished)

    def result(self) -> AttackResult:
        """What was found, in the order of the images, once the last have been fed."""
        if not self._finished:
            none = np.zeros(0, np.int32)
            return AttackResult(np.zeros((0, 0, 0, 0), np.float32), none, none > 0, none, none)
        index, images, *others = (
            np.concatenate(parts) for parts in zip(*self._finished, strict=True)
        )
        order = np.argsort(index)
        if self._keep_images:
            images = images[order]
        cost, success, queries, gradients = (values[order] for values in others)
        return AttackResult(images, cost, success, queries, gradients)

    def _keep(self, finished: State) -> None:
        count = len(finished["index"])
        if not count:
            return
        self._finished.append(tuple(
            finished[name][:0].numpy() if name == "images" and not self._keep_images
            else finished[name].numpy()
            for name in OUTCOME
        ))
        if self._on_finished:
            self._on_finished(count)

    def _segment(self, examples: Examples) -> Callable[..., Any]:
        key = (self._attack, tuple(examples.images.shape[1:]))
        graphs = self._classifier.graphs
        if key not in graphs:
            graphs[key] = _trace(self._attack, self._classifier, examples)
        segment: Callable[..., Any] = graphs[key]
        return segment


def _trace(attack: Steppable, classifier: Classifier, examples: Examples) -> Callable[..., Any]:
    def specification(value: tf.Tensor) -> tf.TensorSpec:
        return tf.TensorSpec(any_count(value), value.dtype)

    def segment(
        state: State, position: tf.Tensor, examples: Examples,
        offset: tf.Tensor, batch_size: tf.Tensor, last: tf.Tensor,
    ) -> tuple[State, tf.Tensor, State]:
        return run_segment(
            attack, classifier, state, position, examples,
            offset=offset, batch_size=batch_size, last=last, steps=SEGMENT_STEPS,
        )

    number = tf.TensorSpec((), tf.int32)
    traced: Callable[..., Any] = tf.function(
        segment,
        input_signature=[
            tf.nest.map_structure(specification, rows(attack, examples, 0, 0)),
            number,
            tf.nest.map_structure(specification, examples),
            number, number, tf.TensorSpec((), tf.bool),
        ],
        autograph=False,
    )
    return traced


def _each(values: ArrayLike, count: int, dtype: type = np.int32) -> tf.Tensor:
    return tf.constant(np.broadcast_to(np.asarray(values, dtype), (count,)))
