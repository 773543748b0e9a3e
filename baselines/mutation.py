"""Mutation operators on the weights of a network (Wang et al. 2019)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError

Floats = NDArray[np.float32]
FEWEST_TO_SWITCH = 10  # neurons of a layer that NS touches
FEW = 2  # up to so many neurons, NS rounds up
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
TRANSPOSED = (
    keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose,
)


class Neurons(NamedTuple):
    """The weights of a layer.

    A neuron is a unit of a dense layer, or an output channel of a convolution.

    Attributes:
      kernel: f32[I,U], the incoming weights of every neuron in its column.
      bias: f32[U]; None if the layer has none.
    """

    kernel: Floats
    bias: Floats | None


Operator = Callable[[Sequence[Neurons], float, np.random.Generator], list[Neurons]]


def gaussian_fuzzing(
    layers: Sequence[Neurons], rate: float, rng: np.random.Generator
) -> list[Neurons]:
    """GF: a share of all weights, biases among them, is drawn from a normal distribution.

    Its mean is the weight itself, as in the paper (the mean of its tensor in the artifact), and its
    deviation is that of the weight's tensor.
    """
    changed = _copies(layers)
    tensors = [tensor for layer in changed for tensor in layer if tensor is not None]
    chosen = _chosen(sum(tensor.size for tensor in tensors), rate, rng)
    start = 0
    for tensor in tensors:
        rows = chosen[(chosen >= start) & (chosen < start + tensor.size)] - start
        flat = tensor.reshape(-1)
        flat[rows] = rng.normal(flat[rows], tensor.std())
        start += tensor.size
    return changed


def weight_shuffle(
    layers: Sequence[Neurons], rate: float, rng: np.random.Generator
) -> list[Neurons]:
    """WS: the incoming weights of a share of all neurons are permuted; biases stay."""
    changed = _copies(layers)
    for layer, neuron in _neurons(changed, rate, rng):
        layer.kernel[:, neuron] = rng.permutation(layer.kernel[:, neuron])
    return changed


def neuron_switch(
    layers: Sequence[Neurons], rate: float, rng: np.random.Generator
) -> list[Neurons]:
    """NS: in every layer of at least 10, a share of the neurons exchange their incoming weights.

    The share is rounded down, or up if it is at most 2 neurons; a neuron alone stays as it is.
    Biases stay.

    Raises:
      InvalidInputError: no layer has as many neurons.
    """
    changed = _copies(layers)
    large = [layer for layer in changed if layer.kernel.shape[1] >= FEWEST_TO_SWITCH]
    if not large:
        raise InvalidInputError(
            f"expected a layer of at least {FEWEST_TO_SWITCH} neurons for NS, got none; choose "
            "another operator"
        )
    for layer in large:
        share = rate * layer.kernel.shape[1]
        count = int(np.ceil(share) if share <= FEW else np.floor(share))
        chosen = rng.choice(layer.kernel.shape[1], count, replace=False)
        layer.kernel[:, chosen] = layer.kernel[:, rng.permutation(chosen)]
    return changed


def neuron_activation_inverse(
    layers: Sequence[Neurons], rate: float, rng: np.random.Generator
) -> list[Neurons]:
    """NAI: the incoming weights and the bias of a share of all neurons change their sign."""
    changed = _copies(layers)
    for layer, neuron in _neurons(changed, rate, rng):
        layer.kernel[:, neuron] *= -1
        if layer.bias is not None:
            layer.bias[neuron] *= -1
    return changed


OPERATORS: dict[str, Operator] = {
    "nai": neuron_activation_inverse,
    "gf": gaussian_fuzzing,
    "ns": neuron_switch,
    "ws": weight_shuffle,
}


class Mutable:
    """The kernels and biases of a Keras model, as layers of neurons and back.

    Args:
      model: a built model. It is read, and never written.

    Raises:
      InvalidInputError: no layer of the model has a kernel.
    """

    def __init__(self, model: keras.Model):
        self._kernels = _kernels(model)
        if not self._kernels:
            raise InvalidInputError(
                "expected a model with Dense or convolutional layers to mutate, got one without "
                "a kernel; leave LCR out"
            )

    @property
    def variables(self) -> list[Any]:
        """The variables that a mutant replaces."""
        return [one for kernel in self._kernels for one in kernel.variables]

    def layers(self) -> list[Neurons]:
        """The weights of the model."""
        return [kernel.read() for kernel in self._kernels]

    def tensors(self, layers: Sequence[Neurons]) -> list[Floats]:
        """Values for `variables`, in their shapes."""
        pairs = zip(self._kernels, layers, strict=True)
        return [tensor for kernel, layer in pairs for tensor in kernel.shaped(layer)]


class _Kernel(NamedTuple):
    """A kernel variable, its bias if any, and the order of axes that puts its neurons last."""

    kernel: Any
    bias: Any
    order: tuple[int, ...]
    neuron_axes: int

    @property
    def variables(self) -> list[Any]:
        return [self.kernel] if self.bias is None else [self.kernel, self.bias]

    def read(self) -> Neurons:
        ordered = np.asarray(self.kernel.value).transpose(self.order)
        neurons = int(np.prod(ordered.shape[-self.neuron_axes:]))
        bias = None if self.bias is None else np.asarray(self.bias.value).reshape(-1)
        return Neurons(ordered.reshape(-1, neurons), bias)

    def shaped(self, layer: Neurons) -> list[Floats]:
        ordered = tuple(self.kernel.shape[axis] for axis in self.order)
        kernel = layer.kernel.reshape(ordered).transpose(np.argsort(self.order))
        return [kernel] if layer.bias is None else [kernel, layer.bias.reshape(self.bias.shape)]


def _kernels(model: keras.Model) -> list[_Kernel]:
    """The kernels of all layers, nested models and layers within layers included, each once."""
    found: dict[int, _Kernel] = {}
    for layer in _all_layers(model, set()):
        for name in ("depthwise_kernel", "pointwise_kernel", "kernel"):
            kernel = getattr(layer, name, None)
            if isinstance(kernel, keras.Variable):
                found.setdefault(id(kernel), _kernel(layer, name, kernel))
    return list(found.values())


def _all_layers(value: Any, seen: set[int]) -> Iterator[keras.Layer]:
    """The layers in a value: a layer and those that it holds, as a nested model does, each once."""
    if id(value) in seen:
        return
    seen.add(id(value))
    held: Iterable[Any] = ()
    if isinstance(value, keras.Layer):
        yield value
        held = [*getattr(value, "layers", ()), *vars(value).values()]
    elif isinstance(value, Mapping):
        held = value.values()
    elif isinstance(value, (list, tuple, set)):
        held = value
    for part in held:
        yield from _all_layers(part, seen)


def _kernel(layer: keras.Layer, name: str, kernel: Any) -> _Kernel:
    """How the neurons lie in a kernel: along its last axis, but for a few kinds of layers."""
    order = list(range(len(kernel.shape)))
    if isinstance(layer, TRANSPOSED):  # outputs come before inputs
        order[-2:] = reversed(order[-2:])
    # A separable convolution has its bias after the kernel across the channels.
    bias = None if name == "depthwise_kernel" else getattr(layer, "bias", None)
    if name == "depthwise_kernel" or isinstance(layer, DEPTHWISE):
        axes = 2  # every input channel has outputs of its own
    else:
        axes = 1 if bias is None else len(bias.shape)  # several in an EinsumDense
    neurons = int(np.prod([kernel.shape[axis] for axis in order[-axes:]]))
    fits = bias is not None and int(np.prod(bias.shape)) == neurons
    return _Kernel(kernel, bias if fits else None, tuple(order), axes)


def _copies(layers: Sequence[Neurons]) -> list[Neurons]:
    return [
        Neurons(np.array(kernel), None if bias is None else np.array(bias))
        for kernel, bias in layers
    ]


def _chosen(total: int, rate: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """A share of the numbers below `total`, rounded down, but at least one."""
    count = max(1, int(rate * total + 1e-9))  # 0.29 * 100 is a hair below 29
    return rng.choice(total, count, replace=False, shuffle=False)


def _neurons(
    layers: Sequence[Neurons], rate: float, rng: np.random.Generator
) -> Iterator[tuple[Neurons, int]]:
    """A share of all neurons, as their layer and column."""
    ends = np.cumsum([layer.kernel.shape[1] for layer in layers])
    for neuron in _chosen(int(ends[-1]), rate, rng):
        place = int(np.searchsorted(ends, neuron, side="right"))
        yield layers[place], int(neuron) - int(ends[place] - layers[place].kernel.shape[1])
