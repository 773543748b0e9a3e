"""The outputs of a model of any kind, and what is found out about them."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from a2d_tf.classifiers import model_kinds, output_checks, squashing
from a2d_tf.classifiers.flat_graph import FlatGraph
from a2d_tf.classifiers.squashing import Outputs
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Bounds, Images, Shape

BATCH_MULTIPLE = 8


class ModelOutputs:
    """The outputs of a model, and how they become logits.

    What the outputs are is told by those for noise images, as soon as the images' shape is known.

    Args:
      model, input_shape, output, probabilities, preprocess: as for `Classifier`.
      bounds: the valid range of the pixels.

    Attributes:
      model: what is kept of the model.
      input_shape: (H, W, C), with None where a size is free; None if nothing is known.
      probabilities: whether the outputs are probabilities.
      declared: what the caller said of that.
      seen_shape: (H, W, C) of the noise images; None if the shape is not known yet.
      black_box: labels of NumPy images, for a Python function that no graph can hold.
    """

    def __init__(
        self,
        model: Any,
        bounds: Bounds,
        *,
        input_shape: Shape | None = None,
        output: str | int | None = None,
        probabilities: bool | None = None,
        preprocess: Outputs | None = None,
    ):
        if preprocess is not None and not callable(preprocess):
            raise InvalidInputError(
                f"expected preprocess as a function of images, got {type(preprocess).__name__}; "
                "give one that is made of TensorFlow operations"
            )
        self._bounds, self._output, self.preprocess = bounds, output, preprocess
        self.declared = probabilities
        self.probabilities = bool(probabilities)
        self.black_box: Callable[[Images], object] | None = None
        self.seen_shape: tuple[int, ...] | None = None
        self._classes: int | None = None
        self._read(model, input_shape)
        self._check_channels()
        sizes = [size for size in self.input_shape or () if size is not None]
        if sizes and len(sizes) == len(self.input_shape or ()):  # otherwise the first images tell
            self._look(tuple(sizes))

    @classmethod
    def of_black_box(
        cls, query: Callable[[Images], Any], bounds: Bounds, input_shape: Shape | None
    ) -> "ModelOutputs":
        """The labels i32[N] that a Python function gives, which is not called before it must."""
        def labels(images: tf.Tensor) -> tf.Tensor:
            found = tf.numpy_function(query, [images], tf.int32)
            return tf.ensure_shape(found, images.shape[:1])

        outputs = cls(labels, bounds, probabilities=False)
        outputs.input_shape, outputs.black_box = input_shape, query
        return outputs

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """The outputs, queried for numbers of images that are a multiple of eight.

        For each new number, TensorFlow prepares every layer anew, and a loop that runs out of
        examples meets all numbers.
        """
        if self.black_box:
            return self._query(images)  # no query is made in vain
        if self.seen_shape is None and images.shape[1:].is_fully_defined():
            self._look(tuple(images.shape[1:]))
        count = tf.shape(images)[0]
        spare = tf.where(count > BATCH_MULTIPLE, -count % BATCH_MULTIPLE, 0)
        padded = tf.pad(images, [[0, spare], *[[0, 0]] * (len(images.shape) - 1)])
        outputs = self._query(tf.ensure_shape(padded, (None, *images.shape[1:])))
        output_checks.check_tensor(outputs)
        outputs = output_checks.with_plain_labels(outputs)
        if outputs.shape.rank == 2 and outputs.shape[1] is None:
            outputs = tf.ensure_shape(outputs, (None, self._classes))
        return outputs[:count]

    def as_logits(self, outputs: tf.Tensor) -> tf.Tensor:
        """Logits f32[N,K] of outputs that are no labels."""
        if squashing.is_one_unit(outputs):
            return squashing.two_logits(outputs, probabilities=self.probabilities)
        outputs = tf.cast(outputs, tf.float32)
        if self.probabilities:
            return tf.math.log(tf.maximum(outputs, np.finfo(np.float32).tiny))
        return outputs

    def to_model_input(self, images: tf.Tensor) -> tf.Tensor:
        """What the model is given for images f32[N,H,W,C]."""
        if self.preprocess is None:
            return images
        prepared = self.preprocess(images)
        output_checks.check_prepared(prepared)
        return prepared

    def trackable(self) -> Any:
        """What TensorFlow must save along with a graph that queries the model."""
        model = self._call if isinstance(self._call, FlatGraph) else _trackable(self.model)
        before = _trackable(self.preprocess)
        return [model, before] if isinstance(before, (list, tf.Module)) else model

    def _query(self, images: tf.Tensor) -> tf.Tensor:
        return self._call(self.to_model_input(images))

    def _read(self, model: Any, input_shape: Shape | None) -> None:
        # With `preprocess`, the shape of the images need not be that of the model's input.
        given = input_shape if self.preprocess is None else None
        self.model, self._call, known = model_kinds.read(model, self._bounds, given, self._output)
        self.input_shape = input_shape if self.preprocess and input_shape else known

    def _check_channels(self) -> None:
        channels, shape = self._bounds.channels, self.input_shape
        if channels and shape and shape[-1] not in (None, channels):
            raise InvalidInputError(
                f"expected bounds for {shape[-1]} channels, the last axis of {shape}, got "
                f"{channels}; give one pair of numbers, or one for each channel"
            )

    def _look(self, shape: tuple[int, ...]) -> None:
        """Finds out what the outputs are, from those for noise images of this shape."""
        noise = np.random.default_rng(0).uniform(*self._bounds, (4, *shape))
        # Outside the graph that is being traced, if there is one.
        with tf.init_scope(), output_checks.one_line_errors(self.model):
            if isinstance(self.model, keras.Model) and not self.model.built:
                self._read(self.model, shape)
            outputs = self._query(tf.constant(noise, tf.float32))
            output_checks.check_tensor(outputs)
            outputs = output_checks.with_plain_labels(outputs)
            if output_checks.are_labels(outputs):
                looks = False
            elif squashing.is_one_unit(outputs):
                looks = self._look_at_one_unit(shape, outputs)
            else:
                looks = output_checks.sums_to_one(outputs)
        self._classes = outputs.shape[1] if outputs.shape.rank == 2 else None
        self.probabilities = looks and self.declared is not False
        self.seen_shape = shape

    def _look_at_one_unit(self, shape: tuple[int, ...], outputs: tf.Tensor) -> bool:
        """Whether the model's one number per image is a probability, once a sigmoid is left out."""
        if not isinstance(self.model, keras.Model):
            self._call = squashing.without_squashing(self._call, one_unit_only=True)
        image = tf.TensorSpec((None, *shape), tf.float32)
        last = squashing.last_operation(self._query, image)
        output_checks.check_one_unit(outputs, last, self.declared)
        return self.declared is not False and (
            last in squashing.SQUASHING or bool(self.declared) and last not in squashing.LINEAR
        )


def _trackable(part: Any) -> Any:
    if isinstance(part, keras.layers.Layer):  # a model too
        return [variable.value for variable in part.variables]
    return part
