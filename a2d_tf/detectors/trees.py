"""A decision tree and a random forest on costs (paper, section C)."""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from a2d_tf.detectors.base import CostDetector, Costs, require_both

LEAF = -1


@dataclass(kw_only=True)
class _Trees(CostDetector):
    """Trees as scikit-learn grows them, kept as tables of nodes.

    The score is the mean share of adversarial inputs in the leaves that the costs fall into.

    Attributes:
      seed: of the growth.
    """

    seed: int = 0

    @property
    def default_threshold(self) -> float:
        return 0.5

    def check_counts(self, benign: int, adversarial: int) -> None:
        require_both(benign, adversarial, f"a {self.name}")

    @abc.abstractmethod
    def _grown(
        self, costs: Costs, is_adversarial: NDArray[np.bool_]
    ) -> Sequence[DecisionTreeClassifier]:
        """The trees."""

    def _fit(self, costs: Costs, is_adversarial: NDArray[np.bool_]) -> dict[str, Any]:
        trees = [tree.tree_ for tree in self._grown(costs, is_adversarial)]
        roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
        return {
            "roots": roots,
            "column": np.maximum(np.concatenate([tree.feature for tree in trees]), 0),
            "split": np.concatenate([tree.threshold for tree in trees]),
            "left": _below(roots, [tree.children_left for tree in trees]),
            "right": _below(roots, [tree.children_right for tree in trees]),
            "share": np.concatenate([tree.value[:, 0, 1] for tree in trees]),
        }

    def _score(self, costs: Costs) -> Costs:
        learned = self._fitted
        node = np.tile(learned["roots"], (len(costs), 1))
        rows = np.arange(len(costs))[:, None]
        # scikit-learn splits in single precision.
        values = costs.astype(np.float32)
        while (inner := learned["left"][node] != LEAF).any():
            goes_left = values[rows, learned["column"][node]] <= learned["split"][node]
            below = np.where(goes_left, learned["left"][node], learned["right"][node])
            node = np.where(inner, below, node)
        shares: Costs = learned["share"][node].mean(axis=1)
        return shares


@dataclass(kw_only=True)
class Tree(_Trees):
    """scikit-learn's `DecisionTreeClassifier` with its default settings, as in the paper.

    Attributes:
      seed: of the growth.
    """

    name: ClassVar[str] = "tree"

    def _grown(
        self, costs: Costs, is_adversarial: NDArray[np.bool_]
    ) -> Sequence[DecisionTreeClassifier]:
        return [DecisionTreeClassifier(random_state=self.seed).fit(costs, is_adversarial)]


@dataclass(kw_only=True)
class Forest(_Trees):
    """scikit-learn's `RandomForestClassifier` with its default settings, as in the paper.

    Attributes:
      seed: of the growth.
    """

    name: ClassVar[str] = "forest"

    def _grown(
        self, costs: Costs, is_adversarial: NDArray[np.bool_]
    ) -> Sequence[DecisionTreeClassifier]:
        forest = RandomForestClassifier(random_state=self.seed).fit(costs, is_adversarial)
        grown: Sequence[DecisionTreeClassifier] = forest.estimators_
        return grown


def _below(roots: NDArray[np.intp], children: list[NDArray[np.intp]]) -> NDArray[np.intp]:
    """The children of every node, numbered through all trees."""
    return np.concatenate([
        np.where(child == LEAF, LEAF, child + root)
        for root, child in zip(roots, children, strict=True)
    ])


def depth(nodes: Mapping[str, NDArray[Any]]) -> int:
    """The splits on the longest way from a root to a leaf."""
    level, count = nodes["roots"], 0
    while len(level := level[nodes["left"][level] != LEAF]):
        level = np.concatenate([nodes["left"][level], nodes["right"][level]])
        count += 1
    return count
