"""Gives batches of images to the loop, and collects its results."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf import checks, deprecated
from a2d_tf.attacks.loop import OUTCOME, Examples, State, Steppable, any_count, rows, run_segment
from a2d_tf.classifiers import Classifier
from a2d_tf.images.spec import Images

OnFinished = Callable[[int], None]
# The loop returns to Python after so many steps, for progress and for Ctrl-C.
SEGMENT_STEPS = 64
NO_COST = -1  # a `min_cost` below every cost
MAX_SEED = 2**32 - 1
Costs: TypeAlias = NDArray[Any]  # i32, or f32 of an attack whose cost is no count


class AttackResult(NamedTuple):
    """The results of an attack, an entry per example.

    Attributes:
      adversarial: f32[N,H,W,C], the images at which the attack stopped; empty if they were not
        kept.
      cost: i32[N], the zero-based index of the iteration at which the attack stopped (one-based
        for DBA, as published). It is `max_iterations`, or the lower `max_cost` that was given, if
        the attack did not succeed before. `FirstOrder` gives numbers f32[N] instead of counts.
      success: bool[N].
      queries: i32[N], the number of queries to the classifier.
      gradients: i32[N], the number of these queries that asked for a gradient too.
      valid: bool[N], False where the attack came upon a logit or a gradient that is not finite, or
        found that the gradient at the image itself is exactly zero: there is no success and no
        cost, and `max_iterations` or `max_cost` stands in its place.
    """

    adversarial: Images
    cost: Costs
    success: NDArray[np.bool_]
    queries: NDArray[np.int32]
    gradients: NDArray[np.int32]
    valid: NDArray[np.bool_]


class AttackStream:
    """An attack on images that come batch by batch; its memory does not grow with their number.

    Args:
      attack: hashable, since its graph is traced once for each classifier and kept there.
      classifier: the classifier to attack.
      seed: seed of the attack's random numbers.
      batch_size: examples under attack at once.
      keep_images: whether the result holds the adversarial images, all of them.
      on_finished: called with the number of examples that finished since the last call.

    Raises:
      InvalidInputError: a batch size below 1, or a seed that is not a u32.
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
        self._attack = attack
        self._classifier = classifier
        self._seed = checks.integer(seed, "a seed", minimum=0, maximum=MAX_SEED)
        self._batch_size = tf.constant(checks.integer(batch_size, "a batch size"))
        self._keep_images = keep_images
        self._on_finished = on_finished
        self._state: State | None = None
        self._count = 0
        self._finished: list[tuple[NDArray[Any], ...]] = []

    def feed(self, images: Images, *, last: bool = False, **options: Any) -> None:
        """Deprecated: `update`."""
        deprecated.warn("AttackStream.feed is deprecated; use AttackStream.update")
        self.update(images, is_last=last, **options)

    def update(
        self,
        images: Images,
        *,
        labels: ArrayLike = -1,
        targets: ArrayLike = -1,
        min_cost: ArrayLike = NO_COST,
        max_cost: ArrayLike | None = None,
        is_last: bool = False,
    ) -> None:
        """Attacks checked images. Some of them may finish in a later call only.

        Args:
          images: f32[n,H,W,C].
          labels, targets: i32[n], or one for all; see `loop.Examples`.
          min_cost, max_cost: i32[n], or one for all, likewise; None stands for the maximum.
          is_last: whether no other images will follow.
        """
        cap = self._attack.max_iterations if max_cost is None else max_cost
        examples = Examples(
            images=tf.constant(images),
            labels=_per_example(labels, len(images)),
            targets=_per_example(targets, len(images)),
            seeds=_per_example(self._seed, len(images), np.uint32),
            min_cost=_per_example(min_cost, len(images)),
            max_cost=_per_example(np.minimum(cap, self._attack.max_iterations), len(images)),
        )
        segment = _segment(self._attack, self._classifier, examples)
        if self._state is None:
            self._state = rows(self._attack, examples, 0, 0)
        position, offset = tf.constant(0), tf.constant(self._count)
        self._count += len(images)
        while int(position) < len(images) or (is_last and len(self._state["index"])):
            self._state, position, finished = segment(
                self._state, position, examples, offset, self._batch_size, tf.constant(is_last)
            )
            self._keep(finished)

    def result(self) -> AttackResult:
        """The results in the order of the images, after the last of them."""
        if not self._finished:
            none = np.zeros(0, np.int32)
            cost: Costs = none.astype(self._attack.cost_dtype)
            return AttackResult(
                np.zeros((0, 0, 0, 0), np.float32), cost, none > 0, none, none, none > 0
            )
        index, images, *others = (
            np.concatenate(parts) for parts in zip(*self._finished, strict=True)
        )
        order = np.argsort(index)
        if self._keep_images:
            images = images[order]
        return AttackResult(images, *(values[order] for values in others))

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


def _segment(
    attack: Steppable, classifier: Classifier, examples: Examples
) -> Callable[..., tuple[State, tf.Tensor, State]]:
    """A segment of the loop as a graph, which is traced once for an attack and a shape."""
    def specification(value: tf.Tensor) -> tf.TensorSpec:
        return tf.TensorSpec(any_count(value), value.dtype)

    def segment(
        state: State, position: tf.Tensor, examples: Examples,
        offset: tf.Tensor, batch_size: tf.Tensor, is_last: tf.Tensor,
    ) -> tuple[State, tf.Tensor, State]:
        return run_segment(
            attack, classifier, state, position, examples,
            offset=offset, batch_size=batch_size, is_last=is_last, steps=SEGMENT_STEPS,
        )

    def signature() -> list[Any]:
        number = tf.TensorSpec((), tf.int32)
        return [
            tf.nest.map_structure(specification, rows(attack, examples, 0, 0)),
            number,
            tf.nest.map_structure(specification, examples),
            number, number, tf.TensorSpec((), tf.bool),
        ]

    key = (attack, tuple(examples.images.shape[1:]))
    return classifier.graph(key, segment, signature)


def _per_example(values: ArrayLike, count: int, dtype: type = np.int32) -> tf.Tensor:
    return tf.constant(np.broadcast_to(np.asarray(values, dtype), (count,)))
