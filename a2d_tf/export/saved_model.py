"""How a SavedModel is written that needs nothing of this library."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from a2d_tf.detection.state import DetectorState
from a2d_tf.errors import InvalidInputError, reason
from a2d_tf.export.graph import Graph
from a2d_tf.export.request_checks import guard_float_images, guard_uint8_images
from a2d_tf.export.warmup import write_warmup
from a2d_tf.features import AttackCost
from a2d_tf.images.spec import Shape
from a2d_tf.storage import files
from a2d_tf.storage.places import check_folder_place
from a2d_tf.storage.provenance import versions

EXTRAS = "assets.extra"
SETTINGS_FILE = "a2d.json"
WARMUP_FILE = "tf_serving_warmup_requests"
JUDGE, CLASSIFY = "serving_default", "classify"


def export(state: DetectorState, folder: str | Path) -> None:
    """Writes a fitted A2D, with its classifier and features, as one SavedModel.

    Its signatures take `images` [N,H,W,C] with N >= 0. `serving_default` gives what `A2D.predict`
    does: `is_adversarial`, `valid` bool[N], `score` f32[N], `label` i64[N], `costs` i32[N,A] if
    there are costs of attacks (f64 if not all of them are counts), `columns` f64[N,D] if there are
    other features; and `probabilities` f32[N,K]. `classify` gives `is_adversarial` and `valid`
    alone, sooner. Both take floats within the classifier's bounds; with the suffix `_uint8`, they
    take bytes. An image that `A2D.predict` would refuse (NaN, or pixels out of bounds) or call
    invalid is adversarial, with `valid` False, the largest score, the label -1 and zeros elsewhere.

    Args:
      state: the fitted A2D.
      folder: a new folder, or one that an earlier export wrote.

    Raises:
      InvalidInputError: the classifier is not a TensorFlow graph or of unknown input size, a
        feature cannot be part of a graph, `folder` holds other things, or
        nothing can be written there.
    """
    folder = check_folder_place(folder)
    if folder.exists() and not (folder / EXTRAS / SETTINGS_FILE).is_file():
        raise InvalidInputError(
            f"expected a new folder or an earlier export at {folder}, got something else; "
            "choose another place"
        )
    shape = state.classifier.input_shape
    if shape is None:
        raise InvalidInputError(
            "expected a classifier of known input shape to export, got one of unknown; give "
            "Classifier its input_shape"
        )
    if state.classifier.is_black_box:
        raise InvalidInputError(
            "expected a classifier made of TensorFlow operations to export, got a Python "
            "function; export a classifier that is a graph"
        )
    module = _module(state, shape)
    with files.replacing(folder) as scratch:
        try:
            tf.saved_model.save(module, str(scratch), signatures=dict(module.serve))
        except (AssertionError, ValueError) as error:
            raise InvalidInputError(
                "expected a classifier whose variables can be saved, got one that hides some "
                f"({reason(error)}); save the detector, and export the one that A2D.load gives"
            ) from error
        (scratch / EXTRAS).mkdir()
        files.save_json(scratch / EXTRAS / SETTINGS_FILE, _settings(state, shape))
        sizes = [size for size in shape if size is not None]
        if len(sizes) == len(shape):  # otherwise no image is known to fit
            image = np.full((1, *sizes), state.classifier.bounds.lower, np.float32)
            write_warmup(scratch / EXTRAS / WARMUP_FILE, [JUDGE, CLASSIFY], image)


def _module(state: DetectorState, shape: Shape) -> tf.Module:
    graph, bounds = Graph(state, shape), state.classifier.bounds
    floats = tf.TensorSpec((None, *shape), tf.float32, "images")
    whole = tf.TensorSpec((None, *shape), tf.uint8, "images")
    module = tf.Module()
    module.classifier = state.classifier.trackable()
    module.serve = {}
    for name, method in ((JUDGE, graph.judge), (CLASSIFY, graph.classify)):
        function = tf.function(
            guard_float_images(method, bounds), input_signature=[floats], autograph=False
        )
        module.serve[name] = function
        module.serve[f"{name}_uint8"] = tf.function(
            guard_uint8_images(function, bounds), input_signature=[whole], autograph=False
        )
    return module


def _settings(state: DetectorState, shape: Shape) -> dict[str, Any]:
    detector, calibration = state.detector, state.detector.calibration
    return {
        "features": {
            name: {"feature": feature.name, **feature.config()}
            for name, feature in state.features.items()
        },
        "columns": state.column_names,
        "attacks": {
            name: feature.config() for name, feature in state.features.items()
            if isinstance(feature, AttackCost)
        },
        "detector": {"detector": detector.name, **detector.get_params()},
        "threshold": float(detector.threshold),
        "fpr": calibration.fpr if calibration else None,
        "calibration_images": calibration.images if calibration else None,
        "calibration_scores": detector.calibration_scores.tolist(),
        "bounds": state.classifier.bounds.to_lists(),
        "input_shape": list(shape),
        "versions": versions(),
    }
