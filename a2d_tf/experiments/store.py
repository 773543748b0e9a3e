"""Results of finished stages in a folder, found again by what they were made from."""

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf import files
from a2d_tf.classifier import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.pixels import Images

Arrays = dict[str, NDArray[Any]]
SECONDS = "seconds_taken"


def identity(classifier: Classifier) -> dict[str, Any]:
    """What a result that was made with a classifier depends on, as JSON values.

    Raises:
      InvalidInputError: it was not loaded from a file.
    """
    if classifier.path is None:
        raise InvalidInputError("expected a classifier from a file; make it by Classifier.load")
    return {
        "model": files.sha256(classifier.path), "signature": classifier.signature,
        "output": classifier.output, "probabilities": classifier.probabilities,
        "bounds": list(classifier.bounds),
    }


def digest(images: Images) -> str:
    """Names images f32[...] by what they show."""
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()


def machine() -> list[Any]:
    """What a time depends on besides, as JSON values."""
    devices = [device.name for device in tf.config.list_logical_devices()]
    return [platform.node(), os.cpu_count(), devices]


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

    def holds(self, stage: str, made_from: dict[str, Any]) -> bool:
        """Whether `arrays` would find a result rather than make it."""
        return self.path(stage, made_from, ".npz").is_file()

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
