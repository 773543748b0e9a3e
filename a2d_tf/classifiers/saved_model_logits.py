"""How a SavedModel is read: one signature as a differentiable function images -> logits."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from a2d_tf.classifiers.flat_graph import BYTES, FlatGraph, flatten_session
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Bounds

DEFAULT = "serving_default"


class SavedModelLogits(FlatGraph):
    """One output of a SavedModel's signature, before a final softmax or sigmoid.

    Args:
      model: the SavedModel's folder, what `tf.saved_model.load` gives, or one of its signatures.
      bounds: the valid range of the pixels; a signature that takes integers is given 0 to 255.
      signature: its name; None for `serving_default`, or the only one there is.
      output: the name of one of its outputs; None for the only one.

    Attributes:
      signature, output: the names that were found.
      image_shape: (H, W, C), with None where a size is free; None if the rank is free too.

    Raises:
      InvalidInputError: no such signature or output, or one that does not take images.
    """

    _PICKLED = (*FlatGraph._PICKLED, "signature", "output")

    def __init__(
        self, model: Any, bounds: Bounds, signature: str | None = None, output: str | None = None
    ):
        loaded = tf.saved_model.load(str(model)) if isinstance(model, Path) else model
        if is_signature(loaded):
            serve, signature = loaded, signature or DEFAULT
        else:
            signatures = loaded.signatures
            default = DEFAULT if DEFAULT in signatures else None
            signature = _chosen("signature", signature or default, signatures)
            serve = signatures[signature]
        output = _chosen("output", output, serve.structured_outputs)
        dtype = serve.structured_outputs[output].dtype
        if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
            raise InvalidInputError(
                "expected an output of logits, probabilities or integer labels, got "
                f"{output!r} of {dtype.name}; choose another of "
                f"{sorted(serve.structured_outputs)}"
            )
        name, spec = _image_input(serve.structured_input_signature[1])
        flat = None
        # A signature of TensorFlow 1 is one graph for all outputs, which can be pruned.
        if hasattr(serve, "prune") and isinstance(model, Path):
            flat = flatten_session(model, signature, name, output)
        super().__init__(
            lambda images: serve(**{name: images})[output], spec, bounds, flat=flat
        )
        self.signature, self.output = signature, output
        self._loaded = None if self._graph else loaded  # its variables live as long as it does


def is_loaded(model: Any) -> bool:
    """Whether this is what `tf.saved_model.load` gives."""
    return isinstance(getattr(model, "signatures", None), Mapping) and hasattr(
        model, "tensorflow_version"
    )


def is_signature(model: Any) -> bool:
    """Whether this is a signature of a loaded SavedModel: a function from names to names."""
    return isinstance(model, tf.types.experimental.ConcreteFunction) and isinstance(
        getattr(model, "structured_outputs", None), Mapping
    )


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
