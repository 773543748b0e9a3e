"""An exported detector: the SavedModel that `A2D.export` wrote, and what a2d.json says of it."""

import io
import json
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError
from a2d_tf.images.bounds import check_bounds
from a2d_tf.images.spec import InputSpec

SETTINGS = Path("assets.extra") / "a2d.json"
MODEL_FILE = "saved_model.pb"
JUDGE = "serving_default"
OUTPUTS = ("is_adversarial", "score", "label", "valid")


class Exported(NamedTuple):
    """What an exported detector takes and gives.

    Attributes:
      spec: the shape and the bounds of its images.
      costs: the names of the attacks, in the order of the output `costs`.
      columns: the names of the columns of the output `columns`.
      settings: all of a2d.json.
    """

    spec: InputSpec
    costs: tuple[str, ...]
    columns: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """The axes of an image; None if one may have any length."""
        sizes = tuple(size for size in self.spec.shape or () if size is not None)
        return sizes if len(sizes) == len(self.spec.shape or ()) else None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of an image.

        Raises:
          InvalidInputError: the detector takes images of any size.
        """
        match self.sizes:
            case (height, width, channels):
                return height, width, channels
        raise InvalidInputError(
            f"expected a detector of images of a fixed size [H, W, C], got {self.spec.shape}; "
            "export one whose classifier has a fixed input_shape"
        )

    def table(self, found: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The outputs of `serving_default` for N images, as columns [N] by name."""
        table = {name: found[name] for name in ("label", "score", "is_adversarial", "valid")}
        for place, name in enumerate(self.costs):
            table[f"cost_{name}"] = found["costs"][:, place]
        for place, name in enumerate(self.columns):
            if name not in self.costs:
                table[name] = found["columns"][:, place]
        return table


def describe(folder: str | Path) -> Exported:
    """What the a2d.json of an exported detector says.

    Raises:
      InvalidInputError: the folder holds no such detector.
    """
    path = Path(folder) / SETTINGS
    try:
        settings = json.loads(path.read_bytes())
        shape = tuple(settings["input_shape"])
        return Exported(
            InputSpec(shape, check_bounds(settings["bounds"])), tuple(settings["attacks"]),
            tuple(settings["columns"]), settings,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(
            f"expected a SavedModel that export_detector.py wrote at {folder}, got none with a "
            f"readable {SETTINGS}; export the detector again"
        ) from error


class Judge:
    """The signatures of an exported detector.

    Args:
      folder: the SavedModel.
      threads: that one operation may use; None leaves that to TensorFlow.

    Raises:
      InvalidInputError: it is no exported detector.
    """

    def __init__(self, folder: str | Path, threads: int | None = None):
        self.exported = describe(folder)
        if threads:
            limit_threads(threads)
        try:
            self._model = tf.saved_model.load(str(folder))
            judge = self._model.signatures[JUDGE]
            missing = [name for name in OUTPUTS if name not in judge.structured_outputs]
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise InvalidInputError(
                f"expected a SavedModel of a detector at {folder}, got one that does not load "
                f"({' '.join(str(error).split())[:200]}); export the detector again"
            ) from error
        if missing:
            raise InvalidInputError(
                f"expected the outputs {', '.join(OUTPUTS)} of {folder}, got none called "
                f"{', '.join(missing)}; export the detector again with this version"
            )

    @property
    def signatures(self) -> dict[str, bool]:
        """The names of the signatures, and whether each takes images u8[n,H,W,C] in place of f32.
        """
        return {
            name: one.structured_input_signature[1]["images"].dtype == tf.uint8
            for name, one in self._model.signatures.items()
        }

    def __call__(self, images: NDArray[Any], signature: str = JUDGE) -> dict[str, NDArray[Any]]:
        """All outputs of a signature for images [n,H,W,C]."""
        found = self._model.signatures[signature](images=tf.constant(images))
        return {name: value.numpy() for name, value in found.items()}


def pack(folder: str | Path) -> bytes:
    """A SavedModel as bytes, which need no shared disk."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(folder, arcname=".")
    return packed.getvalue()


def unpack(packed: bytes) -> "tempfile.TemporaryDirectory[str]":
    """The folder of a SavedModel that `pack` packed; it is removed with the object."""
    folder = tempfile.TemporaryDirectory(prefix="a2d-")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder.name, filter="data")
    return folder


def limit_threads(threads: int) -> None:
    """Lets one operation of TensorFlow use so many threads, and GPUs the memory that they need."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        pass  # TensorFlow runs already, with the threads that it has
    for device in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(device, True)
        except RuntimeError:
            pass
