"""The page on attacks: its tables are those of the stored results."""

import runpy
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def writer() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "write_under_attack.py"))


def test_the_tables_are_those_of_the_results(writer: dict[str, Any]) -> None:
    text = (DOCS / "under-attack.md").read_text(encoding="utf-8")
    assert writer["page"]() == text, "run python docs/write_under_attack.py"
    assert text.count("<!-- table: ") == text.count("<!-- end -->") == 5
