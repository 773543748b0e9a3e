"""The page on the choice of a detector: its tables are those of the stored results."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_tables_are_those_of_the_results() -> None:
    writer = runpy.run_path(str(DOCS / "write_choose.py"))
    text = (DOCS / "choose.md").read_text(encoding="utf-8")
    assert writer["page"]() == text, "run python docs/write_choose.py"
    assert text.count("<!-- table: ") == text.count("<!-- end -->") == 8
