"""The figures of the paper, by table and figure."""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, TypeVar

from a2d_tf.attacks import PRESETS

SEARCH = "-search"
Figure = TypeVar("Figure")


def published(experiment: str) -> dict[str, Any]:
    """The paper's figures of an experiment."""
    text = resources.files(__package__).joinpath("published.json").read_text(encoding="utf-8")
    figures: dict[str, Any] = json.loads(text)[experiment]
    return figures


def with_searches(row: Mapping[str, Figure]) -> dict[str, Figure]:
    """A row's figures by detector; those of an attack also stand for the same cost by search."""
    return {by_search(name): figure for name, figure in row.items()} | {**row}


def by_search(attack: str) -> str:
    """The name of the same cost by search, or the attack's own where it cannot be searched."""
    return attack + SEARCH if attack + SEARCH in PRESETS["mnist"] else attack
