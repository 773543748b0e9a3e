"""Results of finished stages in a folder, found again by what they were made from."""

import hashlib
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError
from a2d_tf.storage import files
from a2d_tf.storage.provenance import source_digest, versions

Arrays = dict[str, NDArray[Any]]
SECONDS = "seconds_taken"


def digest(array: NDArray[Any]) -> str:
    """A hash of an array's values."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def machine() -> list[Any]:
    """What a measured time depends on besides the code, as JSON values."""
    devices = [device.name for device in tf.config.list_logical_devices()]
    return [platform.node(), os.cpu_count(), devices]


class Stages:
    """Makes every result once.

    A result's file is named after its stage and after a hash of everything that it was made from,
    the source code of the library among it. Results of other settings, of another model or of
    changed code are never found.

    Args:
      folder: where the files are kept; it is made if it is missing.
      sources: files and folders with other code that the results depend on.
    """

    def __init__(self, folder: Path, *sources: Path):
        self.folder = folder
        self.seconds: dict[str, float] = {}
        self._code = {"versions": versions(), "source": source_digest(*sources)}
        self._loaded: dict[Path, Arrays] = {}

    def path(self, stage: str, cache_key: dict[str, Any], suffix: str) -> Path:
        """The file of a stage's result."""
        text = json.dumps([self._code, cache_key], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self.folder / f"{stage.replace('/', '-')}-{key}{suffix}"

    def holds(self, stage: str, cache_key: dict[str, Any]) -> bool:
        """Whether `arrays` would find a result rather than make it."""
        return self.path(stage, cache_key, ".npz").is_file()

    def file(
        self, stage: str, cache_key: dict[str, Any], suffix: str, make: Callable[[Path], None]
    ) -> Path:
        """A stage's zip archive, such as a .keras file. It is made if it is not there, or broken.

        Args:
          stage, cache_key: as for `arrays`.
          suffix: of the file.
          make: writes the file.
        """
        path = self.path(stage, cache_key, suffix)
        if path.is_file():
            try:
                files.check_archive(path)
            except InvalidInputError as error:
                _warn_of_broken(path, error)
            else:
                return path
        make(path)
        return path

    def arrays(
        self, stage: str, cache_key: dict[str, Any], make: Callable[[], Arrays]
    ) -> Arrays:
        """A stage's named arrays. They are made if they are not there, and read once.

        Args:
          stage: its name.
          cache_key: everything that the result depends on, as JSON values.
          make: makes the result.
        """
        path = self.path(stage, cache_key, ".npz")
        if path not in self._loaded:
            stored = self._read(path)
            if stored is None:
                start = time.monotonic()
                made = make()
                files.save_npz(path, **made, **{SECONDS: np.float64(time.monotonic() - start)})
                stored = files.load_npz(path, SECONDS)
            self.seconds[stage] = round(float(stored.pop(SECONDS)), 2)
            for array in stored.values():
                array.setflags(write=False)  # others read the same array
            self._loaded[path] = stored
        return self._loaded[path]

    def _read(self, path: Path) -> Arrays | None:
        """A stage's arrays; None if they are not there, or broken."""
        if not path.is_file():
            return None
        try:
            return files.load_npz(path, SECONDS)
        except InvalidInputError as error:
            _warn_of_broken(path, error)
            return None


def _warn_of_broken(path: Path, error: InvalidInputError) -> None:
    warnings.warn(f"{path.name} is broken and was computed again ({error})", stacklevel=4)
