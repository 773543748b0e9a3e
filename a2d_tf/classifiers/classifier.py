"""The classifier under attack: a Keras model, a SavedModel or a callable, as images -> logits."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf.checks import text_path
from a2d_tf.classifiers import copying, output_checks, preflight, saving, squashing
from a2d_tf.classifiers.keras_logits import warn_of_rescaling
from a2d_tf.classifiers.loading import load_model
from a2d_tf.classifiers.model_outputs import ModelOutputs
from a2d_tf.classifiers.preflight import ALL
from a2d_tf.classifiers.saved_model_logits import SavedModelLogits
from a2d_tf.errors import InvalidInputError, UnsuitableClassifierError
from a2d_tf.images.batching import Batch, ImageSource, iter_batches, to_array
from a2d_tf.images.spec import Bounds, Images, InputSpec, Labels, Shape, check_bounds
from a2d_tf.images.used_range import warn_of_other_range
from a2d_tf.storage import files


class Classifier:
    """A classifier's logits, the range of its pixels and the checks of its outputs.

    Args:
      model: a Keras 3 model, a callable that maps f32[N,H,W,C] to [N,K] by TensorFlow operations,
        or the path of a file that `load` takes. A Keras model that ends in softmax or sigmoid is
        attacked at its logits: its layers are shared, and the model is neither copied nor changed.
        One output per image, [N] or [N,1], is the logit or the probability of class 1 of two.
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
      UnsuitableClassifierError: the model does not have one output [N,K] or [N], or it is not
        clear whether its one number per image is a logit or a probability.
    """

    def __init__(
        self,
        model: Any,
        bounds: Bounds | tuple[float, float] = Bounds(),
        *,
        input_shape: Shape | None = None,
        output: str | int | None = None,
        probabilities: bool | None = None,
        preflight: bool = True,
        preprocess: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ):
        self._bounds = check_bounds(bounds)
        self._path: Path | None = None
        self._digest: str | None = None
        self._custom_objects: Mapping[str, Any] = {}
        if isinstance(model, (str, Path)):
            self._path = Path(os.path.expanduser(model))
            self._digest = _digest(self._path)
            model = load_model(self._path, self._bounds, output=output)
        if isinstance(model, keras.Model) and preprocess is None:
            warn_of_rescaling(model, self._bounds)
        self._output = model.output if isinstance(model, SavedModelLogits) else output
        self._outputs = ModelOutputs(
            model, self._bounds, input_shape=input_shape, output=output,
            probabilities=probabilities, preprocess=preprocess,
        )
        self._graphs: dict[Hashable, Any] = {}
        self._passed = set() if preflight else set(ALL)

    @classmethod
    def load(
        cls,
        path: str | Path,
        bounds: Bounds | tuple[float, float] = Bounds(),
        *,
        input_shape: Shape | None = None,
        signature: str | None = None,
        output: str | int | None = None,
        probabilities: bool | None = None,
        preflight: bool = True,
        custom_objects: Mapping[str, Any] | None = None,
        safe_mode: bool = True,
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
          input_shape: (H, W, C), for a model that does not say it itself.
          signature: the signature of a SavedModel; None for `serving_default`, or the only one.
          output: the output of that signature: [N,K] of logits or probabilities, or integer labels
            [N]; or the name or the index of an output of a Keras model. None for the only one.
          probabilities, preflight, preprocess: as for the constructor.
          custom_objects: layers and functions of your own in a Keras file, by name.
          safe_mode: whether Keras refuses to load what may run any code, such as Lambda layers.
            Say False only for a file that you trust.

        Raises:
          InvalidInputError: there is nothing, or nothing that Keras or TensorFlow can load, or no
            such signature or output.
        """
        path = Path(os.path.expanduser(text_path(path, "the path of a model")))
        digest = _digest(path)
        model = load_model(
            path, check_bounds(bounds), signature, output,
            custom_objects=custom_objects, safe_mode=safe_mode,
        )
        classifier = cls(
            model, bounds, input_shape=input_shape, probabilities=probabilities,
            preflight=preflight, output=None if isinstance(model, SavedModelLogits) else output,
            preprocess=preprocess,
        )
        classifier._path, classifier._digest = path, digest
        classifier._custom_objects = dict(custom_objects or {})
        if classifier.probabilities:
            warnings.warn(
                f"{path.name} gives probabilities, not logits: it is attacked at their "
                "logarithm, and inputs of which it is certain may have no gradient",
                stacklevel=2,
            )
        return classifier

    def save(self, path: str | Path) -> None:
        """Writes the classifier where `load` finds it, and reads it back.

        The bounds are not part of the file.

        Args:
          path: a file that ends in .keras, or a folder for a SavedModel.

        Raises:
          InvalidInputError: the classifier is a black box, it cannot be read back, or it cannot be
            written as the kind of file that the path names.
        """
        path = Path(os.path.expanduser(path))
        with tempfile.TemporaryDirectory() as scratch:
            written = saving.write(
                self, Path(scratch), may_be_file=path.suffix == ".keras"
            )
            if (Path(written.name).suffix == ".keras") != (path.suffix == ".keras"):
                raise InvalidInputError(
                    f"expected a classifier that a .keras file can hold, got one that it cannot; "
                    f"name a folder such as {path.with_suffix('')} for a SavedModel"
                )
            with files.replacing(path) as target:
                shutil.move(Path(scratch) / written.name, target)

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

        classifier = cls(function, bounds, probabilities=False)
        classifier._outputs = ModelOutputs.of_black_box(query, classifier.bounds, input_shape)
        classifier._outputs.model = function
        return classifier

    @property
    def model(self) -> Any:
        """The Keras model, the SavedModel's function or the callable."""
        return self._outputs.model

    @property
    def preprocess(self) -> Callable[[tf.Tensor], tf.Tensor] | None:
        """What stands before the model; None if the model takes the images as they are."""
        return self._outputs.preprocess

    def to_model_input(self, images: tf.Tensor) -> tf.Tensor:
        """What the model is given for images f32[N,H,W,C]."""
        return self._outputs.to_model_input(images)

    @property
    def bounds(self) -> Bounds:
        """The valid range of the pixels."""
        return self._bounds

    @property
    def input_shape(self) -> Shape | None:
        """(H, W, C), with None where a size is free; None if nothing is known."""
        return self._outputs.input_shape

    @property
    def input_spec(self) -> InputSpec:
        """What the classifier takes."""
        return InputSpec(self.input_shape, self._bounds)

    @property
    def probabilities(self) -> bool:
        """Whether the outputs are probabilities, whose logarithm serves as logits."""
        return self._outputs.probabilities

    @property
    def path(self) -> Path | None:
        """Where the classifier was loaded from; None if it was made from an object."""
        return self._path

    @property
    def digest(self) -> str | None:
        """The hash of the SavedModel when it was loaded; None for other models."""
        return self._digest

    @property
    def custom_objects(self) -> Mapping[str, Any]:
        """The layers and functions of one's own that the Keras file was loaded with, by name."""
        return MappingProxyType(self._custom_objects)

    @property
    def seen_shape(self) -> tuple[int, ...] | None:
        """(H, W, C) of images that the classifier was tried with; None if it was not used yet."""
        return self._outputs.seen_shape

    @property
    def signature(self) -> str | None:
        """The signature of a SavedModel; None for other models."""
        return self.model.signature if isinstance(self.model, SavedModelLogits) else None

    @property
    def output(self) -> str | int | None:
        """The output that was chosen; None for a model that has one alone."""
        return self._output

    @property
    def graphs(self) -> Mapping[Hashable, Any]:
        """The graphs that were traced so far; see `graph`."""
        return MappingProxyType(self._graphs)

    @property
    def is_black_box(self) -> bool:
        """Whether the classifier is a Python function, which no TensorFlow graph can hold."""
        return self._outputs.black_box is not None

    def __repr__(self) -> str:
        source = str(self._path) if self._path else type(self.model).__name__
        return (
            f"Classifier({source}, bounds={tuple(self._bounds)}, input_shape={self.input_shape})"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "Classifier":
        """Another classifier on the same model, without graphs."""
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        vars(twin).update(vars(self), _graphs={}, _passed=set(self._passed))
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy for `pickle`, with a copy of the model and without graphs."""
        settings = {
            "bounds": self._bounds, "input_shape": self.input_shape,
            "output": None if isinstance(self.model, keras.Model) else self._output,
            "probabilities": self._outputs.declared, "is_black_box": self.is_black_box,
        }
        others = {name: vars(self)[name] for name in ("_path", "_digest", "_output", "_passed")}
        content = copying.to_bytes(self.model, self.preprocess)
        return copying.rebuild, (type(self), content, settings, others)

    def output_spec(self, shape: Shape) -> tf.TensorSpec:
        """The outputs for images f32[N,*shape]: labels [N], or [N,K] with a column per class."""
        def outputs(images: tf.Tensor) -> tf.Tensor:
            found = self._outputs(images)
            return found if output_checks.are_labels(found) else self._outputs.as_logits(found)

        images = tf.TensorSpec((None, *shape), tf.float32)
        traced = tf.function(outputs, input_signature=[images], autograph=False)
        return tf.TensorSpec.from_tensor(traced.get_concrete_function().outputs[0])

    def trackable(self) -> Any:
        """What TensorFlow must save along with a graph that queries this classifier."""
        return self._outputs.trackable()

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Logits f32[N,K] of images f32[N,H,W,C], differentiable.

        A classifier of one output unit has two classes, with the logits 0 and that of the unit.

        Raises:
          UnsuitableClassifierError: the classifier gives labels alone.
        """
        outputs = self._outputs(images)
        if output_checks.are_labels(outputs):
            raise UnsuitableClassifierError(
                "expected logits [N, K], got labels alone; use the attack DBA, which needs no "
                "more, or give a classifier with one output per class"
            )
        return self._outputs.as_logits(outputs)

    def decide(self, images: tf.Tensor) -> tf.Tensor:
        """The most likely class i32[N] of images f32[N,H,W,C], in a graph too.

        It is -1 where an output is not finite.
        """
        outputs = self._outputs(images)
        if output_checks.are_labels(outputs):
            return tf.cast(outputs, tf.int32)
        if squashing.is_one_unit(outputs):
            outputs = self._outputs.as_logits(outputs)
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
        needs_labels: bool = True,
        preflight: bool = True,
    ) -> Iterator[Batch]:
        """The door for images: checks them, and yields them in batches with their labels.

        The first batch goes through `preflight`, as far as it is needed.

        Args:
          images: f32[N,H,W,C], a dataset of such images, or files.
          batch_size: images in a batch, at least; see `images.iter_batches`.
          needs_logits, needs_gradients: what the batches will be used for; see `preflight`.
          needs_labels: False for labels that are all 0, without a query.
          preflight: False for a classifier that was checked before; then no image, whatever the
            classifier makes of it, raises an error for its batch. There is a warning if the pixels
            of the first batch hardly use their range.

        Raises:
          InvalidInputError: images of the wrong shape, not finite or out of bounds.
          UnsuitableClassifierError: the classifier fails its preflight check.
        """
        is_first = True

        def predict(checked: Images) -> Labels:
            nonlocal is_first
            if preflight:
                self.preflight(checked, logits=needs_logits, gradients=needs_gradients)
            elif is_first:
                warn_of_other_range(checked, self._bounds)
            is_first = False
            if not needs_labels:
                return np.zeros(len(checked), np.int64)
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
        with output_checks.one_line_errors(self.model):
            preflight.check(self, images, self._passed, logits=logits, gradients=gradients)

    def check_labels(self, images: Images) -> None:
        """Raises UnsuitableClassifierError unless a black box gives an integer for each image.

        It is called outside TensorFlow, which would bury its error in a longer one. Other
        classifiers are not called.
        """
        if self._outputs.black_box:
            self._outputs.black_box(images)

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
        with output_checks.one_line_errors(self.model):
            return [
                forward(images[start:start + batch_size]).numpy()
                for start in range(0, len(images), batch_size)
            ]


def _digest(path: Path) -> str | None:
    """The hash of a SavedModel's folder; None for a file."""
    return files.sha256(path) if path.is_dir() else None
