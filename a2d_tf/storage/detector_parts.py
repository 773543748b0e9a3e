"""The files of a detector folder as one unit: plain files, a digest over them, read as they are."""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from a2d_tf.errors import InvalidInputError
from a2d_tf.storage import files

DIGEST = "digest"
ATTEMPTS = 5  # to read a folder that others replace
Result = TypeVar("Result")


def digest(folder: Path, names: Iterable[str], settings: dict[str, Any]) -> str:
    """A hash over the settings, in their order, and the named files and folders.

    It is no signature, since everyone can compute it.
    """
    hashes = {name: files.sha256(part(folder, name)) for name in names}
    others = {key: value for key, value in settings.items() if key != DIGEST}
    return hashlib.sha256(json.dumps([others, hashes]).encode()).hexdigest()


def part(folder: Path, name: str) -> Path:
    """A file or folder of the detector; one with a suffix is a file.

    Raises:
      InvalidInputError: it is missing, or it is or holds a link, a device or a pipe.
    """
    path = folder / name
    if not os.path.lexists(path):
        raise InvalidInputError(
            f"expected a detector folder at {folder}, got no {name} there; write one with "
            "fit_detector.py or A2D.save"
        )
    for one in [path, *(path.rglob("*") if path.is_dir() else [])]:
        mode = one.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise InvalidInputError(
                f"expected plain files in the detector folder {folder}, got "
                f"{one.relative_to(folder)}, which is a link, a device or a pipe; copy the files "
                "themselves"
            )
    if path.is_dir() and path.suffix:
        raise InvalidInputError(
            f"expected the file {name} in the detector folder {folder}, got a folder; copy it again"
        )
    return path


def unchanged(folder: Path, read: Callable[[], Result]) -> Result:
    """What `read` gives, read again if another folder takes the place of this one meanwhile.

    Raises:
      InvalidInputError: that happens again and again.
    """
    for _ in range(ATTEMPTS):
        before = _identity(folder)
        try:
            result = read()
        except Exception:
            if _identity(folder) == before:
                raise
        else:
            if _identity(folder) == before:
                return result
    raise InvalidInputError(
        f"expected a detector folder that stays the same, got {folder}, which others replace all "
        "the time; try again"
    )


def _identity(folder: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns
