"""Tables for the terminal and in Markdown."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table as TerminalTable
from rich.text import Text


# How all tables look on a terminal: narrow enough for 100 columns.
LOOK: dict[str, Any] = {
    "box": box.SIMPLE_HEAD, "show_edge": False, "padding": (0, 2, 0, 0), "header_style": "cyan",
}


class Table(NamedTuple):
    """A table to print and to write. Cells that are in bold stand between two asterisks."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def to_terminal(self) -> TerminalTable:
        """The table for a terminal."""
        shown = TerminalTable(title=self.title, **LOOK)
        for index, title in enumerate(self.header):
            # A title is folded at its words, so that it is no wider than what stands below it.
            below = max((len(row[index]) for row in self.rows), default=len(title))
            lines = textwrap.wrap(title, max(below, 1), break_long_words=False)
            shown.add_column("\n".join(lines))
        for row in self.rows:
            shown.add_row(*map(_terminal_cell, row))
        return shown


def _terminal_cell(cell: str) -> Text:
    return Text(cell.replace("**", ""), style="bold" if cell.startswith("**") else "")


def to_markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    cells.insert(1, ["---"] * len(cells[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def terminal_width(shown: TerminalTable) -> int:
    """The number of characters that a table needs."""
    return Console(width=1000).measure(shown).maximum
