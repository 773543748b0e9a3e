"""When a script prints its warnings."""

import warnings
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_a_note_is_printed_while_the_work_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    import cli_terminal  # type: ignore[import-not-found, unused-ignore]

    notes = cli_terminal.NOTES
    with notes.catching():
        warnings.warn("known before the work", UserWarning, stacklevel=1)
        with cli_terminal.TerminalProgress().stage("work", 2) as advance:
            assert capsys.readouterr().err == ""  # until then the input may prove unfit
            advance(1)
            lines = capsys.readouterr().err.splitlines()
            assert lines[0] == "note: known before the work" and lines[1].startswith("work: 1/2")
            warnings.warn("known at the end of the work", UserWarning, stacklevel=1)
        lines = capsys.readouterr().err.splitlines()
        assert [lines[0][:10], lines[1]] == ["work: done", "note: known at the end of the work"]
        warnings.warn("not printed yet", UserWarning, stacklevel=1)
        assert notes.take() == ["not printed yet"]  # for the line of an error
        notes.print_pending()
    assert capsys.readouterr().err == ""
