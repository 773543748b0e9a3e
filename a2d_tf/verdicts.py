"""Verdicts alone, from no more queries than they take (paper, section 5.3.2).

To say whether an input is adversarial, a fitted detector need not know its costs: only on which
side of the threshold they lie. The attacks run one after the other, and each leaves an example
as soon as no cost that is still possible can change the verdict.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.attacks import Attack
from a2d_tf.attacks.running import OnFinished
from a2d_tf.classifier import Classifier, Labels
from a2d_tf.detectors import CostDetector
from a2d_tf.pixels import Images

ROWS_AT_ONCE = 100_000


class Range(NamedTuple):
    """The costs of one attack on which a verdict hangs, i32[n] each.

    Attributes:
      min_cost: with this cost or less the input is adversarial for certain; -1 if with none.
      max_cost: with this cost or more it is benign for certain; above the attack's maximum if
        with none.
    """

    min_cost: NDArray[np.int32]
    max_cost: NDArray[np.int32]


def can_settle(detector: CostDetector, attacks: Mapping[str, Attack]) -> bool:
    """Whether a verdict can be known before all costs are: see `undecided`."""
    if not all(attack.stops_early for attack in attacks.values()):
        return False
    return detector.falls_with_cost or len(attacks) == 1


def settle(
    classifier: Classifier,
    images: Images,
    labels: Labels,
    attacks: Mapping[str, Attack],
    order: Sequence[str],
    detector: CostDetector,
    batch_size: int,
    on_finished: OnFinished | None = None,
) -> NDArray[np.bool_]:
    """Verdicts bool[N], True = adversarial: those that the full costs would give.

    Args:
      classifier: the classifier whose inputs are judged.
      images: f32[N,H,W,C], checked.
      labels: i64[N], the classifier's.
      attacks: by name, in the order of the detector's columns.
      order: their names in the order in which they run.
      detector: fitted; one that `can_settle`.
      batch_size: examples under attack at once.
      on_finished: called with the number of (image, attack) pairs that are done with.
    """
    columns = list(attacks)
    caps = np.array([attack.max_iterations for attack in attacks.values()])
    costs = np.zeros((len(images), len(columns)))
    verdicts = np.zeros(len(images), np.bool_)
    rows = np.arange(len(images))  # those whose verdict is open
    for place, name in enumerate(order):
        column, later = columns.index(name), [columns.index(other) for other in order[place + 1:]]
        low, high = undecided(detector, costs[rows], column, caps, later)
        verdicts[rows] = low == caps[column]
        is_open = (low < caps[column]) & (high > 0)
        rows, low, high = rows[is_open], low[is_open], high[is_open]
        if on_finished and len(rows) < len(images):
            on_finished(len(images) - len(rows))
        run = attacks[name].begin(classifier, batch_size=batch_size, on_finished=on_finished)
        for start in range(0, len(rows), batch_size):
            part = slice(start, start + batch_size)
            run.feed(
                images[rows[part]], labels=labels[rows[part]], min_cost=low[part],
                max_cost=high[part], last=part.stop >= len(rows),
            )
        costs[rows, column] = run.result().cost
    verdicts[rows] = detector.predict(costs[rows])
    return verdicts


def undecided(
    detector: CostDetector,
    costs: NDArray[np.float64],
    column: int,
    caps: NDArray[np.int64],
    later: Sequence[int],
) -> Range:
    """Between which costs of one attack the verdicts on inputs are open.

    The detector itself is asked about every cost that the attack can have, and about the extremes
    of those to come: the verdict is certain if it is the same for both. A detector whose score
    does not fall with every cost can only be asked so about its single attack.

    Args:
      detector: fitted.
      costs: f64[n,A]; the columns of attacks that have run count.
      column: the attack's.
      caps: i64[A], the attacks' largest costs.
      later: columns of the attacks that run after it.
    """
    costs = costs.copy()
    costs[:, [column, *later]] = 0
    known, member = np.unique(costs, axis=0, return_inverse=True)
    possible = np.arange(caps[column] + 1)
    low, high = [], []
    for part in np.array_split(known, -(-known.shape[0] * len(possible) // ROWS_AT_ONCE) or 1):
        table = np.repeat(part, len(possible), axis=0)
        table[:, column] = np.tile(possible, len(part))
        shape = (len(part), len(possible))
        may_be = detector.predict(table).reshape(shape)  # adversarial
        table[:, later] = caps[later]
        must_be = detector.predict(table).reshape(shape) if later else may_be
        low.append(np.where(must_be.all(axis=1), len(possible), must_be.argmin(axis=1)) - 1)
        reached = may_be[:, ::-1].argmax(axis=1)
        high.append(np.where(may_be.any(axis=1), len(possible) - reached, 0))
    member = member.reshape(-1)
    return Range(*(np.concatenate(ends).astype(np.int32)[member] for ends in (low, high)))
