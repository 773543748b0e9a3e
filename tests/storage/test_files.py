"""Outputs are written whole or not at all."""

from pathlib import Path

import pytest

from a2d_tf import InvalidInputError
from a2d_tf.storage import files


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    files.save_text(tmp_path / "report.md", "old")
    with pytest.raises(RuntimeError), files.replacing(tmp_path / "report.md") as scratch:
        scratch.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
    assert (tmp_path / "report.md").read_text() == "old"


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with files.replacing(tmp_path / "folder") as scratch:
            scratch.mkdir()
            (scratch / name).write_text(name)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["second"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "mine.txt").write_text("keep")
    with pytest.raises(InvalidInputError, match="expected a file name"):
        files.save_text(tmp_path / "results", "new")
    assert (tmp_path / "results" / "mine.txt").read_text() == "keep"


def test_the_hash_of_a_folder_sees_names_and_contents(tmp_path: Path) -> None:
    hashes = set()
    for name, text in (("a", "1"), ("b", "1"), ("a", "2")):
        with files.replacing(tmp_path / "model") as scratch:
            (scratch / "variables").mkdir(parents=True)
            (scratch / "variables" / name).write_text(text)
        hashes.add(files.sha256(tmp_path / "model"))
    assert len(hashes) == 3
