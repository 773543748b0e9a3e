"""A decision tree and a random forest: benign and adversarial images (paper, section C)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from a2d_tf import checks
from a2d_tf.detectors.base import Detector
from a2d_tf.detectors.columns import Columns, require_both

LEAF = -1


@dataclass(kw_only=True, eq=False)
class _Trees(Detector):
    """Trees as scikit-learn grows them, stored as tables of nodes.

    The score is the mean share of adversarial inputs in the leaves that an input falls into.

    Attributes:
      seed: seed of the growth.
    """

    estimator: ClassVar[type[DecisionTreeClassifier] | type[RandomForestClassifier]]
    seed: int = 0

    def __post_init__(self) -> None:
        checks.integer(self.seed, "a seed", minimum=0, maximum=2**32 - 1)

    @property
    def default_threshold(self) -> float:
        return 0.5

    def check_counts(self, benign: int, adversarial: int) -> None:
        require_both(benign, adversarial, f"a {self.name}")

    def _fit(self, columns: Columns, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        fitted = self.estimator(random_state=self.seed).fit(columns, is_adversarial)
        grown = [tree.tree_ for tree in getattr(fitted, "estimators_", [fitted])]
        return tables(grown, [tree.value[:, 0, 1] for tree in grown])

    def _score(self, columns: tf.Tensor) -> tf.Tensor:
        return mean_of_leaves(columns, self.learned)


@dataclass(kw_only=True, eq=False)
class Tree(_Trees):
    """scikit-learn's `DecisionTreeClassifier` with its default settings, as in the paper.

    Attributes:
      seed: seed of the growth.
    """

    name: ClassVar[str] = "tree"
    estimator = DecisionTreeClassifier


@dataclass(kw_only=True, eq=False)
class Forest(_Trees):
    """scikit-learn's `RandomForestClassifier` with its default settings, as in the paper.

    Attributes:
      seed: seed of the growth.
    """

    name: ClassVar[str] = "forest"
    estimator = RandomForestClassifier


def tables(grown: Sequence[Any], shares: Sequence[NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
    """scikit-learn's trees as tables of nodes, each with the share that stands for it."""
    roots = np.cumsum([0, *(tree.node_count for tree in grown[:-1])])
    return {
        "roots": roots,
        "column": np.maximum(np.concatenate([tree.feature for tree in grown]), 0),
        "split": np.concatenate([tree.threshold for tree in grown]),
        "left": _numbered(roots, [tree.children_left for tree in grown]),
        "right": _numbered(roots, [tree.children_right for tree in grown]),
        "share": np.concatenate(shares),
    }


def mean_of_leaves(columns: tf.Tensor, learned: Mapping[str, NDArray[Any]]) -> tf.Tensor:
    """The mean share f64[n] of the leaves that columns f64[n,D] fall into; see `tables`."""
    roots, left, right = learned["roots"], learned["left"], learned["right"]
    # scikit-learn splits in single precision.
    values = tf.cast(tf.cast(columns, tf.float32), tf.float64)
    node = tf.tile(tf.constant(roots)[None], [tf.shape(columns)[0], 1])
    for _ in range(_depth(roots, left, right)):
        value = tf.gather(values, tf.gather(learned["column"], node), batch_dims=1)
        goes_left = value <= tf.gather(learned["split"], node)
        child = tf.where(goes_left, tf.gather(left, node), tf.gather(right, node))
        node = tf.where(tf.gather(left, node) == LEAF, node, child)
    return tf.reduce_mean(tf.gather(learned["share"], node), axis=1)


def _numbered(roots: NDArray[np.intp], children: list[NDArray[np.intp]]) -> NDArray[np.intp]:
    """The children of every node, numbered through all trees."""
    return np.concatenate([
        np.where(child == LEAF, LEAF, child + root)
        for root, child in zip(roots, children, strict=True)
    ])


def _depth(
    level: NDArray[np.intp], left: NDArray[np.intp], right: NDArray[np.intp]
) -> int:
    """The number of splits on the longest way from the nodes of a level to a leaf."""
    count = 0
    while len(level := level[left[level] != LEAF]):
        level = np.concatenate([left[level], right[level]])
        count += 1
    return count
