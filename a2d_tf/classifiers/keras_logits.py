"""How a Keras model is read: as a differentiable function images -> logits."""

from pathlib import Path

import keras

from a2d_tf.errors import InvalidInputError, UnsuitableClassifierError
from a2d_tf.images.spec import Bounds, Shape
from a2d_tf.classifiers.saved_model_logits import SavedModelLogits
from a2d_tf.classifiers.squashing import Outputs, without_squashing

# The label is the same before and after either, but after it the gradients can vanish.
SQUASHING = (keras.activations.softmax, keras.activations.sigmoid)


def load_model(
    path: Path,
    bounds: Bounds = Bounds(),
    signature: str | None = None,
    output: str | None = None,
) -> keras.Model | SavedModelLogits:
    """A Keras model from a file, or a SavedModel's signature from a folder.

    Args:
      path: the file or folder.
      bounds, signature, output: for a SavedModel; see `SavedModelLogits`.

    Raises:
      InvalidInputError: nothing at `path`, or nothing that Keras or TensorFlow can load.
    """
    if not path.exists():
        raise InvalidInputError(f"expected a model at {path}, got nothing there; check the path")
    if not path.is_dir() and (signature or output):
        raise InvalidInputError(
            f"expected a SavedModel folder to take a signature or output of, got the file {path}; "
            "leave these out"
        )
    try:
        if path.is_dir():
            return SavedModelLogits(path, bounds, signature, output)
        return keras.saving.load_model(path, compile=False)
    except InvalidInputError:
        raise
    except Exception as error:  # Keras and TensorFlow raise many types for a broken file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InvalidInputError(
            f"expected a .keras or .h5 file or a SavedModel directory, got {path} which "
            f"does not load ({reason}); save the model again"
        ) from error


def keras_input_shape(model: keras.Model) -> Shape | None:
    """(H, W, C) of the model's one image input; None if it was never built.

    Raises:
      InvalidInputError: several inputs, or one that is not an image.
    """
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):
        return None
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise InvalidInputError(
            f"expected a model with one image input [N, H, W, C], got input shape {shape}; "
            "wrap the model so that it takes images alone"
        )
    return shape[1:]


def keras_logits(model: keras.Model) -> Outputs:
    """The model's outputs before a final softmax or sigmoid, in inference mode.

    The layers are the model's own, so that later changes of its weights are seen.

    Raises:
      UnsuitableClassifierError: several outputs, or one that is neither [N,K] nor [N].
    """
    if getattr(model, "inputs", None):  # a subclassed model does not know its outputs
        shapes = [tuple(output.shape) for output in model.outputs]
        if len(shapes) != 1 or len(shapes[0]) not in (1, 2) or None in shapes[0][1:]:
            raise UnsuitableClassifierError(
                f"expected a model with one output [N, K] of K classes, got {shapes}; give one "
                "output per class, or one number for two classes"
            )
    return without_squashing(lambda images: model(images, training=False))
