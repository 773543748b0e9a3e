"""Models from files and folders, and what to do with files of other kinds."""

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import keras

from a2d_tf.classifiers.saved_model_logits import SavedModelLogits
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Bounds
from a2d_tf.storage import files
from a2d_tf.storage.detector_folder import DETECTOR_FILE
from a2d_tf.storage.limits import check_decoded

PYTORCH = (
    "export it with torch.onnx.export, then make a SavedModel: onnx2tf -i model.onnx -o {folder}"
)
# What makes a model of a file of another kind.
REMEDIES = {
    ".onnx": "make a SavedModel of it: pip install onnx2tf, onnx2tf -i {path} -o {folder}",
    ".tflite": (
        "load the model that it was made from; or call tf.lite.Interpreter in a function for "
        "Classifier.label_only, which the attack DBA can use"
    ),
    ".pb": (
        "give the folder if it is a SavedModel's saved_model.pb; call a frozen graph in a "
        "tf.function, by tf.graph_util.import_graph_def, and give that to Classifier"
    ),
    ".pt": PYTORCH,
    ".pth": PYTORCH,
    ".json": "load the weights too, and save the whole model with model.save('model.keras')",
}


def load_model(
    path: Path,
    bounds: Bounds = Bounds(),
    signature: str | None = None,
    output: str | int | None = None,
    *,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
) -> keras.Model | SavedModelLogits:
    """A Keras model from a file, or a SavedModel's signature from a folder.

    Args:
      path: the file or folder.
      bounds, signature: for a SavedModel; see `SavedModelLogits`.
      output: for a SavedModel, too. Of a Keras model, all outputs are loaded.
      custom_objects, safe_mode: for a Keras model; see `keras.saving.load_model`.

    Raises:
      InvalidInputError: nothing at `path`, nothing that Keras or TensorFlow can load, or a file
        that takes too much memory (`limits.set_max_decoded_gib`).
    """
    if not path.exists():
        raise InvalidInputError(f"expected a model at {path}, got nothing there; check the path")
    if not path.is_dir() and signature:
        raise InvalidInputError(
            f"expected a SavedModel folder to take a signature of, got the file {path}; leave "
            "it out"
        )
    try:
        if path.is_dir():
            if isinstance(output, int):
                raise InvalidInputError(
                    f"expected the name of an output of the SavedModel {path}, got {output}; give "
                    "its name"
                )
            return SavedModelLogits(path, bounds, signature, output)
        check_size(path)
        return keras.saving.load_model(
            path, custom_objects=dict(custom_objects or {}), compile=False, safe_mode=safe_mode
        )
    except InvalidInputError:
        raise
    except Exception as error:  # Keras and TensorFlow raise many types for a broken file
        raise InvalidInputError(
            f"expected a .keras or .h5 file or a SavedModel directory, got {path} which "
            f"does not load ({_reason(error)}); {_remedy(path, str(error))}"
        ) from error


def check_size(path: Path) -> None:
    """Raises InvalidInputError for a model file that is damaged, or far larger when it is read."""
    if zipfile.is_zipfile(path):
        files.check_archive(path)
    elif h5py.is_hdf5(path):
        sizes: list[int] = []
        with h5py.File(path) as file:
            file.visititems(lambda _, one: sizes.append(getattr(one, "nbytes", 0)))
        check_decoded(sum(sizes), path.stat().st_size, f"the weights of {path}")


def _reason(error: Exception) -> str:
    """The part of an error's text that says most, as one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = re.compile(r"could not locate|unknown layer|disallowed by default", re.IGNORECASE)
    found = next((line for line in lines if telling.search(line)), (lines or [""])[0])
    if "File not found" in found:  # what Keras says of a file that is no archive
        return "it is no zip archive, as .keras files are"
    # A line may hold the whole configuration of the model; its first sentence is enough.
    return found.split(". ")[0][:200] or type(error).__name__


def _remedy(path: Path, error: str) -> str:
    """What to do with a file that does not load."""
    if path.suffix in REMEDIES:
        return REMEDIES[path.suffix].format(path=path, folder=path.with_suffix(""))
    if writer := _newer_keras(path):
        return (
            f"Keras {writer} wrote it and Keras {keras.__version__} is installed: install that "
            "version or a later one (pip install -U keras), or save the model again with this one"
        )
    if (path / DETECTOR_FILE).is_file():
        return "this folder holds a detector: load it with A2D.load (--detector)"
    if path.is_dir():
        return "export the model again, with model.export or tf.saved_model.save"
    if "safe_mode" in error or "disallowed by default" in error:
        return "give safe_mode=False (--nosafe_mode) if you trust the file"
    if re.search(r"could not locate|unknown (layer|activation)|custom_objects", error, re.I):
        return (
            "give layers and functions of your own as custom_objects={'Name': Name}, or register "
            "them (keras.saving.register_keras_serializable) in a module that you import "
            "(--import_modules)"
        )
    return (
        "save the model again; if Keras 2 wrote it (pip install tf_keras), "
        f"tf_keras.models.load_model({str(path)!r}).export({str(path.with_suffix(''))!r}) makes a "
        "SavedModel of it"
    )


def _newer_keras(path: Path) -> str | None:
    """The version of Keras that wrote a .keras file, if it is newer than the installed one."""
    try:
        with zipfile.ZipFile(path) as archive:
            writer = str(json.loads(archive.read("metadata.json"))["keras_version"])
        return writer if _release(writer) > _release(keras.__version__) else None
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError):
        return None  # no such file, or it does not say


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
