"""The paper's figures are as they were copied from it."""

import hashlib
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from a2d_tf.evaluation.published import published

# Of all figures, in the order of their keys. Compare with the paper before you change it.
DIGEST = "e02864a5363dc19012a3c5cc9549a1f69a19a0b579f594cebb20bee8c8120387"


def test_no_figure_has_changed() -> None:
    text = resources.files("a2d_tf.evaluation").joinpath("published.json").read_text()
    ordered = json.dumps(json.loads(text), sort_keys=True)
    assert hashlib.sha256(ordered.encode()).hexdigest() == DIGEST


@pytest.mark.parametrize("keys, expected", [
    (("table2_env1", "mnist", "fgsm", "bim"), 0.9922),
    (("table1", "mnist", "untargeted", "benign"), [3.5572, 0.3342]),
    (("table4", "cifar10", "l2"), [0.41, 0.52, 0.67, 0.82, 0.99]),
    (("table2_env2", "mnist", "bb", "lcr"), 0.9677),
    (("table3", "mnist", "jsma"), [20, 0.954, 240, 53, 0.897]),
    (("table7", "k", "100"), [0.979, 0.9685]),
    (("figure7", "cifar10", "attack_success", "no defence", "10"), "21%"),
])
def test_some_figures_by_hand(keys: tuple[str, ...], expected: Any) -> None:
    found: Any = published(keys[0])
    for key in keys[1:]:
        found = found[key]
    assert found == expected


def test_table1_is_that_of_the_reference(shared: Callable[[str], Path]) -> None:
    reference = json.loads(shared("reference/published.json").read_text())["table1_clever"]
    for dataset, targets in published("table1").items():
        for target, row in targets.items():
            expected = reference[dataset][target]
            assert row.pop("average_ratio") == expected["average_ratio"]
            for kind, figures in row.items():
                assert figures == [expected[kind]["mean"], expected[kind]["ci90"]]
