"""Tables for the terminal and in Markdown."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table as TerminalTable


class Table(NamedTuple):
    """A table to print and to write. Cells that are in bold stand between two asterisks."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def to_terminal(self) -> TerminalTable:
        """The table for a terminal."""
        shown = TerminalTable(*self.header, title=self.title)
        for row in self.rows:
            shown.add_row(*(cell.replace("**", "") for cell in row))
        return shown


def to_markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    cells.insert(1, ["---"] * len(cells[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def terminal_width(shown: TerminalTable) -> int:
    """The number of characters that a table needs."""
    return Console(width=1000).measure(shown).maximum
