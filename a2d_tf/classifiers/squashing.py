"""What a graph does to its logits at the end: a softmax or a sigmoid, which attacks leave out.

A classifier may have one output unit per class, or one unit alone: the logit or the probability of
class 1 of two classes, as Keras writes a binary classifier.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import tensorflow as tf

Outputs = Callable[[tf.Tensor], tf.Tensor]
SOFTMAX, SIGMOID = "Softmax", "Sigmoid"
SQUASHING = (SOFTMAX, SIGMOID)
IDENTITY = ("Identity", "Cast")
RESHAPING = ("Reshape", "Squeeze", "ExpandDims")  # harmless where there is one number per image
SLICING = ("StridedSlice", "Slice", "GatherV2")
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# Operations whose results are not limited to [0, 1].
LINEAR = ("Add", "AddV2", "BatchMatMulV2", "BiasAdd", "Conv2D", "Einsum", "MatMul", "Mean", "Sub")


def is_one_unit(outputs: tf.Tensor | tf.TensorSpec) -> bool:
    """Whether these are floats [N] or [N,1], one number per image."""
    shape = outputs.shape
    return bool(
        outputs.dtype.is_floating and (shape.rank == 1 or shape.rank == 2 and shape[1] == 1)
    )


def two_logits(outputs: tf.Tensor, *, probabilities: bool) -> tf.Tensor:
    """The logits f32[N,2] of two classes: 0, and the logit of class 1.

    Args:
      outputs: floats [N] or [N,1], the logits or the probabilities of class 1.
      probabilities: which of both.
    """
    one = tf.reshape(tf.cast(outputs, tf.float32), (-1,))
    if probabilities:
        tiny = np.finfo(np.float32).tiny
        one = tf.math.log(tf.maximum(one, tiny)) - tf.math.log(tf.maximum(1 - one, tiny))
    return tf.stack([tf.zeros_like(one), one], axis=1)


def without_squashing(outputs: Outputs, *, one_unit_only: bool = False) -> Outputs:
    """The function without a final softmax or sigmoid, as long as that stands in its own graph.

    Args:
      outputs: a function of TensorFlow operations.
      one_unit_only: whether only the sigmoid of a single unit is left out.
    """
    def logits(images: tf.Tensor) -> tf.Tensor:
        if tf.executing_eagerly():
            # A concrete function serves every number of images, and is a graph even where
            # functions are told to run eagerly.
            spec = tf.TensorSpec((None, *images.shape[1:]), images.dtype)
            return graph.get_concrete_function(spec)(images)
        values = outputs(images)
        if not tf.is_tensor(values) or one_unit_only and not is_one_unit(values):
            return values
        return _before_squashing(values)

    # Only in a graph does a tensor know the operation that it comes from.
    graph = tf.function(logits, autograph=False)
    return logits


def last_operation(outputs: Outputs, image: tf.TensorSpec) -> str:
    """The type of the operation that gives the outputs, called functions included.

    Args:
      outputs: a function of TensorFlow operations that gives one number per image.
      image: what it takes.
    """
    traced = tf.function(outputs, input_signature=[image], autograph=False)
    concrete = traced.get_concrete_function()
    graph = concrete.graph.as_graph_def()
    functions = {function.signature.name: function for function in graph.library.function}
    nodes, name = nodes_by_name(graph.node), node_name(concrete.outputs[0].name)
    while True:
        node = nodes.get(name)
        if node is None:  # an argument of the function
            return "Placeholder"
        if node.op in CALLS:
            function = functions[node.attr["f"].func.name]
            nodes = nodes_by_name(function.node_def)
            name = node_name(next(iter(function.ret.values())))
        elif node.op in IDENTITY + RESHAPING + SLICING:
            name = node_name(node.input[0])
        else:
            return str(node.op)


def _before_squashing(outputs: tf.Tensor) -> tf.Tensor:
    """The input of the operation that squashed the outputs; the outputs if none did."""
    one_unit = is_one_unit(outputs)
    # A softmax of one number is always 1: it is no logit's.
    squashing = (SIGMOID,) if one_unit else SQUASHING
    tensor = logits = outputs
    while tensor.op.type in IDENTITY + squashing or one_unit and _keeps_the_numbers(tensor.op):
        squashes = tensor.op.type in squashing
        tensor = tensor.op.inputs[0]
        if squashes:
            logits = tensor
    return tf.reshape(logits, tf.shape(outputs)) if one_unit else logits


def _keeps_the_numbers(operation: tf.Operation) -> bool:
    """Whether an operation that gives one number per image was given the same numbers."""
    if operation.type in SLICING:
        return bool(operation.inputs[0].shape[1:] == [1])
    return operation.type in RESHAPING


def nodes_by_name(
    nodes: Iterable[tf.compat.v1.NodeDef],
) -> Mapping[str, tf.compat.v1.NodeDef]:
    """The nodes of a graph by their names."""
    return {node.name: node for node in nodes}


def node_name(tensor: str) -> str:
    """The name of the node that a tensor, such as "dense:0" or "^dense", comes from."""
    return tensor.removeprefix("^").partition(":")[0]
