"""The one loop that counts iterations.

An attack is a pair of functions over a *state*: a dictionary of tensors with a row per
example. `start` makes rows, `advance` takes every row one iteration further and says which
are finished. The loop keeps a batch full of such rows: a finished row leaves at once and a
waiting example takes its place, so that time follows the sum of the costs and not
batch x slowest. Rows never see one another, so neither batch nor order changes a cost.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf.classifier import Classifier

State = dict[str, tf.Tensor]
# Every state holds these; an attack adds what else its update rule needs.
OUTCOME = ("index", "images", "cost", "success", "queries")
# A segment of the loop returns to Python this often: for progress and for Ctrl-C.
SEGMENT_STEPS = 64


class Examples(NamedTuple):
    """What an attack is told of the examples.

    Attributes:
      images: f32[n,H,W,C].
      labels: i32[n], the labels to leave; -1 where the classifier's own is meant.
      targets: i32[n], the labels to reach; -1 where any other will do.
      keys: u32[n], of the examples' random numbers; see `attacks.randomness`.
    """

    images: tf.Tensor
    labels: tf.Tensor
    targets: tf.Tensor
    keys: tf.Tensor


def per_image(values: tf.Tensor) -> tf.Tensor:
    """Values [n] as [n,1,1,1], a number for each image."""
    return values[:, None, None, None]


def choose(condition: tf.Tensor, new: State, old: State) -> State:
    """The rows of `new` where the condition bool[n] holds, else those of `old`."""
    return {
        name: value if new[name] is value else tf.where(
            tf.reshape(condition, (-1, *[1] * (len(value.shape) - 1))), new[name], value
        )
        for name, value in old.items()
    }


class Steppable(Protocol):
    """What the loop needs of an attack."""

    def start(self, examples: Examples) -> State:
        """Rows that have asked the classifier nothing yet."""

    def advance(self, classifier: Classifier, state: State) -> State:
        """Every row one query further; sets `finished`, and `cost`, `success` with it."""


class Finished(NamedTuple):
    """Examples whose attack has ended, in the order in which it ended."""

    which: NDArray[np.int32]
    adversarial: NDArray[np.float32]
    cost: NDArray[np.int32]
    success: NDArray[np.bool_]
    queries: NDArray[np.int32]


def run_loop(
    attack: Steppable, classifier: Classifier, examples: Examples, batch_size: int
) -> Iterator[Finished]:
    """Yields the examples as their attacks end, every example once.

    Args:
      attack: hashable, since its graph is traced once for each classifier and kept there.
      classifier: asked inside the graph.
      examples: checked.
      batch_size: rows in the loop at once; bounds the memory.
    """
    count, *shape = examples.images.shape
    key = (attack, tuple(shape))
    if key not in classifier.graphs:
        classifier.graphs[key] = _trace_segment(attack, classifier, examples)
    segment = classifier.graphs[key]
    state = _rows(attack, examples, 0, 0)
    position = tf.constant(0)
    done = 0
    while done < count:
        state, position, finished = segment(state, position, examples, tf.constant(batch_size))
        done += len(finished["index"])
        yield Finished(*(finished[name].numpy() for name in OUTCOME))


def _trace_segment(
    attack: Steppable, classifier: Classifier, examples: Examples
) -> Callable[..., Any]:
    def specification(value: tf.Tensor) -> tf.TensorSpec:
        return tf.TensorSpec(_any_row_count(value), value.dtype)

    scalar = tf.TensorSpec((), tf.int32)
    segment: Callable[..., Any] = tf.function(
        functools.partial(run_segment, attack, classifier, steps=SEGMENT_STEPS),
        input_signature=[
            tf.nest.map_structure(specification, _rows(attack, examples, 0, 0)),
            scalar,
            tf.nest.map_structure(specification, examples),
            scalar,
        ],
        autograph=False,
    )
    return segment


def run_segment(
    attack: Steppable,
    classifier: Classifier,
    state: State,
    position: tf.Tensor,
    examples: Examples,
    batch_size: tf.Tensor,
    steps: int,
) -> tuple[State, tf.Tensor, State]:
    """Up to `steps` queries of a full batch, inside a graph.

    Args:
      state: the rows under way, perhaps none.
      position: i32, the first of the examples that has not been started.
      examples: all of them.
      batch_size: i32, rows in the loop at once.
      steps: queries of a row at most.

    Returns:
      The rows still under way, the new position, and the rows that finished.
    """
    total = tf.shape(examples.labels)[0]

    def refill(state: State, position: tf.Tensor) -> tuple[State, tf.Tensor]:
        end = tf.minimum(total, position + batch_size - _count(state))
        fresh = _rows(attack, examples, position, end)
        return {name: tf.concat([state[name], fresh[name]], 0) for name in state}, end

    def retire(state: State, finished: State) -> tuple[State, State]:
        leaving = tf.where(state["finished"])[:, 0]
        staying = tf.where(~state["finished"])[:, 0]
        left = {
            name: tf.concat([finished[name], tf.gather(state[name], leaving)], 0)
            for name in OUTCOME
        }
        return {name: tf.gather(value, staying) for name, value in state.items()}, left

    def proceed(
        step: tf.Tensor, state: State, position: tf.Tensor, finished: State
    ) -> tf.Tensor:
        # Never run the network on zero rows: a reloaded convolution fails on them.
        return (step < steps) & ((_count(state) > 0) | (position < total))

    def iterate(
        step: tf.Tensor, state: State, position: tf.Tensor, finished: State
    ) -> tuple[tf.Tensor, State, tf.Tensor, State]:
        state, position = tf.cond(
            (_count(state) < batch_size) & (position < total),
            lambda: refill(state, position),
            lambda: (dict(state), position),
        )
        state = attack.advance(classifier, state | {"queries": state["queries"] + 1})
        state, finished = tf.cond(
            tf.reduce_any(state["finished"]),
            lambda: retire(state, finished),
            lambda: (dict(state), dict(finished)),
        )
        return step + 1, state, position, finished

    finished = {name: state[name][:0] for name in OUTCOME}
    variables = (tf.constant(0), state, position, finished)
    _, state, position, finished = tf.while_loop(
        proceed,
        iterate,
        variables,
        shape_invariants=tf.nest.map_structure(_any_row_count, variables),
        parallel_iterations=1,
    )
    return state, position, finished


def _rows(
    attack: Steppable, examples: Examples, start: int | tf.Tensor, end: int | tf.Tensor
) -> State:
    """The rows of examples `start` to `end`, which have asked nothing yet."""
    index = tf.range(start, end)
    never = tf.zeros_like(index, tf.bool)
    return {
        "index": index,
        "queries": tf.zeros_like(index),
        "cost": tf.zeros_like(index),
        "success": never,
        "finished": never,
        **attack.start(Examples(*(values[start:end] for values in examples))),
    }


def _count(state: State) -> tf.Tensor:
    return tf.shape(state["index"])[0]


def _any_row_count(value: tf.Tensor) -> tf.TensorShape:
    return tf.TensorShape([None]).concatenate(value.shape[1:]) if value.shape.rank else value.shape
