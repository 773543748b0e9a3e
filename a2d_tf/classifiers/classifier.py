"""The classifier under attack: a Keras model, a SavedModel or a callable, as images -> logits."""

import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf.classifiers import keras_logits, output_checks
from a2d_tf.classifiers.saved_model_logits import SavedModelLogits
from a2d_tf.errors import InvalidInputError, UnsuitableClassifierError
from a2d_tf.images.batching import MIN_BATCH, Batch, ImageSource, iter_batches, to_array
from a2d_tf.images.spec import Bounds, Images, InputSpec, Labels, Shape, check_bounds

BATCH_MULTIPLE = 8


class Classifier:
    """A classifier's logits, the range of its pixels and the checks of its outputs.

    Args:
      model: a Keras 3 model, a callable that maps f32[N,H,W,C] to [N,K] by TensorFlow operations,
        or the path of a file that `load` takes. A Keras model that ends in softmax or sigmoid is
        attacked at its logits: its layers are shared, and the model is neither copied nor changed.
        A callable may also give labels alone, integers [N]; attacks that need no more
        (`attacks.DBA`) can use it. A function that is not made of TensorFlow operations is given
        to `label_only` instead.
      bounds: the valid range of the pixels: two numbers, or for each two arrays with a number for
        each channel (the last axis).
      input_shape: (H, W, C), or another shape of at least one axis. It is known for a Keras model
        unless some sizes are free.
      probabilities: whether the outputs are probabilities where logits cannot be had. Their
        logarithm then serves as logits, and there is no gradient for an image of which the
        classifier is entirely certain. With None, the outputs for noise images tell, if the input
        shape is known.
      preflight: check the classifier on the first images that it is attacked with.
      preprocess: what stands outside the model: a function of images f32[N,H,W,C] within `bounds`
        to what the model takes, by differentiable TensorFlow operations. `input_shape` is then that
        of the images; by default it is the model's.

    Raises:
      InvalidInputError: the bounds are not a range, the model does not take one image, or it is
        none of these kinds.
      UnsuitableClassifierError: the model does not have one output [N,K] of two classes or more.
    """

    def __init__(
        self,
        model: Any,
        bounds: Bounds | tuple[float, float] = Bounds(),
        *,
        input_shape: Shape | None = None,
        probabilities: bool | None = None,
        preflight: bool = True,
        preprocess: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ):
        self._bounds = check_bounds(bounds)
        self._preprocess = _checked_preprocess(preprocess)
        self._path: Path | None = None
        if isinstance(model, (str, Path)):
            self._path = Path(model)
            model = keras_logits.load_model(self._path, self._bounds)
        self._model = model
        self._graphs: dict[Hashable, Any] = {}
        self._preflight_due = preflight
        self._black_box: Callable[[Images], object] | None = None
        if isinstance(model, keras.Model):
            known_shape = keras_logits.keras_input_shape(model)
            given_first = input_shape if preprocess is not None else None
            input_shape = given_first or known_shape or input_shape
            self._outputs: keras_logits.Outputs = keras_logits.keras_logits(model)
        elif callable(model):
            self._outputs = model
            if isinstance(model, SavedModelLogits):
                given_first = input_shape if preprocess is not None else None
                input_shape = given_first or model.image_shape
        else:
            raise InvalidInputError(
                "expected a Keras model, a callable or the path of a model, got "
                f"{type(model).__name__}; give one of these"
            )
        self._input_shape = input_shape
        channels = self._bounds.channels
        if channels and input_shape and input_shape[-1] not in (None, channels):
            raise InvalidInputError(
                f"expected bounds for {input_shape[-1]} channels, the last axis of {input_shape}, "
                f"got {channels}; give one pair of numbers, or one for each channel"
            )
        looks = probabilities if probabilities is False else self._look_like_probabilities()
        self._probabilities = bool(probabilities if looks is None else looks)

    @classmethod
    def load(
        cls,
        path: str | Path,
        bounds: Bounds | tuple[float, float] = Bounds(),
        *,
        signature: str | None = None,
        output: str | None = None,
        probabilities: bool | None = None,
        preflight: bool = True,
        preprocess: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> "Classifier":
        """Loads a `.keras` or `.h5` file or the directory of a SavedModel.

        A SavedModel that ends in softmax or sigmoid is attacked at its logits, too. One that takes
        integers is given 0 to 255 for the bounds. Where it casts these to floats, it is given
        fractions, so that it has gradients. One of a fixed batch size gets batches that are filled
        up with zeros.

        Args:
          path: the file or directory.
          bounds: the valid range of the pixels.
          signature: the signature of a SavedModel; None for `serving_default`, or the only one.
          output: the output of that signature: [N,K] of logits or probabilities, or integer labels
            [N]; None for the only one.
          probabilities, preflight, preprocess: as for the constructor.

        Raises:
          InvalidInputError: there is nothing, or nothing that Keras or TensorFlow can load, or no
            such signature or output.
        """
        path = Path(path)
        model = keras_logits.load_model(path, check_bounds(bounds), signature, output)
        classifier = cls(
            model, bounds, probabilities=probabilities, preflight=preflight, preprocess=preprocess
        )
        classifier._path = path
        if classifier.probabilities:
            warnings.warn(
                f"{path.name} gives probabilities, not logits: it is attacked at their "
                "logarithm, and inputs of which it is certain may have no gradient",
                stacklevel=2,
            )
        return classifier

    @classmethod
    def label_only(
        cls,
        function: Callable[[Images], ArrayLike],
        bounds: Bounds | tuple[float, float] = Bounds(),
        *,
        input_shape: Shape | None = None,
    ) -> "Classifier":
        """A black box: any Python function from images f32[N,H,W,C] to integer labels [N]."""
        def query(images: Images) -> NDArray[np.int32]:
            labels = np.asarray(function(images))
            output_checks.check_labels(labels, len(images))
            return labels.astype(np.int32)

        def outputs(images: tf.Tensor) -> tf.Tensor:
            labels = tf.numpy_function(query, [images], tf.int32)
            return tf.ensure_shape(labels, images.shape[:1])

        classifier = cls(outputs, bounds, input_shape=input_shape, probabilities=False)
        classifier._black_box = query
        return classifier

    @property
    def model(self) -> Any:
        """The Keras model, the SavedModel's function or the callable."""
        return self._model

    @property
    def preprocess(self) -> Callable[[tf.Tensor], tf.Tensor] | None:
        """What stands before the model; None if the model takes the images as they are."""
        return self._preprocess

    def to_model_input(self, images: tf.Tensor) -> tf.Tensor:
        """What the model is given for images f32[N,H,W,C]."""
        return images if self._preprocess is None else self._preprocess(images)

    @property
    def bounds(self) -> Bounds:
        """The valid range of the pixels."""
        return self._bounds

    @property
    def input_shape(self) -> Shape | None:
        """(H, W, C), with None where a size is free; None if nothing is known."""
        return self._input_shape

    @property
    def input_spec(self) -> InputSpec:
        """What the classifier takes."""
        return InputSpec(self._input_shape, self._bounds)

    @property
    def probabilities(self) -> bool:
        """Whether the outputs are probabilities, whose logarithm serves as logits."""
        return self._probabilities

    @property
    def path(self) -> Path | None:
        """Where the classifier was loaded from; None if it was made from an object."""
        return self._path

    @property
    def signature(self) -> str | None:
        """The signature of a SavedModel; None for other models."""
        return self._model.signature if isinstance(self._model, SavedModelLogits) else None

    @property
    def output(self) -> str | None:
        """The output of that signature; None for other models."""
        return self._model.output if isinstance(self._model, SavedModelLogits) else None

    @property
    def graphs(self) -> Mapping[Hashable, Any]:
        """The graphs that were traced so far; see `graph`."""
        return MappingProxyType(self._graphs)

    @property
    def is_black_box(self) -> bool:
        """Whether the classifier is a Python function, which no TensorFlow graph can hold."""
        return self._black_box is not None

    def __repr__(self) -> str:
        source = str(self._path) if self._path else type(self._model).__name__
        return (
            f"Classifier({source}, bounds={tuple(self._bounds)}, input_shape={self._input_shape})"
        )

    def output_spec(self, shape: Shape) -> tf.TensorSpec:
        """The outputs for images f32[N,*shape]: labels [N], or [N,K] with a column per class."""
        images = tf.TensorSpec((None, *shape), tf.float32)
        traced = tf.function(self._model_outputs, input_signature=[images], autograph=False)
        return tf.TensorSpec.from_tensor(traced.get_concrete_function().outputs[0])

    def trackable(self) -> Any:
        """What TensorFlow must save along with a graph that queries this classifier."""
        model, before = (
            [variable.value for variable in part.variables]
            if isinstance(part, keras.layers.Layer) else part
            for part in (self._model, self._preprocess)
        )
        return [model, before] if isinstance(before, (list, tf.Module)) else model

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Logits f32[N,K] of images f32[N,H,W,C], differentiable.

        Raises:
          UnsuitableClassifierError: the classifier gives labels alone.
        """
        outputs = self._query(images)
        if output_checks.are_labels(outputs):
            raise UnsuitableClassifierError(
                "expected logits [N, K], got labels alone; use the attack DBA, which needs no "
                "more, or give a classifier with one output per class"
            )
        outputs = tf.cast(outputs, tf.float32)
        if self._probabilities:
            return tf.math.log(tf.maximum(outputs, np.finfo(np.float32).tiny))
        return outputs

    def decide(self, images: tf.Tensor) -> tf.Tensor:
        """The most likely class i32[N] of images f32[N,H,W,C], in a graph too.

        It is -1 where an output is not finite.
        """
        outputs = self._query(images)
        if output_checks.are_labels(outputs):
            return tf.cast(outputs, tf.int32)
        return output_checks.most_likely(outputs)

    def logits(self, images: ImageSource, batch_size: int = 128) -> NDArray[np.float32]:
        """Logits f32[N,K] of images f32[N,H,W,C] or of a dataset."""
        rows = self._in_batches(self, to_array(images, self.input_spec), batch_size)
        return np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)

    def predict(self, images: ImageSource, batch_size: int = 128) -> Labels:
        """The most likely class i64[N] of images f32[N,H,W,C] or of a dataset; -1 for none."""
        checked = to_array(images, self.input_spec)
        rows = self._in_batches(self.decide, checked, batch_size)
        return np.concatenate([np.zeros(0, np.int64), *rows])

    def batches(
        self,
        images: ImageSource,
        batch_size: int = 128,
        *,
        needs_logits: bool = True,
        needs_gradients: bool = True,
        preflight: bool = True,
    ) -> Iterator[Batch]:
        """The door for images: checks them, and yields them in batches with their labels.

        The first batch goes through `preflight`, as far as it is needed.

        Args:
          images: f32[N,H,W,C], a dataset of such images, or files.
          batch_size: images in a batch, at least; see `images.iter_batches`.
          needs_logits, needs_gradients: what the batches will be used for; see `preflight`.
          preflight: False for a classifier that was checked before; then no image, whatever the
            classifier makes of it, raises an error for its batch.

        Raises:
          InvalidInputError: images of the wrong shape, not finite or out of bounds.
          UnsuitableClassifierError: the classifier fails its preflight check.
        """
        def predict(checked: Images) -> Labels:
            if preflight:
                self.preflight(checked, logits=needs_logits, gradients=needs_gradients)
            rows = self._in_batches(self.decide, checked, batch_size)
            return np.concatenate(rows).astype(np.int64)

        return iter_batches(images, self.input_spec, batch_size, predict)

    def check(self, images: ArrayLike) -> Images:
        """The images as f32[N,H,W,C], after checks of their shape, finiteness and bounds.

        Raises:
          InvalidInputError: any of the three is wrong.
        """
        return self.input_spec.check(images)

    def preflight(
        self, images: Images, *, logits: bool = True, gradients: bool = True
    ) -> None:
        """Checks the classifier once, on some of the images that it will be attacked with.

        Args:
          images: f32[N,H,W,C], checked; the first 32 are used.
          logits: whether the attack needs logits; if not, only a black box is checked.
          gradients: whether it needs gradients too.

        Raises:
          UnsuitableClassifierError: outputs that are not [N,K] or not finite, undeclared
            probabilities, gradients that are exactly zero, or a black box that does not give an
            integer per image. Outputs and gradients that are not finite are those of the image
            alone, unless no image has any other.
        """
        if not (self._preflight_due and len(images)):
            return
        batch = images[:MIN_BATCH]
        if not (logits or gradients):
            if self._black_box:
                # Called outside TensorFlow, which would bury its error in a longer one.
                self._black_box(batch)
                self._preflight_due = False
            return
        outputs = self(tf.constant(batch))
        output_checks.check_logits(
            outputs, len(batch), declared_probabilities=self._probabilities
        )
        if gradients:
            output_checks.check_gradients(self._gradient(batch), self._probabilities)
            self._preflight_due = False

    def graph(
        self,
        key: Hashable,
        function: Callable[..., Any],
        signature: Callable[[], list[Any]],
    ) -> Callable[..., Any]:
        """A function of tensors as a graph, which is traced once and kept with the classifier.

        Args:
          key: names the function; equal keys stand for equal functions.
          function: takes and gives tensors.
          signature: makes their `tf.TensorSpec`, with None where a size may vary.
        """
        if key not in self._graphs:
            self._graphs[key] = tf.function(
                function, input_signature=signature(), autograph=False
            )
        graph: Callable[..., Any] = self._graphs[key]
        return graph

    def discard_graphs(self, part: object) -> None:
        """Forgets the graphs that have `part` in their key, which will not be used again."""
        self._graphs = {
            key: graph for key, graph in self._graphs.items()
            if not (isinstance(key, tuple) and part in key)
        }

    def _in_batches(
        self, function: Callable[[tf.Tensor], tf.Tensor], images: Images, batch_size: int
    ) -> list[NDArray[Any]]:
        """What a method of the classifier gives for checked images, batch by batch."""
        shape = images.shape[1:]
        forward = self.graph(
            (function, shape), function, lambda: [tf.TensorSpec((None, *shape), tf.float32)]
        )
        return [
            forward(images[start:start + batch_size]).numpy()
            for start in range(0, len(images), batch_size)
        ]

    def _gradient(self, images: Images) -> tf.Tensor | None:
        """The gradient [n,H,W,C] of the cross-entropy; None where TensorFlow has none."""
        def gradient(batch: tf.Tensor) -> tf.Tensor | None:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(batch)
                outputs = self(batch)
                labels = tf.argmax(outputs, axis=1)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs)
            return tape.gradient(losses, batch)

        # In a graph: an eager tape would also compute the gradients of the weights.
        try:
            return tf.function(gradient, autograph=False)(tf.constant(images))
        except LookupError:  # an operation that TensorFlow has no gradient of
            return None

    def _query(self, images: tf.Tensor) -> tf.Tensor:
        """The model's outputs, queried for numbers of images that are a multiple of eight.

        For each new number, TensorFlow prepares every layer anew, and a loop that runs out of
        examples meets all numbers.
        """
        if self._black_box:
            return self._model_outputs(images)  # no query is made in vain
        count = tf.shape(images)[0]
        spare = tf.where(count > BATCH_MULTIPLE, -count % BATCH_MULTIPLE, 0)
        padded = tf.pad(images, [[0, spare], *[[0, 0]] * (images.shape.rank - 1)])
        outputs = self._model_outputs(tf.ensure_shape(padded, (None, *images.shape[1:])))
        output_checks.check_tensor(outputs)
        return outputs[:count]

    def _model_outputs(self, images: tf.Tensor) -> tf.Tensor:
        return self._outputs(self.to_model_input(images))

    def _look_like_probabilities(self) -> bool | None:
        """Whether the outputs for noise images are probabilities; None if the size is unknown."""
        sizes = [size for size in self._input_shape or () if size is not None]
        if not sizes or len(sizes) < len(self._input_shape or ()):
            return None  # `preflight` looks again, at the outputs for real images
        noise = np.random.default_rng(0).uniform(*self._bounds, (4, *sizes))
        outputs = self._model_outputs(tf.constant(noise, tf.float32))
        output_checks.check_tensor(outputs)
        return not output_checks.are_labels(outputs) and output_checks.sums_to_one(outputs)


def _checked_preprocess(preprocess: Any) -> Callable[[tf.Tensor], tf.Tensor] | None:
    if preprocess is not None and not callable(preprocess):
        raise InvalidInputError(
            f"expected preprocess as a function of images, got {type(preprocess).__name__}; give "
            "one that is made of TensorFlow operations"
        )
    return preprocess  # type: ignore[no-any-return]
