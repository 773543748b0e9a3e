"""Files and folders that take the place of old ones whole, at whatever moment a run is killed."""

import ctypes
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from a2d_tf.errors import InvalidInputError

SCRATCH = ".writing-"
NEW, OLD = "new", "old"  # within a scratch folder
OLD_PREFIX = "old-"  # of what versions before 0.6 moved aside
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block succeeds.

    It serves for a file and for a folder; it keeps the name, since some writers look at the suffix.
    `~` is the home folder, and a link is followed: what it points to is replaced.

    Who reads `path` meanwhile finds the old or the new, each whole. Linux exchanges two folders in
    one step. Elsewhere the old folder is moved aside first; if the run is killed just then, the
    next run that writes beside it moves it back. What killed runs left behind is removed in the
    same way.

    Raises:
      InvalidInputError: a file was to take the place of a folder, a folder that of a file, or
        either that of a device or of a pipe.
    """
    target = Path(os.path.realpath(os.path.expanduser(path)))
    check_kind(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    with _scratch(target.parent) as scratch:
        new = scratch / NEW / target.name
        yield new
        check_kind(target)
        if target.is_dir() and not new.is_dir():
            raise InvalidInputError(
                f"expected a file name to write to, got the folder {path}; name a file in it"
            )
        if new.is_dir() and target.is_file():
            raise InvalidInputError(
                f"expected a folder to write to, got the file {path}; name another place"
            )
        if not (target.is_dir() and _exchange(new, target)):
            if target.is_dir():
                os.rename(target, scratch / OLD / target.name)
            os.replace(new, target)


def sweep(folder: Path) -> None:
    """Removes what killed runs left behind in a folder; leaves what a live process writes.

    A process holds a lock on the folder that it writes to, which ends with the process.
    """
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.name.startswith(SCRATCH) and entry.is_dir(follow_symlinks=False):
                with suppress(OSError):
                    lock = _lock(Path(entry.path))
                    try:
                        _clear(Path(entry.path))
                    finally:
                        os.close(lock)


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """A new locked folder, which is removed in the end."""
    folder, lock = _locked_folder(parent)
    try:
        (folder / NEW).mkdir()
        (folder / OLD).mkdir()
        yield folder
    finally:
        _clear(folder)
        if lock is not None:
            os.close(lock)


def _locked_folder(parent: Path) -> tuple[Path, int | None]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=parent))
        try:
            lock = _lock(folder)
        except (FileNotFoundError, BlockingIOError):
            continue  # another run swept it before it was locked
        except OSError:
            return folder, None  # locks are unknown here, so that no run will sweep it
        if folder.exists():
            return folder, lock
        os.close(lock)


def _lock(folder: Path) -> int:
    """Locks a folder until the descriptor that is returned is closed.

    Raises:
      BlockingIOError: a live process holds it.
      OSError: it is gone, or locks are unknown here.
    """
    try:
        import fcntl
    except ImportError as error:  # no POSIX system
        raise OSError("no locks") from error
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _clear(scratch: Path) -> None:
    """Removes a scratch folder; what was moved aside and not replaced returns to its place."""
    aside = {old: old.name for old in (scratch / OLD).glob("*")}
    aside |= {old: old.name.removeprefix(OLD_PREFIX) for old in scratch.glob(f"{OLD_PREFIX}*")}
    for old, name in aside.items():
        if not os.path.lexists(scratch.parent / name):
            os.rename(old, scratch.parent / name)
    shutil.rmtree(scratch, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two folders in one step; False where the system or its file system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    return rename is not None and rename(
        AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE
    ) == 0


def check_kind(path: Path) -> None:
    """Raises InvalidInputError if a device, a pipe or a socket is there."""
    if path.exists() and not (path.is_dir() or stat.S_ISREG(path.stat().st_mode)):
        raise InvalidInputError(
            f"expected a file or folder to write to, got the device or pipe {path}; choose "
            "another place"
        )
