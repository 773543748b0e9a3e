"""Results of finished stages in a folder, found again by what they were made from."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2d_tf import files

Arrays = dict[str, NDArray[Any]]
SECONDS = "seconds_taken"


class Store:
    """Makes every result once.

    A result's file is named after the stage and after a hash of everything it was made from,
    so that other settings, another model or other versions never find it.

    Args:
      folder: where the files are kept; made if missing.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.seconds: dict[str, float] = {}

    def path(self, stage: str, made_from: dict[str, Any], suffix: str) -> Path:
        """The file of a stage's result."""
        origin = json.dumps([files.versions(), made_from], sort_keys=True)
        key = hashlib.sha256(origin.encode()).hexdigest()[:16]
        return self.folder / f"{stage.replace('/', '-')}-{key}{suffix}"

    def arrays(
        self, stage: str, made_from: dict[str, Any], make: Callable[[], Arrays]
    ) -> Arrays:
        """A stage's named arrays, made unless they are there.

        Args:
          stage: its name.
          made_from: everything the result depends on, as JSON values.
          make: makes the result.
        """
        path = self.path(stage, made_from, ".npz")
        if not path.is_file():
            start = time.monotonic()
            made = make()
            files.save_npz(path, **made, **{SECONDS: np.float64(time.monotonic() - start)})
        stored = files.load_npz(path, SECONDS)
        self.seconds[stage] = round(float(stored.pop(SECONDS)), 2)
        return stored
