"""A detector by its folder: a SavedModel as it is, or a fitted one that is exported for the run."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from a2d_tf.scoring.exported import MODEL_FILE
from a2d_tf.storage import files


class Served(NamedTuple):
    """A SavedModel, and a digest that tells its detector from others."""

    folder: Path
    digest: str


class Exportable(Protocol):
    """What `A2D.load` gives."""

    def export(self, folder: str | Path) -> None:
        """Writes a SavedModel."""


@contextmanager
def served_detector(folder: str | Path, load: Callable[[], Exportable]) -> Iterator[Served]:
    """The SavedModel of a detector, while the block runs.

    Args:
      folder: what `A2D.export` wrote, or what `A2D.save` wrote.
      load: loads the latter.

    Raises:
      InvalidInputError: the detector cannot be loaded or exported.
    """
    path = Path(os.path.expanduser(folder))
    if (path / MODEL_FILE).is_file():
        yield Served(path, files.sha256(path))
        return
    a2d = load()
    with tempfile.TemporaryDirectory(prefix="a2d-") as scratch:
        a2d.export(Path(scratch) / "served")
        # Two exports of one detector differ in their bytes, so that the folder identifies it.
        yield Served(Path(scratch) / "served", files.sha256(path))
