"""The figures of the paper, by table and figure."""

import json
from importlib import resources
from typing import Any


def published(experiment: str) -> dict[str, Any]:
    """The paper's figures of an experiment."""
    text = resources.files(__package__).joinpath("published.json").read_text(encoding="utf-8")
    figures: dict[str, Any] = json.loads(text)[experiment]
    return figures
