"""Fills in the figures of README.md and of the pages, from docs/results:

python docs/collect_figures.py

A table stands between <!-- table: NAME --> and <!-- end -->. The figures within sentences are those
of `page_sentences`. Which command wrote each result stands in the text before its table.
"""

import re
from pathlib import Path

from page_sentences import SENTENCES, with_figures
from page_tables import TABLES

DOCS = Path(__file__).parent
MARK = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """README and every page."""
    return [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]


def filled(text: str, page: str = "") -> str:
    """The text of a page with its tables and its sentences filled.

    Raises:
      ValueError: a sentence is not there, or is there twice.
    """
    def fill(found: re.Match[str]) -> str:
        return found[1] + markdown(TABLES[found[2]]()) + found[3]

    text = MARK.sub(fill, text)
    for words, figures in SENTENCES.get(page, list)():
        text = with_figures(text, words, figures)
    return text


def markdown(rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, f"|{' --- |' * len(rows[0])}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for path in pages():
        text = path.read_text(encoding="utf-8")
        if (new := filled(text, path.name)) != text:
            path.write_text(new, encoding="utf-8")
            print(path)
