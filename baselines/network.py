"""What the baselines look at inside a Keras model: activations, and outputs under dropout.

Functions of images f32[N,H,W,C] take the classifier, since its model need not be given these as
they are.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from a2d_tf.classifiers import Classifier
from a2d_tf.classifiers.keras_logits import SQUASHING
from a2d_tf.errors import InvalidInputError

Call = Callable[..., Any]

ACTIVATIONS = (
    keras.layers.ELU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
    keras.layers.Softmax,
)
DROPOUTS = (keras.layers.Dropout, keras.layers.GaussianDropout)  # SpatialDropout is a Dropout
SPATIAL_DROPOUTS = (
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)


def require_layers(classifier: Classifier) -> keras.Model:
    """The classifier's Keras model, if its layers can be looked into.

    Raises:
      InvalidInputError: not a functional or Sequential Keras model, or one not built yet.
    """
    model = classifier.model
    if not _has_graph(model) or not model.built:
        raise InvalidInputError(
            "expected a classifier on a built functional or Sequential Keras model, got "
            f"{type(model).__name__}; this baseline reads the outputs of its layers, "
            "so leave it out or load the model as a .keras file"
        )
    images = model.inputs[0]
    if not tf.as_dtype(images.dtype).is_floating or images.shape[0] is not None:
        raise InvalidInputError(
            "expected a Keras model that takes floats in batches of any size, got one that takes "
            f"{images.dtype} {list(images.shape)}; this baseline reads the outputs of its layers, "
            "so leave it out"
        )
    return model


def require_kernel(model: keras.Model) -> None:
    """Raises InvalidInputError if no layer of the model has a kernel."""
    found = False

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal found
        found |= hasattr(layer, "kernel")
        return _infer(layer, *args, **kwargs)

    image = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    tf.function(lambda images: _walk(model, images, call)).get_concrete_function(image)
    if not found:
        raise InvalidInputError(
            "expected a model with a Dense or convolutional layer, got one without; "
            "it has no last hidden layer"
        )


def activations(classifier: Classifier, images: tf.Tensor) -> list[tf.Tensor]:
    """Flat outputs [N,D] of every non-linear activation, and the model's own output.

    An activation is a layer with a non-linear `activation` (Conv2D, Dense, Activation, ...) or
    one of `ACTIVATIONS`, nested models included.
    """
    return [_flat(output) for output in _activations(classifier, images)]


def pooled_layers(classifier: Classifier, images: tf.Tensor) -> list[tf.Tensor]:
    """The mean over places [N,C] of every non-linear activation before the output.

    It is the output itself if there is none.
    """
    found = _activations(classifier, images)
    return [
        tf.reduce_mean(output, axis=tuple(range(1, output.shape.rank - 1)))
        for output in found[:-1] or found
    ]


def _activations(classifier: Classifier, images: tf.Tensor) -> list[tf.Tensor]:
    """The outputs of every non-linear activation, and the model's own."""
    found: list[tf.Tensor] = []

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output = _infer(layer, *args, **kwargs)
        if _is_nonlinear(layer):
            found.append(output)
        return output

    outputs = _walk_through(classifier, images, call)
    if not any(output is outputs for output in found):
        found.append(outputs)
    return found


def layer_names(model: keras.Model) -> tuple[list[str], list[str]]:
    """The names of all layers in their order, and of those of them that `activations` finds.

    Layers of nested models are among them, and the layer of the model's own output is not.
    """
    names: list[str] = []
    nonlinear: list[str] = []

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        names.append(layer.name)
        if _is_nonlinear(layer):
            nonlinear.append(layer.name)
        return _infer(layer, *args, **kwargs)

    image = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    tf.function(lambda images: _walk(model, images, call)).get_concrete_function(image)
    hidden = list(dict.fromkeys(names))[:-1]
    return hidden, [name for name in dict.fromkeys(nonlinear) if name in hidden]


def layer_outputs(
    classifier: Classifier, images: tf.Tensor, names: Sequence[str]
) -> list[tf.Tensor]:
    """Flat outputs [N,D] of layers by their names; the last one of a layer that is used twice."""
    found: dict[str, tf.Tensor] = {}

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output = _infer(layer, *args, **kwargs)
        found[layer.name] = output
        return output

    _walk_through(classifier, images, call)
    return [_flat(found[name]) for name in names]


def last_hidden(classifier: Classifier, images: tf.Tensor) -> tf.Tensor:
    """What the last layer with a kernel (the one that makes the logits) is given, flat [N,D]."""
    found: list[tf.Tensor] = []

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if hasattr(layer, "kernel"):
            found.append(args[0])
        return _infer(layer, *args, **kwargs)

    _walk_through(classifier, images, call)
    return _flat(found[-1])


def dropout_variance(
    classifier: Classifier, images: tf.Tensor, *, passes: int, seed: int
) -> tf.Tensor:
    """Variance [N] of the class probabilities over passes with dropout, mean over the classes.

    Dropout is active, all else is in inference mode. A pass has one mask per dropout layer,
    drawn from the seed and shared by all images, so that an image's variance depends neither
    on its batch nor on its place in it. What comes before the first dropout is computed once;
    after it the passes lie behind one another on the batch axis, [passes * N, ...].
    Zero if the model has no dropout. AlphaDropout, and dropout inside composite layers such as
    MultiHeadAttention, stay off.
    """
    spread: set[Any] = set()  # references of tensors that already hold every pass
    dropouts = 0
    last: Any = None

    def spread_out(value: Any) -> Any:
        if not tf.is_symbolic_tensor(value) or value.ref() in spread:
            return value  # a constant is the same for every image
        return tf.tile(value, [passes] + [1] * (value.shape.rank - 1))

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal dropouts, last
        last = layer
        inputs = tf.nest.flatten((args, kwargs))
        random = any(tf.is_symbolic_tensor(value) and value.ref() in spread for value in inputs)
        if not random and not isinstance(layer, DROPOUTS):
            return _infer(layer, *args, **kwargs)
        args, kwargs = tf.nest.map_structure(spread_out, (args, kwargs))
        if isinstance(layer, DROPOUTS):
            output = _drop(layer, args[0], passes, (seed, dropouts))
            dropouts += 1
        else:
            output = _infer(layer, *args, **kwargs)
        spread.update(value.ref() for value in tf.nest.flatten(output))
        return output

    outputs = _walk_through(classifier, images, call)
    if outputs.ref() not in spread:
        return tf.zeros(tf.shape(outputs)[:1])
    if not _is_squashing(last):
        outputs = tf.sigmoid(outputs) if outputs.shape[-1] == 1 else tf.nn.softmax(outputs)
    probabilities = tf.reshape(outputs, (passes, -1, outputs.shape[-1]))
    return tf.reduce_mean(tf.math.reduce_variance(probabilities, axis=0), axis=-1)


def _has_graph(model: Any) -> bool:
    return isinstance(model, keras.Sequential) or hasattr(model, "_run_through_graph")


def _walk_through(classifier: Classifier, images: tf.Tensor, call: Call) -> Any:
    """As `_walk`, of a classifier's model, which gets its images through `preprocess`."""
    return _walk(classifier.model, classifier.to_model_input(images), call)


def _walk(model: keras.Model, inputs: Any, call: Call) -> Any:
    """The model's outputs, where every layer is called through `call(layer, ...)`.

    The layers are the model's own and see real tensors, so that the model stays as it is.
    """

    def visit(layer: Any) -> Call:
        if isinstance(layer, keras.Model) and _has_graph(layer):
            return lambda *args, **kwargs: _walk(layer, args[0], call)
        return lambda *args, **kwargs: call(layer, *args, **kwargs)

    if not isinstance(model, keras.Sequential):
        return model._run_through_graph(inputs, visit)
    for layer in model.layers:
        inputs = visit(layer)(inputs)
    return inputs


def _infer(layer: Any, *args: Any, **kwargs: Any) -> Any:
    # Said outright, for some layers (augmentations) train unless told otherwise.
    mode = {"training": False} if isinstance(layer, keras.layers.Layer) else {}
    return layer(*args, **{**kwargs, **mode})


def _is_nonlinear(layer: Any) -> bool:
    activation = getattr(layer, "activation", None)
    return isinstance(layer, ACTIVATIONS) or activation not in (None, keras.activations.linear)


def _is_squashing(layer: Any) -> bool:
    return (
        isinstance(layer, keras.layers.Softmax)
        or getattr(layer, "activation", None) in SQUASHING
    )


def _drop(layer: Any, inputs: tf.Tensor, passes: int, seed: tuple[int, int]) -> tf.Tensor:
    """Inputs [passes * N, ...] times the layer's random factors, one draw per pass."""
    shape = tf.shape(inputs)
    noise_shape = [passes, 1, *_noise_sizes(layer, tf.unstack(shape[1:], inputs.shape.rank - 1))]
    if isinstance(layer, keras.layers.GaussianDropout):
        deviation = np.sqrt(layer.rate / (1 - layer.rate))
        factors = 1 + deviation * tf.random.stateless_normal(noise_shape, seed)
    else:
        kept = tf.random.stateless_uniform(noise_shape, seed) >= layer.rate
        factors = tf.cast(kept, tf.float32) / (1 - layer.rate)
    by_pass = tf.reshape(inputs, tf.concat([[passes, -1], shape[1:]], axis=0))
    return tf.reshape(by_pass * tf.cast(factors, inputs.dtype), shape)


def _noise_sizes(layer: Any, sizes: list[Any]) -> list[Any]:
    """The sizes of one image's dropout mask; 1 where the layer shares a draw."""
    if isinstance(layer, SPATIAL_DROPOUTS):
        if getattr(layer, "data_format", None) == "channels_first":
            return [sizes[0], *[1] * (len(sizes) - 1)]
        return [*[1] * (len(sizes) - 1), sizes[-1]]
    wanted = getattr(layer, "noise_shape", None) or [None] * (len(sizes) + 1)
    return [size if want is None else want for want, size in zip(wanted[1:], sizes, strict=True)]


def _flat(outputs: tf.Tensor) -> tf.Tensor:
    size = outputs.shape[1:].num_elements()
    return tf.reshape(outputs, (tf.shape(outputs)[0], -1 if size is None else size))
