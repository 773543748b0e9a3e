"""Writes a detector as a SavedModel that needs nothing of this library."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from a2d_tf import files
from a2d_tf.errors import InvalidInputError
from a2d_tf.export.graph import Graph, Parts
from a2d_tf.export.intake import of_bytes, of_images
from a2d_tf.export.warmup import write_warmup

EXTRAS = "assets.extra"
SETTINGS_FILE = "a2d.json"
WARMUP_FILE = "tf_serving_warmup_requests"
JUDGE, CLASSIFY = "serving_default", "classify"


def export(a2d: Parts, folder: str | Path) -> None:
    """Writes a fitted detector, with its classifier and attacks, as one SavedModel.

    Its signatures take `images` [N,H,W,C] with N >= 0: `serving_default` gives what
    `A2D.predict` does (`is_adversarial` bool[N], `score` f32[N], `costs` i32[N,A], `label`
    i64[N]) and `probabilities` f32[N,K]; `classify` gives `is_adversarial` alone, sooner. Either
    takes floats within the classifier's bounds; with the suffix `_uint8`, bytes. An image with
    pixels beyond these or NaN is adversarial, of the largest score and the label -1.

    Args:
      a2d: an `A2D`.
      folder: a new folder, or one that an earlier export wrote.

    Raises:
      NotFittedError: before `fit`.
      InvalidInputError: the classifier is no TensorFlow graph or of unknown input size, the
        detector is of an unknown class, or `folder` holds other things.
    """
    a2d.detector.require_fit()
    folder = Path(folder)
    if folder.exists() and not (folder / EXTRAS / SETTINGS_FILE).is_file():
        raise InvalidInputError(
            f"expected a new folder or an earlier export at {folder}, got something else; "
            "choose another place"
        )
    shape = a2d.classifier.input_shape
    if shape is None:
        raise InvalidInputError(
            "expected a classifier of known input shape to export, got one of unknown; give "
            "Classifier its input_shape"
        )
    if a2d.classifier.is_black_box:
        raise InvalidInputError(
            "expected a classifier made of TensorFlow operations to export, got a Python "
            "function; export a classifier that is a graph"
        )
    module = _module(a2d, shape)
    with files.replacing(folder) as scratch:
        try:
            tf.saved_model.save(module, str(scratch), signatures=dict(module.serve))
        except (AssertionError, ValueError) as error:
            raise InvalidInputError(
                "expected a classifier whose variables can be saved, got one that hides some "
                f"({str(error).strip().splitlines()[0]}); give a Keras model, a SavedModel or a "
                "tf.Module"
            ) from error
        (scratch / EXTRAS).mkdir()
        files.save_json(scratch / EXTRAS / SETTINGS_FILE, _settings(a2d, shape))
        sizes = [size for size in shape if size is not None]
        if len(sizes) == len(shape):  # else no image is known to suit
            image = np.full((1, *sizes), a2d.classifier.bounds.lower, np.float32)
            write_warmup(scratch / EXTRAS / WARMUP_FILE, [JUDGE, CLASSIFY], image)


def _module(a2d: Parts, shape: tuple[int | None, ...]) -> tf.Module:
    graph, bounds = Graph(a2d, shape), a2d.classifier.bounds
    floats = tf.TensorSpec((None, *shape), tf.float32, "images")
    whole = tf.TensorSpec((None, *shape), tf.uint8, "images")
    module = tf.Module()
    module.classifier = a2d.classifier.trackable()
    module.serve = {}
    for name, method in ((JUDGE, graph.judge), (CLASSIFY, graph.classify)):
        function = tf.function(
            of_images(method, bounds), input_signature=[floats], autograph=False
        )
        module.serve[name] = function
        module.serve[f"{name}_uint8"] = tf.function(
            of_bytes(function, bounds), input_signature=[whole], autograph=False
        )
    return module


def _settings(a2d: Parts, shape: tuple[int | None, ...]) -> dict[str, Any]:
    detector = a2d.detector
    calibration = detector.calibration
    return {
        "attacks": {
            name: {"attack": attack.name, **dataclasses.asdict(attack)}
            for name, attack in a2d.attacks.items()
        },
        "directions": a2d.directions,
        "detector": {"detector": detector.name, **dataclasses.asdict(detector)},
        "threshold": float(detector.threshold),
        "fpr": calibration.fpr if calibration else None,
        "calibration_images": calibration.images if calibration else None,
        "bounds": list(a2d.classifier.bounds),
        "input_shape": list(shape),
        "versions": files.versions(),
    }
