"""A TensorFlow function as one flat list of operations, from images to logits.

In such a list a final softmax can be left out, as for a Keras model. Where the function takes
bytes and casts them to floats, the floats can be given instead, so that there is a gradient. The
weights are copied: what happens to the function's own weights later is not seen.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from a2d_tf.classifiers.squashing import IDENTITY, SQUASHING, node_name, nodes_by_name
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.bounds import BRIGHTEST
from a2d_tf.images.spec import Bounds, Shape

try:  # TensorFlow has no public name for this; `flatten` says what happens without it
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )
except ImportError:
    convert_variables_to_constants_v2 = None

BYTES = (tf.uint8, tf.int32, tf.int64)
WEIGHT_BYTES = 1024  # constants from this size on are kept as variables, once for every graph


class Flat(NamedTuple):
    """A graph without function calls, its weights constants, and two of its tensors."""

    graph: tf.compat.v1.GraphDef
    images: str
    output: str


def flatten(function: Callable[[tf.Tensor], tf.Tensor], spec: tf.TensorSpec) -> Flat | None:
    """The graph of a function; None if this TensorFlow cannot tell it.

    The function is then called as it is: with its final softmax, and without a gradient where it
    takes bytes.
    """
    if convert_variables_to_constants_v2 is None:
        return None
    traced = tf.function(
        function, input_signature=[tf.TensorSpec(spec.shape, spec.dtype)], autograph=False
    )
    frozen = convert_variables_to_constants_v2(
        traced.get_concrete_function(), lower_control_flow=False
    )
    return Flat(frozen.graph.as_graph_def(), frozen.inputs[0].name, frozen.outputs[0].name)


def flatten_session(path: Path, signature: str, image: str, output: str) -> Flat:
    """The graph of a SavedModel of TensorFlow 1, whose functions cannot always hold its variables.

    Args:
      path: its folder.
      signature: the name of the signature.
      image, output: the names of the signature's input and output.
    """
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        served = loaded.signature_def[signature]
        tensors = served.inputs[image].name, served.outputs[output].name
        frozen = tf.compat.v1.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), [node_name(tensors[1])]
        )
    return Flat(frozen, *tensors)


class FlatGraph(tf.Module):  # type: ignore[misc]
    """A function of images, before a final softmax or sigmoid.

    Args:
      function: takes the images as `spec` says, and gives one tensor.
      spec: what the function takes: floats, or integers, which are then 0 to 255. It may have a
        fixed batch size; batches are then filled up with zeros.
      bounds: the valid range of the pixels.
      flat: the function's graph, if it is known.

    Attributes:
      image_shape: (H, W, C), with None where a size is free; None if the rank is free too.
    """

    def __init__(
        self,
        function: Callable[[tf.Tensor], tf.Tensor],
        spec: tf.TensorSpec,
        bounds: Bounds,
        *,
        flat: Flat | None = None,
    ):
        super().__init__()
        self._set_spec(spec, bounds)
        flat = flat or flatten(function, spec)
        self._graph = None
        self._casts: Mapping[str, tf.DType] = {}
        self._weights: dict[str, tf.Variable] = {}
        self._function = None if flat else function
        if flat:
            self._images = flat.images
            self._logits = _before_squashing(nodes_by_name(flat.graph.node), flat.output)
            self._graph = _leading_to(self._logits, flat.graph)
            self._casts = {} if self._dtype.is_floating else _casts(self._graph, self._images)
            self._keep_weights(self._graph)

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """The output, [N,K] as a rule, for images f32[N,H,W,C] within `bounds`."""
        if self._batch_size is None:
            return self._serve(images)
        count, size = tf.shape(images)[0], self._batch_size
        padded = tf.pad(images, [[0, -count % size], *[[0, 0]] * (len(images.shape) - 1)])
        batches = tf.reshape(padded, tf.concat([[-1, size], tf.shape(images)[1:]], axis=0))
        result = tf.TensorSpec.from_tensor(self._serve.get_concrete_function().outputs[0])
        outputs = tf.map_fn(self._serve, batches, fn_output_signature=result)
        return tf.reshape(outputs, (-1, *result.shape[1:]))[:count]

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy for `pickle`, of the graph and the weights."""
        if self._graph is None:
            raise InvalidInputError(
                "expected a classifier that can be pickled, got a function of TensorFlow; pickle "
                "the path that it is loaded from"
            )
        state = {
            **{name: getattr(self, name) for name in self._PICKLED},
            "weights": {name: value.numpy() for name, value in self._weights.items()},
            "casts": {name: dtype.name for name, dtype in self._casts.items()},
            "graph": self._graph.SerializeToString(),
            "spec": (tuple(self._spec.shape), self._dtype.name),
            "bounds": self._bounds,
        }
        return _restored, (type(self), state)

    _PICKLED: tuple[str, ...] = ("_images", "_logits")

    def _set_spec(self, spec: tf.TensorSpec, bounds: Bounds) -> None:
        self._spec, self._bounds, self._dtype = spec, bounds, spec.dtype
        self.image_shape: Shape | None = tuple(spec.shape[1:]) if spec.shape.rank else None
        self._batch_size = spec.shape[0] if spec.shape.rank else None
        floats = tf.TensorSpec(spec.shape, tf.float32)
        self._serve = tf.function(self._call_graph, input_signature=[floats], autograph=False)

    def _keep_weights(self, graph: tf.compat.v1.GraphDef) -> None:
        """Takes large constants out of the graph, as variables."""
        for node in graph.node:
            if node.op == "Const" and node.attr["value"].tensor.ByteSize() >= WEIGHT_BYTES:
                values = tf.make_ndarray(node.attr["value"].tensor)
                self._weights[f"{node.name}:0"] = tf.Variable(values, trainable=False)
                del node.attr["value"]
                node.op = "Placeholder"
            elif node.op == "Placeholder" and node.name != node_name(self._images):
                raise InvalidInputError(
                    "expected an output that is computed from images and weights alone, got one "
                    "that looks things up in a table; choose another output"
                )

    def _call_graph(self, images: tf.Tensor) -> tf.Tensor:
        """The output of the imported graph, for as many images as the function takes at once."""
        if self._dtype.is_floating:
            given, values = tf.cast(images, self._dtype), images
        else:
            lower, upper = self._bounds
            values = (images - lower) * (BRIGHTEST / (upper - lower))
            given = tf.cast(tf.round(values), self._dtype)
        if self._function:
            return self._function(given)
        feeds = {self._images: given}
        feeds |= {name: weights.read_value() for name, weights in self._weights.items()}
        feeds |= {name: tf.cast(values, dtype) for name, dtype in self._casts.items()}
        return tf.import_graph_def(self._graph, feeds, [self._logits], name="served")[0]


def _restored(kind: type[FlatGraph], state: dict[str, Any]) -> FlatGraph:
    model: FlatGraph = kind.__new__(kind)
    tf.Module.__init__(model)
    shape, dtype = state["spec"]
    model._set_spec(tf.TensorSpec(shape, dtype), state["bounds"])
    for name in kind._PICKLED:
        setattr(model, name, state[name])
    model._function = None
    model._casts = {name: tf.as_dtype(dtype) for name, dtype in state["casts"].items()}
    model._weights = {
        name: tf.Variable(value, trainable=False) for name, value in state["weights"].items()
    }
    model._graph = tf.compat.v1.GraphDef.FromString(state["graph"])
    return model


def _before_squashing(nodes: Mapping[str, tf.compat.v1.NodeDef], output: str) -> str:
    """The input of a final softmax or sigmoid; the output itself if there is neither."""
    tensor = end = output
    while (node := nodes[node_name(tensor)]).op in IDENTITY + SQUASHING:
        tensor = node.input[0]
        if node.op != "Cast":
            end = tensor
    return end if ":" in end else f"{end}:0"


def _leading_to(tensor: str, graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """The part of a graph that a tensor is computed from."""
    nodes = nodes_by_name(graph.node)
    needed: set[str] = set()
    waiting = {node_name(tensor)}
    while waiting:
        needed |= waiting
        sources = {node_name(source) for name in waiting for source in nodes[name].input}
        waiting = sources - needed
    return tf.compat.v1.GraphDef(
        node=[node for node in graph.node if node.name in needed],
        library=graph.library, versions=graph.versions,
    )


def _casts(graph: tf.compat.v1.GraphDef, images: str) -> dict[str, tf.DType]:
    """The tensors that are the images as floats, where these are given as integers."""
    nodes = nodes_by_name(graph.node)

    def source(name: str) -> str:
        node = nodes[node_name(name)]
        return source(node.input[0]) if node.op == "Identity" else node.name

    dtypes = {
        f"{node.name}:0": tf.as_dtype(node.attr["DstT"].type)
        for node in graph.node
        if node.op == "Cast" and source(node.input[0]) == node_name(images)
    }
    return {name: dtype for name, dtype in dtypes.items() if dtype.is_floating}
