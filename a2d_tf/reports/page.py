"""One self-contained HTML page: an answer, and sections of tables, charts and images.

The page needs no network: styles, the script that sorts tables, charts (SVG) and images are inside.
All text is escaped.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import jinja2

from a2d_tf.reports.svg import Chart
from a2d_tf.storage import files

__all__ = [
    "Cell", "DataTable", "Gallery", "Page", "Section", "Thumbnail", "plain",
    "settings_section", "write",
]

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("a2d_tf.reports", "."), autoescape=True,
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
)


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
      text: what is shown.
      value: what the column is sorted by; None sorts by the text, and below all numbers.
      best: whether it is the best of its column, shown in bold.
      note: small print below, such as an interval.
    """

    text: str
    value: float | None = None
    best: bool = False
    note: str = ""


class DataTable(NamedTuple):
    """A table whose header cells sort it.

    Attributes:
      caption: what the table shows.
      header: the titles of the columns.
      rows: as many cells each; the first one heads the row.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]


class Thumbnail(NamedTuple):
    """An image as a data URI, what it shows in words, and lines below it."""

    uri: str
    alt: str
    lines: Sequence[str]


class Gallery(NamedTuple):
    """Images under a title; `empty` is said if there are none."""

    title: str
    images: Sequence[Thumbnail]
    empty: str = "None."


Block = str | DataTable | Chart | Gallery  # a string is a paragraph


class Section(NamedTuple):
    """Blocks under a title; a folded one is opened by a click."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
      title: of the page.
      answer: the result in one sentence.
      about: what was measured, in a sentence or two.
      sections: the rest.
    """

    title: str
    answer: str
    about: str
    sections: Sequence[Section]


def plain(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> DataTable:
    """A table of texts; those that are numbers sort as numbers."""
    return DataTable(caption, header, [[Cell(text, _number(text)) for text in r] for r in rows])


def settings_section(provenance: str) -> Section:
    """What a result was made with, as `storage.provenance` writes it, folded."""
    made_with = json.loads(provenance)
    rows = [["model", made_with["model"]], ["model SHA-256", made_with["model_sha256"]]]
    rows += [[name, str(value)] for name, value in made_with["settings"].items()]
    versions = [[name, str(value)] for name, value in made_with["versions"].items()]
    return Section("Settings and versions", [
        plain("Settings.", ["setting", "value"], rows),
        plain("Versions.", ["package", "version"], versions),
    ], folded=True)


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "").removesuffix("%"))
    except ValueError:
        return None


def render(page: Page) -> str:
    """The page as HTML."""
    return _ENVIRONMENT.get_template("page.html").render(page=page, runs=_runs)


def _runs(blocks: Sequence[Block]) -> list[tuple[str, list[Block]]]:
    """Blocks of one kind that follow each other: charts stand side by side."""
    kinds = {DataTable: "table", Chart: "chart", Gallery: "gallery", str: "text"}
    return [
        (kind, list(run)) for kind, run in groupby(blocks, lambda block: kinds[type(block)])
    ]


def write(page: Page, path: str | Path) -> None:
    """Writes the page to a file, whole or not at all."""
    files.save_text(path, render(page))
