"""How a SavedModel is read: one signature as a differentiable function images -> logits.

The graph of the signature is taken out of the SavedModel as one flat list of operations. In that
list a final softmax can be left out, as for a Keras model. Where the signature takes bytes and
casts them to floats, the floats can be given instead, so that there is a gradient.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_from_session_graph,
    convert_variables_to_constants_v2,
)

from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Bounds

DEFAULT = "serving_default"
SQUASHING = ("Softmax", "Sigmoid")  # the operations of `keras_logits.SQUASHING`
IDENTITY_OPS = ("Identity", "Cast")
BYTES = (tf.uint8, tf.int32, tf.int64)
BRIGHTEST = 255
WEIGHT_BYTES = 1024  # constants from this size on are kept as variables, once for every graph


class SavedModelLogits(tf.Module):  # type: ignore[misc]
    """One output of a SavedModel's signature, before a final softmax or sigmoid.

    Args:
      path: the SavedModel's folder.
      bounds: the valid range of the pixels; a signature that takes integers is given 0 to 255.
      signature: its name; None for `serving_default`, or the only one there is.
      output: the name of one of its outputs; None for the only one.

    Attributes:
      signature, output: the names that were found.
      image_shape: (H, W, C), with None where a size is free; None if the rank is free too.

    Raises:
      InvalidInputError: no such signature or output, or one that does not take images.
    """

    def __init__(
        self, path: Path, bounds: Bounds, signature: str | None, output: str | None
    ):
        super().__init__()
        loaded = tf.saved_model.load(str(path))  # holds the variables while they are copied
        signatures = loaded.signatures
        self.signature = _chosen(
            "signature", signature or (DEFAULT if DEFAULT in signatures else None), signatures
        )
        serve = signatures[self.signature]
        self.output = _chosen("output", output, serve.structured_outputs)
        dtype = serve.structured_outputs[self.output].dtype
        if not (dtype.is_floating or dtype.is_integer):
            raise InvalidInputError(
                "expected an output of logits, probabilities or integer labels, got "
                f"{self.output!r} of {dtype.name}; choose another of "
                f"{sorted(serve.structured_outputs)}"
            )
        name, spec = _image_input(serve.structured_input_signature[1])
        self.image_shape = tuple(spec.shape[1:]) if spec.shape.rank else None
        self._bounds = bounds
        self._dtype = spec.dtype
        self._batch_size = spec.shape[0] if spec.shape.rank else None
        # A signature of TensorFlow 1 is one graph for all outputs, which can be pruned.
        if hasattr(serve, "prune"):
            self._keep_subgraph(_frozen_session(path, self.signature, name, self.output))
        else:
            self._keep_subgraph(
                _frozen_function(lambda images: serve(**{name: images})[self.output], spec)
            )
        floats = tf.TensorSpec(spec.shape, tf.float32)
        self._serve = tf.function(self._call_graph, input_signature=[floats], autograph=False)

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """The output, [N,K] as a rule, for images f32[N,H,W,C] within `bounds`."""
        if self._batch_size is None:
            return self._serve(images)
        count, size = tf.shape(images)[0], self._batch_size
        padded = tf.pad(images, [[0, -count % size], *[[0, 0]] * (images.shape.rank - 1)])
        batches = tf.reshape(padded, tf.concat([[-1, size], tf.shape(images)[1:]], axis=0))
        result = tf.TensorSpec.from_tensor(self._serve.get_concrete_function().outputs[0])
        outputs = tf.map_fn(self._serve, batches, fn_output_signature=result)
        return tf.reshape(outputs, (-1, *result.shape[1:]))[:count]

    def _keep_subgraph(self, flat: "_Flat") -> None:
        """Keeps the operations between images and logits, and the weights as variables."""
        self._images = flat.images
        self._logits = _before_squashing(_by_name(flat.graph), flat.output)
        self._graph = _leading_to(self._logits, flat.graph)
        self._casts = {} if self._dtype.is_floating else _casts(self._graph, self._images)
        self._weights = {}
        for node in self._graph.node:
            if node.op == "Const" and node.attr["value"].tensor.ByteSize() >= WEIGHT_BYTES:
                values = tf.make_ndarray(node.attr["value"].tensor)
                self._weights[f"{node.name}:0"] = tf.Variable(values, trainable=False)
                del node.attr["value"]
                node.op = "Placeholder"
            elif node.op == "Placeholder" and node.name != _node(self._images):
                raise InvalidInputError(
                    f"expected the output {self.output!r} to be computed from images and weights "
                    "alone, got one that looks things up in a table; choose another output"
                )

    def _call_graph(self, images: tf.Tensor) -> tf.Tensor:
        """The output of the imported graph, for as many images as the signature takes at once."""
        if self._dtype.is_floating:
            given, values = tf.cast(images, self._dtype), images
        else:
            lower, upper = self._bounds
            values = (images - lower) * (BRIGHTEST / (upper - lower))
            given = tf.cast(tf.round(values), self._dtype)
        feeds = {self._images: given}
        feeds |= {name: weights.read_value() for name, weights in self._weights.items()}
        feeds |= {name: tf.cast(values, dtype) for name, dtype in self._casts.items()}
        return tf.import_graph_def(self._graph, feeds, [self._logits], name="served")[0]


def _chosen(what: str, wanted: str | None, there: Iterable[str]) -> str:
    """The wanted name out of those there, or the only one if none is wanted."""
    names = sorted(there)
    if wanted in names:
        return str(wanted)
    if wanted is None and len(names) == 1:
        return names[0]
    raise InvalidInputError(
        f"expected a SavedModel with the {what} {wanted!r}, got {names}; name one of these"
        if wanted and names else
        f"expected a SavedModel with one {what}, got {names or 'none'}; "
        + (f"name one of them as its {what}" if names else "export it with one")
    )


def _image_input(inputs: Mapping[str, tf.TensorSpec]) -> tuple[str, tf.TensorSpec]:
    """The name and kind of a signature's one input."""
    if len(inputs) != 1:
        raise InvalidInputError(
            f"expected a signature with one input, got {sorted(inputs)}; export one that takes "
            "images alone"
        )
    (name, spec), = inputs.items()
    if spec.shape.rank is not None and spec.shape.rank < 2:
        raise InvalidInputError(
            f"expected a SavedModel with an image input [N, H, W, C], got shape {spec.shape}; "
            "export it so that it takes images"
        )
    if not (spec.dtype.is_floating or spec.dtype in BYTES):
        raise InvalidInputError(
            f"expected an input of pixels, floats or integers, got {spec.dtype.name}; export a "
            "signature that takes decoded images"
        )
    return name, spec


class _Flat(NamedTuple):
    """A graph without function calls, its weights constants, and two of its tensors."""

    graph: tf.compat.v1.GraphDef
    images: str
    output: str


def _frozen_function(function: Callable[[tf.Tensor], tf.Tensor], spec: tf.TensorSpec) -> _Flat:
    traced = tf.function(
        function, input_signature=[tf.TensorSpec(spec.shape, spec.dtype)], autograph=False
    )
    frozen = convert_variables_to_constants_v2(
        traced.get_concrete_function(), lower_control_flow=False
    )
    return _Flat(
        frozen.graph.as_graph_def(), frozen.inputs[0].name, frozen.outputs[0].name
    )


def _frozen_session(path: Path, signature: str, image: str, output: str) -> _Flat:
    """Of a SavedModel of TensorFlow 1, whose variables its functions cannot always hold."""
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        served = loaded.signature_def[signature]
        tensors = served.inputs[image].name, served.outputs[output].name
        frozen = convert_variables_to_constants_from_session_graph(
            session, graph.as_graph_def(), [_node(tensors[1])]
        )
    return _Flat(frozen, *tensors)


def _node(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _by_name(graph: tf.compat.v1.GraphDef) -> dict[str, tf.compat.v1.NodeDef]:
    return {node.name: node for node in graph.node}


def _before_squashing(nodes: Mapping[str, tf.compat.v1.NodeDef], output: str) -> str:
    """The input of a final softmax or sigmoid; the output itself if there is neither."""
    tensor = end = output
    while (node := nodes[_node(tensor)]).op in IDENTITY_OPS + SQUASHING:
        tensor = node.input[0]
        if node.op != "Cast":
            end = tensor
    return end if ":" in end else f"{end}:0"


def _leading_to(tensor: str, graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """The part of a graph that a tensor is computed from."""
    nodes = _by_name(graph)
    needed: set[str] = set()
    waiting = {_node(tensor)}
    while waiting:
        needed |= waiting
        sources = {_node(source) for name in waiting for source in nodes[name].input}
        waiting = sources - needed
    return tf.compat.v1.GraphDef(
        node=[node for node in graph.node if node.name in needed],
        library=graph.library, versions=graph.versions,
    )


def _casts(graph: tf.compat.v1.GraphDef, images: str) -> dict[str, tf.DType]:
    """The tensors that are the images as floats, where these are given as integers."""
    nodes = _by_name(graph)

    def source(name: str) -> str:
        node = nodes[_node(name)]
        return source(node.input[0]) if node.op == "Identity" else node.name

    dtypes = {
        f"{node.name}:0": tf.as_dtype(node.attr["DstT"].type)
        for node in graph.node
        if node.op == "Cast" and source(node.input[0]) == _node(images)
    }
    return {name: dtype for name, dtype in dtypes.items() if dtype.is_floating}
