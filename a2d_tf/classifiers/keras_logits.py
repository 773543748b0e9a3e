"""How a Keras model is read: as a differentiable function images -> logits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from a2d_tf.errors import InvalidInputError, UnsuitableClassifierError
from a2d_tf.images.spec import Bounds, Shape
from a2d_tf.classifiers.saved_model_logits import SavedModelLogits

Outputs = Callable[[tf.Tensor], tf.Tensor]
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
    """(H, W, C), or another shape, of the model's one input; None if it was never built.

    Raises:
      InvalidInputError: several inputs, or one that is a single number.
    """
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):
        return None
    if not isinstance(shape, tuple) or len(shape) < 2:
        raise InvalidInputError(
            f"expected a model with one image input [N, H, W, C], got input shape {shape}; "
            "wrap the model so that it takes images alone"
        )
    return shape[1:]


def keras_logits(model: keras.Model) -> Outputs:
    """The model's outputs before a final softmax or sigmoid, in inference mode.

    The layers are the model's own, so that later changes of its weights are seen.

    Raises:
      UnsuitableClassifierError: several outputs, or fewer than two classes.
    """
    if not getattr(model, "inputs", None):  # subclassed: there is no graph to look into
        return lambda images: model(images, training=False)
    shapes = [tuple(output.shape) for output in model.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] in (None, 1):
        raise UnsuitableClassifierError(
            f"expected a model with one output [N, K] of K >= 2 classes, got {shapes}; "
            "give one output per class"
        )
    steps = _steps_to_logits(model)

    def logits(images: tf.Tensor) -> tf.Tensor:
        outputs = images
        for step in steps:
            outputs = step(outputs)
        return outputs

    return logits


def _steps_to_logits(model: keras.Model) -> list[Outputs]:
    """Functions that, called in turn, give the model's output before its squashing."""
    tensor = model.outputs[0]
    last, before = _producer(tensor)
    while type(last).__name__ in ("Softmax", "Sigmoid") or _is_squashing_activation(last):
        tensor = before
        last, before = _producer(tensor)
    if isinstance(last, keras.Model) and getattr(last, "inputs", None):
        return [_part(model, before), *_steps_to_logits(last)]
    if getattr(last, "activation", None) in SQUASHING:
        return [_part(model, before), _unsquashed(last)]
    return [_part(model, tensor)]


def _producer(tensor: keras.KerasTensor) -> tuple[Any, keras.KerasTensor | None]:
    """The operation that made a symbolic tensor, and the first tensor it made it from."""
    operation, node_index, _ = tensor._keras_history
    sources = operation._inbound_nodes[node_index].input_tensors
    return operation, sources[0] if sources else None


def _is_squashing_activation(operation: Any) -> bool:
    return isinstance(operation, keras.layers.Activation) and operation.activation in SQUASHING


def _part(model: keras.Model, tensor: keras.KerasTensor) -> Outputs:
    """The part of the model up to one of its tensors."""
    if tensor is model.inputs[0]:
        return lambda images: images
    part = keras.Model(model.inputs, tensor)
    return lambda images: part(images, training=False)


def _unsquashed(layer: keras.layers.Layer) -> Outputs:
    """The layer without its activation, run on the layer's own variables."""
    linear = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    linear.build_from_config(layer.get_build_config())

    def outputs(features: tf.Tensor) -> tf.Tensor:
        pairs = zip(linear.variables, layer.variables, strict=True)
        with keras.StatelessScope(state_mapping=[(own, its.value) for own, its in pairs]):
            return linear(features)

    return outputs
