"""Outputs take the place of old ones in one step, and killed runs leave nothing that stays."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from a2d_tf import InvalidInputError
from a2d_tf.storage import files, replacing


def start_writer(path: Path) -> tuple[int, int]:
    """A process that is about to write a folder; its id, and a pipe that ends its wait."""
    told, tell = os.pipe()
    wait, end = os.pipe()
    process = os.fork()
    if not process:
        os.close(end)
        with files.replacing(path) as scratch:
            scratch.mkdir()
            (scratch / "part").write_text("new")
            os.write(tell, b"x")
            os.read(wait, 1)
        os._exit(0)
    os.close(wait)
    assert os.read(told, 1) == b"x"
    return process, end


def write_folder(path: Path, text: str) -> None:
    with files.replacing(path) as scratch:
        scratch.mkdir()
        for name in ("one", "two"):
            (scratch / name).write_text(text)


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=["in one step", "aside"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With and without a system that exchanges folders."""
    if request.param == "aside":
        monkeypatch.setattr(replacing, "_exchange", lambda one, other: False)
    return str(request.param)


def test_a_folder_takes_the_place_of_another(way: str, tmp_path: Path) -> None:
    for text in ("old", "new"):
        write_folder(tmp_path / "folder", text)
    assert (tmp_path / "folder" / "one").read_text() == "new"
    assert listed(tmp_path) == ["folder"]


def test_linux_exchanges_folders_in_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform != "linux":
        pytest.skip("another system moves the old folder aside")
    write_folder(tmp_path / "folder", "old")
    monkeypatch.setattr(os, "rename", None)
    write_folder(tmp_path / "folder", "new")
    assert (tmp_path / "folder" / "two").read_text() == "new"


def test_an_error_while_folders_are_moved_restores_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "folder", "old")
    monkeypatch.setattr(replacing, "_exchange", lambda one, other: False)

    def fail(one: Path, other: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "folder", "new")
    assert (tmp_path / "folder" / "one").read_text() == "old"
    assert listed(tmp_path) == ["folder"]


def test_the_next_run_restores_what_a_killed_one_moved_aside(tmp_path: Path) -> None:
    scratch = tmp_path / ".writing-dead"
    (scratch / "new" / "folder").mkdir(parents=True)
    write_folder(scratch / "old" / "folder", "old")
    files.save_text(tmp_path / "beside.txt", "text")
    assert listed(tmp_path) == ["beside.txt", "folder"]
    assert (tmp_path / "folder" / "one").read_text() == "old"


def test_what_killed_runs_left_is_swept_and_what_live_ones_write_is_not(tmp_path: Path) -> None:
    (dead, _), (live, end) = (start_writer(tmp_path / "folder") for _ in range(2))
    os.kill(dead, signal.SIGKILL)
    os.waitpid(dead, 0)
    assert len(listed(tmp_path)) == 2
    files.save_text(tmp_path / "beside.txt", "text")
    left = listed(tmp_path)
    assert len(left) == 2 and left[0].startswith(".writing-") and left[1] == "beside.txt"
    os.write(end, b"x")
    os.waitpid(live, 0)
    assert listed(tmp_path) == ["beside.txt", "folder"]
    assert (tmp_path / "folder" / "part").read_text() == "new"


def test_leftovers_of_earlier_versions_are_swept_and_what_they_moved_aside_returns(
    tmp_path: Path,
) -> None:
    for scratch, name in ((".writing-abc", "folder"), (".writing-def", "other")):
        (tmp_path / scratch / f"old-{name}").mkdir(parents=True)
        (tmp_path / scratch / f"old-{name}" / "part").write_text("old")
        (tmp_path / scratch / name).mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "part").write_text("new")
    (tmp_path / ".writing-file").write_text("mine")
    files.save_text(tmp_path / "text", "text")
    assert listed(tmp_path) == [".writing-file", "folder", "other", "text"]
    assert (tmp_path / "folder" / "part").read_text() == "old"
    assert (tmp_path / "other" / "part").read_text() == "new"


def test_readers_find_the_old_or_the_new(tmp_path: Path) -> None:
    folder, done, torn = tmp_path / "folder", threading.Event(), []
    write_folder(folder, "0")

    def read() -> None:
        while not done.is_set():
            try:
                opened = os.open(folder, os.O_RDONLY)
            except FileNotFoundError:
                torn.append("no folder")
                continue
            os.close(opened)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(100):
        write_folder(folder, str(number))
    done.set()
    reader.join()
    assert sys.platform != "linux" or not torn


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/null", path)])
def test_devices_and_pipes_are_never_replaced(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "out")
    with pytest.raises(InvalidInputError, match="got the device or pipe"):
        files.save_text(tmp_path / "out", "text")
    with pytest.raises(InvalidInputError, match="got the device or pipe"):
        files.save_text("/dev/null", "text")
    assert listed(tmp_path) == ["out"]


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "real" / "text.txt")
    files.save_text(tmp_path / "link.txt", "text")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real" / "text.txt").read_text() == "text"


def test_a_folder_never_takes_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("keep")
    with pytest.raises(InvalidInputError, match="expected a folder to write to"):
        write_folder(tmp_path / "notes", "new")
    assert (tmp_path / "notes").read_text() == "keep" and listed(tmp_path) == ["notes"]


def test_the_home_folder_has_its_short_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    files.save_text("~/text", "text")
    assert listed(tmp_path) == ["text"]
