"""Fills the tables of README.md and of the pages from docs/results: python docs/collect_figures.py

A table stands between <!-- table: NAME --> and <!-- end -->. Which command wrote each result stands
in the text before its table.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import choose_tables
import comparison_tables
import env2_tables
import paper_tables
import scale_tables
import under_attack_tables

DOCS = Path(__file__).parent
TABLES: Mapping[str, Callable[[], list[list[str]]]] = {
    "chosen": partial(comparison_tables.chosen_rows, "compare_mnist"),
    "chosen-cifar10": partial(comparison_tables.chosen_rows, "compare_cifar10"),
    "mnist": partial(comparison_tables.all_rows, "compare_mnist"),
    "digits": partial(comparison_tables.all_rows, "compare_digits"),
    "cifar10": partial(comparison_tables.all_rows, "compare_cifar10"),
    "unseen": partial(comparison_tables.unseen_rows, "compare_mnist"),
    "unseen-cifar10": partial(comparison_tables.unseen_rows, "compare_cifar10"),
    "selection": comparison_tables.selection_rows,
    **choose_tables.TABLES,
    **env2_tables.TABLES,
    **paper_tables.TABLES,
    **scale_tables.TABLES,
    **under_attack_tables.TABLES,
}
MARK = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """README and every page."""
    return [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]


def filled(text: str) -> str:
    """The text of a page with its tables filled."""
    def fill(found: re.Match[str]) -> str:
        return found[1] + markdown(TABLES[found[2]]()) + found[3]

    return MARK.sub(fill, text)


def markdown(rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, f"|{' --- |' * len(rows[0])}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for path in pages():
        text = path.read_text(encoding="utf-8")
        if (new := filled(text)) != text:
            path.write_text(new, encoding="utf-8")
            print(path)
