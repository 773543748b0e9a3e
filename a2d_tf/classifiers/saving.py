"""How a classifier is written, and read back before its file is relied on."""

import contextlib
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from a2d_tf.classifiers.flat_graph import FlatGraph
from a2d_tf.errors import A2DError, InvalidInputError, reason
from a2d_tf.storage import files

if TYPE_CHECKING:
    from a2d_tf.classifiers.classifier import Classifier

KERAS_FILE, FOLDER = "classifier.keras", "classifier"
IMAGES, LOGITS, LABELS = "images", "logits", "labels"


class Written(NamedTuple):
    """What was written, and how `Classifier.load` reads it.

    Attributes:
      name: of the file or folder.
      probabilities, signature, output: as for `Classifier.load`.
    """

    name: str
    probabilities: bool
    signature: str | None
    output: str | None


def write(
    classifier: "Classifier", folder: Path, *, may_be_file: bool = True
) -> Written:
    """Writes a classifier into a folder, and reads it back.

    A Keras model becomes a .keras file. One that cannot be read back from such a file becomes a
    SavedModel of its logits, as any other function does, and as one with `preprocess` does. A
    SavedModel is copied.

    Args:
      classifier: no black box.
      folder: where to write.
      may_be_file: whether a Keras model becomes a file rather than a SavedModel.

    Raises:
      InvalidInputError: the classifier is a black box, its SavedModel has changed since it was
        loaded, or what was written does not give the same logits.
    """
    if classifier.is_black_box:
        raise InvalidInputError(
            "expected a classifier made of TensorFlow operations to save, got a Python function; "
            "save a Keras model, a SavedModel or a function of TensorFlow operations"
        )
    plain = classifier.preprocess is None  # neither kind of copy would hold it
    if classifier.digest is not None and plain:
        return _copied(classifier, folder)
    if may_be_file and isinstance(classifier.model, keras.Model) and plain:
        written = Written(KERAS_FILE, classifier.probabilities, None, None)
        # Keras fails in many ways on layers of one's own, when it writes or when it reads.
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            classifier.model.save(folder / KERAS_FILE)
            files.make_reproducible(folder / KERAS_FILE)
            if _is_same(classifier, folder, written):
                return written
        (folder / KERAS_FILE).unlink(missing_ok=True)
    written = _write_graph(classifier, folder)
    if not _is_same(classifier, folder, written):
        raise InvalidInputError(
            "expected a classifier that gives the same logits after it was saved, got others; "
            "leave out layers that are random or that keep a state"
        )
    return written


def _copied(classifier: "Classifier", folder: Path) -> Written:
    path = classifier.path
    if path is not None and path.is_dir():
        shutil.copytree(path, folder / FOLDER)
    if path is None or not path.is_dir() or files.sha256(folder / FOLDER) != classifier.digest:
        raise InvalidInputError(
            f"expected the SavedModel at {path} as it was when it was loaded, got another one or "
            "none; load and fit again, and keep the folder until the detector is saved"
        )
    output = classifier.output
    assert not isinstance(output, int)
    return Written(FOLDER, classifier.probabilities, classifier.signature, output)


def _write_graph(classifier: "Classifier", folder: Path) -> Written:
    """Writes the logits, or the labels if there is no more, as a SavedModel."""
    shape = classifier.seen_shape
    if shape is None:
        raise InvalidInputError(
            "expected a classifier of known input shape to save, got one of unknown; give "
            "Classifier its input_shape"
        )
    spec = tf.TensorSpec((None, *(classifier.input_shape or shape)), tf.float32, IMAGES)
    has_labels_alone = classifier.output_spec(shape).dtype.is_integer
    try:
        function = FlatGraph(
            classifier.decide if has_labels_alone else classifier, spec, classifier.bounds
        )
    except (A2DError, ValueError, tf.errors.OpError) as error:
        raise InvalidInputError(
            f"expected a classifier that can be saved, got one that cannot ({reason(error)}); "
            "give a Keras model or a SavedModel"
        ) from error
    name = LABELS if has_labels_alone else LOGITS
    module = tf.Module()
    module.function = function
    serve = tf.function(
        lambda images: {name: function(images)}, input_signature=[spec], autograph=False
    )
    tf.saved_model.save(module, str(folder / FOLDER), signatures=serve)
    return Written(FOLDER, False, None, name)


def _is_same(classifier: "Classifier", folder: Path, written: Written) -> bool:
    """Whether what was written gives the classifier's logits, for noise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = type(classifier).load(
            folder / written.name, classifier.bounds, probabilities=written.probabilities,
            signature=written.signature, output=written.output,
            input_shape=classifier.input_shape, custom_objects=classifier.custom_objects,
        )
    if classifier.seen_shape is None:
        return True  # there are no images to compare it on
    noise = np.random.default_rng(0).uniform(
        *classifier.bounds, (4, *classifier.seen_shape)
    ).astype(np.float32)
    if classifier.output_spec(classifier.seen_shape).dtype.is_integer:
        return bool((again.predict(noise) == classifier.predict(noise)).all())
    return np.allclose(
        again.logits(noise), classifier.logits(noise), rtol=1e-4, atol=1e-4, equal_nan=True
    )
