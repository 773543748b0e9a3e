"""Whether something can be written to a place, found out before the work for it starts."""

import os
import tempfile
from pathlib import Path

from a2d_tf.checks import text_path
from a2d_tf.errors import InvalidInputError
from a2d_tf.storage.replacing import check_kind

PROBE = b"\0" * 2**16
MAX_NAME = 255  # bytes, where the system does not tell
MAX_PATH = 4096  # of Linux
OTHER_KINDS = {"a2d.json": "a detector", "saved_model.pb": "a SavedModel"}  # by a file of theirs
SPARE = 256  # for the names of files within a folder, and of scratch folders


def check_file_place(path: str | os.PathLike[str]) -> Path:
    """The path of a file that is to be written, `~` expanded.

    Raises:
      InvalidInputError: nothing can be written there, for a reason that the message gives.
    """
    text = text_path(path, "a file name to write to")
    if text.endswith(("/", os.sep)):
        raise InvalidInputError(
            f"expected a file name to write to, got {text!r}, which ends in a slash; leave the "
            "slash out or add a name"
        )
    checked = _checked(text, "a file name")
    if checked.is_dir():
        raise InvalidInputError(
            f"expected a file name to write to, got the folder {text}; add a name"
        )
    return checked


def check_folder_place(path: str | os.PathLike[str]) -> Path:
    """The path of a folder that is to be written, or to be written into, `~` expanded.

    Raises:
      InvalidInputError: as `check_file_place`, or a file is there.
    """
    checked = _checked(text_path(path, "a folder to write to"), "a folder")
    if checked.is_file():
        raise InvalidInputError(
            f"expected a folder to write to, got the file {path}; choose another place"
        )
    return checked


def check_workdir_place(path: str | os.PathLike[str]) -> Path:
    """The path of a folder for finished stages, `~` expanded.

    Raises:
      InvalidInputError: as `check_folder_place`, or a detector or a SavedModel is there.
    """
    checked = check_folder_place(path)
    for name, what in OTHER_KINDS.items():
        if (checked / name).is_file():
            raise InvalidInputError(
                f"expected a folder for finished stages, got {what} at {path}; choose another place"
            )
    return checked


def _checked(text: str, what: str) -> Path:
    if not text.strip() or "\0" in text:
        raise InvalidInputError(f"expected {what} to write to, got {text!r}; give a path")
    path = Path(os.path.expanduser(text))
    full = Path(os.path.realpath(path))
    nearest = full if os.path.isdir(full) else full.parent
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    longest = _longest_name(nearest)
    if any(len(os.fsencode(part)) > longest for part in full.parts) or (
        len(os.fsencode(full)) > MAX_PATH - SPARE
    ):
        raise InvalidInputError(
            f"expected {what} of at most {longest} bytes in each name, got a longer one, "
            f"{text[:40]}...; shorten it"
        )
    if not nearest.is_dir():
        raise InvalidInputError(
            f"expected {what} below a folder to write to, got {text} below the file {nearest}; "
            "choose another place"
        )
    check_kind(full)
    for folder in sorted({nearest, full.parent if os.path.isdir(full.parent) else nearest}):
        _check_writable(folder)
    return path


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidInputError(
            f"expected a place where you may write, got {folder}, which is read-only; choose "
            "another place"
        )
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(PROBE)
            probe.flush()
    except OSError as error:
        raise InvalidInputError(
            f"expected a place that can be written to, got {folder} ({error.strerror}); make room "
            "or choose another place"
        ) from error


def _longest_name(folder: Path) -> int:
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        return MAX_NAME
