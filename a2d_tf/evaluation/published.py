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
    searches = {name + SEARCH: figure for name, figure in row.items()}
    return {name: one for name, one in searches.items() if name in PRESETS["mnist"]} | {**row}
