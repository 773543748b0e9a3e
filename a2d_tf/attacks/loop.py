"""The one loop that counts iterations.

An attack is a pair of functions over a *state*: a dictionary of tensors with a row per example.
`start` makes the rows, and `advance` makes one query for every row and marks those that are
finished. Whatever is not finite on the way makes a row invalid, which ends its attack without a
cost. The loop keeps its batch full of such rows: a finished row leaves at once and the next
example takes its place, so that the time is proportional to the sum of the costs, and not to the
largest cost times the batch size. A row never depends on another row, so that neither batch nor
order changes a cost.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import tensorflow as tf

from a2d_tf.classifiers import Classifier

State = dict[str, tf.Tensor]
# Every state holds these. An attack adds what its update rule needs.
OUTCOME = ("index", "images", "cost", "success", "queries", "gradients", "valid")


class Examples(NamedTuple):
    """The examples of an attack, and what is asked of it.

    Attributes:
      images: f32[n,H,W,C].
      labels: i32[n], the labels to leave; -1 stands for the classifier's own.
      targets: i32[n], the labels to reach; -1 stands for any other label.
      seeds: u32[n], seeds of their random numbers; see `attacks.stateless_random`.
      min_cost: i32[n]; costs <= min_cost may be reported as any value <= min_cost.
      max_cost: i32[n]; costs >= max_cost are reported as max_cost.
    """

    images: tf.Tensor
    labels: tf.Tensor
    targets: tf.Tensor
    seeds: tf.Tensor
    min_cost: tf.Tensor
    max_cost: tf.Tensor


def per_image(values: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Values [n], one for each image, with the axes of the images: as [n,1,1,1] as a rule."""
    return tf.reshape(values, (-1, *[1] * (images.shape.rank - 1)))


def pixel_axes(images: tf.Tensor) -> tuple[int, ...]:
    """All axes of images but the first."""
    return tuple(range(1, images.shape.rank))


def choose(condition: tf.Tensor, new: State, old: State) -> State:
    """The rows of `new` where the condition bool[n] holds, else those of `old`."""
    return {
        name: value if new[name] is value else tf.where(
            tf.reshape(condition, (-1, *[1] * (len(value.shape) - 1))), new[name], value
        )
        for name, value in old.items()
    }


def are_finite(values: tf.Tensor) -> tf.Tensor:
    """Whether all numbers of each row are finite, bool[n]."""
    return tf.reduce_all(tf.math.is_finite(values), axis=pixel_axes(values))


def has_direction(gradient: tf.Tensor) -> tf.Tensor:
    """Whether each gradient is finite and not exactly zero, bool[n]."""
    size = tf.reduce_sum(tf.abs(gradient), axis=pixel_axes(gradient))
    return (size > 0) & tf.math.is_finite(size)


class Steppable(Protocol):
    """What the loop needs of an attack."""

    @property
    def max_iterations(self) -> int:
        """The iterations after which an example counts as not attackable."""

    @property
    def cost_dtype(self) -> type:
        """The NumPy type of the costs."""

    def start(self, examples: Examples) -> State:
        """The initial state of examples, before any query."""

    def advance(self, classifier: Classifier, state: State) -> State:
        """The state after one more query for every row.

        It sets `finished`, `cost` and `success`, and clears `valid` where a logit or a gradient is
        not finite, or where the gradient at the image itself is exactly zero.
        """


def run_segment(
    attack: Steppable,
    classifier: Classifier,
    state: State,
    position: tf.Tensor,
    examples: Examples,
    *,
    offset: tf.Tensor,
    batch_size: tf.Tensor,
    is_last: tf.Tensor,
    steps: int,
    outcome: Sequence[str] = OUTCOME,
) -> tuple[State, tf.Tensor, State]:
    """Makes up to `steps` queries with a full batch, inside a graph.

    Args:
      state: the rows that are not finished, perhaps none.
      position: i32, the index of the first example that has not been started.
      examples: the examples at hand.
      offset: i32, the number of examples that came before them.
      batch_size: i32, rows in the loop at once.
      is_last: bool, whether no other examples will follow. If others follow, a batch that is no
        longer full waits for them.
      steps: the largest number of queries of a row.
      outcome: the parts of a finished row that are kept.

    Returns:
      The rows that are not finished, the new position, and the rows that finished.
    """
    total = tf.shape(examples.labels)[0]
    # In a graph of its own: within the larger graph of the loop, the passes of some tracings take
    # an eighth longer than those of others.
    advance = _apart(
        functools.partial(attack.advance, classifier),
        [tf.nest.map_structure(
            lambda value: tf.TensorSpec(any_count(value), value.dtype), state
        )],
    )

    def refill(state: State, position: tf.Tensor) -> tuple[State, tf.Tensor]:
        end = tf.minimum(total, position + batch_size - _count(state))
        fresh = rows(attack, examples, position, end, offset)
        return {name: tf.concat([state[name], fresh[name]], 0) for name in state}, end

    def retire(state: State, finished: State) -> tuple[State, State]:
        leaving = tf.where(state["finished"])[:, 0]
        staying = tf.where(~state["finished"])[:, 0]
        ended = _without_invalid({
            name: tf.gather(state[name], leaving) for name in {*OUTCOME, "max_cost"}
        })
        left = {name: tf.concat([finished[name], ended[name]], 0) for name in outcome}
        return {name: tf.gather(value, staying) for name, value in state.items()}, left

    def proceed(
        step: tf.Tensor, state: State, position: tf.Tensor, finished: State
    ) -> tf.Tensor:
        # The network never runs on zero rows: a reloaded convolution fails on them.
        return (step < steps) & ((position < total) | (is_last & (_count(state) > 0)))

    def iterate(
        step: tf.Tensor, state: State, position: tf.Tensor, finished: State
    ) -> tuple[tf.Tensor, State, tf.Tensor, State]:
        state, position = tf.cond(
            (_count(state) < batch_size) & (position < total),
            lambda: refill(state, position),
            lambda: (dict(state), position),
        )
        state = advance(state | {"queries": state["queries"] + 1})
        state |= {"finished": state["finished"] | ~state["valid"]}
        state, finished = tf.cond(
            tf.reduce_any(state["finished"]),
            lambda: retire(state, finished),
            lambda: (dict(state), dict(finished)),
        )
        return step + 1, state, position, finished

    finished = {name: state[name][:0] for name in outcome}
    variables = (tf.constant(0), state, position, finished)
    _, state, position, finished = tf.while_loop(
        proceed,
        iterate,
        variables,
        shape_invariants=tf.nest.map_structure(any_count, variables),
        parallel_iterations=1,
    )
    return state, position, finished


def rows(
    attack: Steppable,
    examples: Examples,
    start: int | tf.Tensor,
    end: int | tf.Tensor,
    offset: int | tf.Tensor = 0,
) -> State:
    """The initial rows of the examples from `start` to `end`."""
    index = tf.range(start, end)
    never = tf.zeros_like(index, tf.bool)
    chosen = Examples(*(values[start:end] for values in examples))
    return {
        "index": offset + index,
        "queries": tf.zeros_like(index),
        "gradients": tf.zeros_like(index),
        "cost": tf.zeros_like(index),
        "success": never,
        "finished": never,
        "valid": ~never,
        "min_cost": chosen.min_cost,
        "max_cost": chosen.max_cost,
        **attack.start(chosen),
    }


def _without_invalid(finished: State) -> State:
    """Finished rows, of which those that came to nothing are invalid and have no cost."""
    valid, cost = finished["valid"] & are_finite(finished["images"]), finished["cost"]
    return finished | {
        "valid": valid,
        "success": finished["success"] & valid,
        "cost": tf.where(valid, cost, tf.cast(finished["max_cost"], cost.dtype)),
    }


def _apart(
    function: Callable[[State], State], signature: list[State]
) -> Callable[[State], State]:
    """The function as a graph of its own, which TensorFlow does not merge into the calling graph.

    The attribute for this is not documented. Without it, results are the same and may take longer.
    """
    as_graph = functools.partial(
        tf.function, function, input_signature=signature, autograph=False
    )
    try:
        graph: Callable[[State], State] = as_graph(experimental_attributes={"_noinline": True})
    except (TypeError, ValueError):
        graph = as_graph()
    return graph


def any_count(value: tf.Tensor) -> tf.TensorShape:
    """The shape of a tensor with any number of rows; a scalar's shape is its own."""
    return tf.TensorShape([None]).concatenate(value.shape[1:]) if value.shape.rank else value.shape


def _count(state: State) -> tf.Tensor:
    return tf.shape(state["index"])[0]
