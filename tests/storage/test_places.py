"""Places that cannot be written to are refused before the work starts."""

import os
import resource
from pathlib import Path

import pytest

from a2d_tf import InvalidInputError
from a2d_tf.storage.places import check_file_place, check_folder_place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.mark.parametrize("name, message", [
    ("", "an empty|got ''"), ("  ", "give a path"), ("a\0b", "give a path"),
    ("x/", "ends in a slash"), ("folder/", "ends in a slash"), ("folder", "got the folder"),
    (".", "got the folder"), ("file/x", "below the file"), ("file/x/y", "below the file"),
    ("x" * 256, "at most 255 bytes"), ("é" * 128, "at most 255 bytes"),
    ("/".join(["x" * 200] * 30), "at most 255 bytes"),
    ("pipe", "the device or pipe"), ("/dev/null", "the device or pipe"),
])
def test_unfit_places_of_files(
    name: str, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(InvalidInputError, match=message) as error:
        check_file_place(name)
    assert "\n" not in str(error.value)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("name, message", [
    ("", "give a path"), ("file", "got the file"), ("file/x", "below the file"),
    ("pipe", "the device or pipe"), ("x" * 256, "at most 255 bytes"),
])
def test_unfit_places_of_folders(
    name: str, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(InvalidInputError, match=message):
        check_folder_place(name)


def test_fit_places(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    assert check_file_place("new/deep/file") == Path("new/deep/file")
    assert check_file_place("file") == Path("file")
    assert check_file_place("~/file") == folder / "file"
    assert check_folder_place("folder/") == Path("folder")
    assert check_folder_place("~") == folder
    assert check_file_place(b"\xff".decode(errors="surrogateescape"))
    assert not (folder / "new").exists()


def test_a_folder_without_leave_to_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InvalidInputError, match="where you may write, got .* read-only"):
        check_file_place(folder / "new")


def test_a_folder_without_room(folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # no file may become longer
    try:
        with pytest.raises(InvalidInputError, match="expected a place that can be written to"):
            check_folder_place(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
