"""How a Keras model is read: as a differentiable function images -> logits."""

import warnings
from collections.abc import Iterator

import keras
import numpy as np

from a2d_tf.errors import InvalidInputError, UnsuitableClassifierError
from a2d_tf.images.spec import Bounds, Shape
from a2d_tf.classifiers.squashing import Outputs, without_squashing

# The label is the same before and after either, but after it the gradients can vanish.
SQUASHING = (keras.activations.softmax, keras.activations.sigmoid)
MIN_RESCALED_RANGE = 0.02  # that of pixels from 0 to 1 after Rescaling(1 / 255) is 0.004


def with_output(model: keras.Model, output: str | int | None) -> keras.Model:
    """The model, with one of its outputs alone if it has several.

    Args:
      model: a Keras model.
      output: the name or the index of the output; None for the only one.

    Raises:
      InvalidInputError: there is no such output, or there are several and none is wanted.
    """
    if not getattr(model, "inputs", None) or output is None and len(model.outputs) == 1:
        if output is not None:
            raise InvalidInputError(
                f"expected no output= for a subclassed Keras model, got {output!r}; let its call "
                "return that output alone"
            )
        return model
    is_sequential = isinstance(model, keras.Sequential)
    names = [model.layers[-1].name] if is_sequential else _output_names(model)
    if isinstance(output, str) and output not in names and output.isdecimal():
        output = int(output)
    if isinstance(output, int) and 0 <= output < len(names):
        index = output
    elif output in names:
        index = names.index(str(output))
    else:
        raise InvalidInputError(
            f"expected a model with one output, got {names}; name one of them as output= (--output)"
            if output is None else
            f"expected an output out of {names} or its index, got {output!r}"
        )
    return model if len(names) == 1 else keras.Model(model.inputs, model.outputs[index])


def warn_of_rescaling(model: keras.Model, bounds: Bounds) -> None:
    """Warns if a layer `Rescaling` leaves hardly anything of the range of the pixels."""
    width = float(np.max(bounds[1]) - np.min(bounds[0]))
    for layer in _rescaling(model):
        scales = np.abs(np.asarray(layer.scale, np.float64))
        if scales.max() * width < MIN_RESCALED_RANGE:
            warnings.warn(
                f"the layer {layer.name!r}, Rescaling({scales.max():.4g}), makes a range of "
                f"{scales.max() * width:.2g} of the bounds {tuple(bounds)}; if the model was "
                "trained on pixels from 0 to 255, give bounds=(0, 255), or --bounds=0,255",
                stacklevel=3,
            )


def _rescaling(model: keras.Model) -> Iterator[keras.layers.Rescaling]:
    for layer in model.layers:
        if isinstance(layer, keras.layers.Rescaling):
            yield layer
        elif isinstance(layer, keras.Model):
            yield from _rescaling(layer)


def _output_names(model: keras.Model) -> list[str]:
    """The names of a model's outputs: the keys of a dictionary, or those of their layers."""
    outputs = model.output
    if isinstance(outputs, dict):
        keys: list[str] = keras.tree.flatten({name: name for name in outputs})
        return keys
    return list(model.output_names)


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
