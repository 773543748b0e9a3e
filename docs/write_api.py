"""Writes docs/api.md, the public names with their signatures: python docs/write_api.py"""

import importlib
import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "api.md"
MODULES = (
    "a2d_tf", "a2d_tf.attacks", "a2d_tf.features", "a2d_tf.detectors", "a2d_tf.images",
    "a2d_tf.threats", "a2d_tf.adaptive", "a2d_tf.robustness", "a2d_tf.evaluation",
    "a2d_tf.reproduction", "a2d_tf.benchmark", "a2d_tf.zoo", "a2d_tf.export", "a2d_tf.scoring",
    "a2d_tf.serving", "a2d_baselines",
)
INTRODUCTION = """\
# Public names

This page is generated from the code by `python docs/write_api.py`, and a test compares the two.
What is not on it may change in any version. `help(name)` shows the full text of each entry.
"""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for name in MODULES:
        module = importlib.import_module(name)
        parts.append(f"\n## {name}\n\n{summary(module)}\n")
        for entry in sorted(module.__all__, key=str.lower):
            parts.extend(described(entry, getattr(module, entry)))
    return "\n".join(parts) + "\n"


def described(name: str, value: Any) -> Iterator[str]:
    """A name, and if it is a class its public methods and properties."""
    if inspect.ismodule(value):
        yield f"- **`{name}`**: a module, see below."
    elif inspect.isclass(value) and value.__module__ != "builtins":
        yield f"- **`{name}{signature(value)}`**: {summary(value)}"
        yield from members(value)
    elif inspect.isfunction(value):
        yield f"- **`{name}{signature(value)}`**: {summary(value)}"
    elif typing.get_origin(value) or isinstance(value, (type, typing.TypeVar)):
        yield f"- **`{name}`**: a type."
    else:
        yield f"- **`{name}`**: a constant, {type(value).__name__}."


def members(one: type) -> Iterator[str]:
    for name, value in sorted(vars(one).items()):
        raw = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        text = summary(raw) if getattr(raw, "__doc__", None) else ""  # its own, not inherited
        if name.startswith("_") and name != "__call__" or not text or "Deprecated" in text:
            continue
        if isinstance(raw, property):
            yield f"    - `{name}`: {text}"
        elif inspect.isfunction(raw):
            yield f"    - `{name}{signature(raw)}`: {text}"


def signature(value: Any) -> str:
    """The signature without types."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    parameters = [
        one.replace(annotation=inspect.Parameter.empty) for one in found.parameters.values()
        if one.name not in ("self", "cls", "learned")
    ]
    if inspect.isclass(value) and issubclass(value, Exception):
        return ""
    plain = found.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
    return re.sub(r"<(?:[^<>]|<[^<>]*>)*>", "...", str(plain))  # some defaults have no text


def summary(value: Any) -> str:
    """The first paragraph of a docstring."""
    text = inspect.getdoc(value) or ""
    return " ".join(text.split("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
