"""What may be given as a classifier's model, and how each kind is called."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from a2d_tf.classifiers import keras_logits
from a2d_tf.classifiers.flat_graph import FlatGraph
from a2d_tf.classifiers.saved_model_logits import SavedModelLogits, is_loaded, is_signature
from a2d_tf.classifiers.squashing import Outputs, without_squashing
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Bounds, Shape


class CallableModel(NamedTuple):
    """A model and how it is called.

    Attributes:
      model: what is kept of the model.
      outputs: maps images f32[N,H,W,C] to outputs.
      input_shape: (H, W, C), with None where a size is free; None if nothing is known.
    """

    model: Any
    outputs: Outputs
    input_shape: Shape | None


def read(
    model: Any, bounds: Bounds, input_shape: Shape | None, output: str | int | None
) -> CallableModel:
    """A model of any kind as a function of images.

    Raises:
      InvalidInputError: the model is of no such kind, or has no such output.
      UnsuitableClassifierError: the model does not have one output of a kind that serves.
    """
    if is_loaded(model) or is_signature(model):
        if isinstance(output, int):
            raise InvalidInputError(f"expected the name of an output, got {output}; give its name")
        with _variables_there():
            model = SavedModelLogits(model, bounds, output=output)
    if isinstance(model, keras.Model):
        return _read_keras(model, bounds, input_shape, output)
    if isinstance(model, FlatGraph):
        return CallableModel(model, model, model.image_shape or input_shape)
    if not callable(model):
        raise InvalidInputError(
            "expected a Keras model, a callable or the path of a model, got "
            f"{type(model).__name__}; give one of these"
        )

    call = _as_function(model)

    def outputs(images: tf.Tensor) -> tf.Tensor:
        with _variables_there():
            return _one_of(call(images), output)

    spec = _signature(model)
    if spec is not None and (spec.shape[0] is not None or not spec.dtype.is_floating):
        flat = FlatGraph(outputs, spec, bounds)
        return CallableModel(model, flat, flat.image_shape)
    shape = _shape_of_keras_2(model)
    if shape is not None:
        return CallableModel(model, without_squashing(outputs), shape)
    if spec is not None and input_shape is None:
        input_shape = tuple(spec.shape[1:])
    return CallableModel(model, outputs, input_shape)


def _read_keras(
    model: keras.Model, bounds: Bounds, input_shape: Shape | None, output: str | int | None
) -> CallableModel:
    if not model.built and input_shape is not None:
        model.build((None, *input_shape))
    model = keras_logits.with_output(model, output)
    shape = keras_logits.keras_input_shape(model) or input_shape
    outputs = keras_logits.keras_logits(model)
    for image in getattr(model, "inputs", None) or ():
        dtype = tf.as_dtype(image.dtype)
        if image.shape[0] is not None or not dtype.is_floating:
            spec = tf.TensorSpec(image.shape, dtype)
            outputs = FlatGraph(lambda images: model(images, training=False), spec, bounds)
    return CallableModel(model, outputs, shape)


def _as_function(model: Callable[[tf.Tensor], Any]) -> Callable[[tf.Tensor], Any]:
    """The callable; from the first time that it cannot run eagerly, a graph of it.

    A plain function that calls a frozen graph by `tf.graph_util.import_graph_def` is of that kind.
    Tapes do not record the operations that it adds, but they do record a call of the graph.
    """
    graph = tf.function(lambda images: model(images), autograph=False)
    needs_graph = False

    def call(images: tf.Tensor) -> Any:
        nonlocal needs_graph
        if not needs_graph:
            try:
                return model(images)
            except NotImplementedError:
                if not tf.executing_eagerly():
                    raise
                needs_graph = True
        spec = tf.TensorSpec((None, *images.shape[1:]), images.dtype)
        return graph.get_concrete_function(spec)(images)

    return call


@contextmanager
def _variables_there() -> Iterator[None]:
    """Turns the error of a SavedModel's function whose variables were deleted into one line."""
    try:
        yield
    except AssertionError as error:
        if "have been deleted" not in str(error):
            raise
        raise InvalidInputError(
            "expected a function whose variables exist, got one of deleted ones; keep the object "
            "that tf.saved_model.load gave, or give that object itself"
        ) from error


def _signature(model: Any) -> tf.TensorSpec | None:
    """What a function says that it takes: the images' specification; None if it says nothing."""
    if isinstance(model, tf.Module):
        model = model.__call__
    specs = getattr(model, "input_signature", None)
    first = specs[0] if specs else None
    fits = isinstance(first, tf.TensorSpec) and first.shape.rank is not None
    return first if fits else None


def _shape_of_keras_2(model: Any) -> Shape | None:
    """The input shape of a model of the package tf_keras; None for other callables."""
    if not (hasattr(model, "layers") and hasattr(model, "predict")):
        return None
    shape = getattr(model, "input_shape", None)
    return tuple(shape[1:]) if isinstance(shape, tuple) and len(shape) >= 2 else None


def _one_of(outputs: Any, wanted: str | int | None) -> Any:
    """One of several outputs, or the only one, of a model that gives a list or a mapping."""
    if not isinstance(outputs, (Mapping, Sequence)):
        return outputs
    named = outputs if isinstance(outputs, Mapping) else dict(enumerate(outputs))
    if wanted is None and len(named) == 1:
        return next(iter(named.values()))
    if wanted not in named:
        raise InvalidInputError(
            f"expected one output, got {list(named)}; name one of these as output="
            if wanted is None else f"expected an output out of {list(named)}, got {wanted!r}"
        )
    return named[wanted]
