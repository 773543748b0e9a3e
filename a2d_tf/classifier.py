"""The classifier under attack: any Keras model, SavedModel or callable, as images -> logits."""

import warnings
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf import answers, loading
from a2d_tf.errors import UnsuitableClassifierError
from a2d_tf.pixels import Bounds, Images, Shape, check_bounds, check_images
from a2d_tf.saved_models import Served

Labels = NDArray[np.int64]

PREFLIGHT_IMAGES = 32
ROUND = 8


class Classifier:
    """A classifier's logits, its pixel bounds and its checks.

    Args:
      model: a Keras 3 model, or a callable that maps f32[N,H,W,C] to [N,K] with
        TensorFlow operations. A Keras model that ends in softmax or sigmoid is attacked
        at its logits: its layers are shared, the model is neither copied nor changed. A callable
        that gives labels alone, integers [N], serves attacks that need no more (`attacks.DBA`);
        one that is not made of TensorFlow operations goes through `label_only`.
      bounds: the valid pixel range.
      input_shape: (H, W, C); known for a Keras model unless some sizes are free.
      probabilities: whether the outputs are probabilities where no logits can be had. Their
        logarithm then serves as logits, with no gradient for an image that the classifier
        is wholly sure of. Noise images find out if the input shape is known, unless it is False.
      preflight: check the classifier on the first images that it is attacked with.

    Raises:
      InvalidInputError: bounds that are no range, or a model without a single image input.
      UnsuitableClassifierError: a model without a single output [N,K] of two classes or more.
    """

    def __init__(
        self,
        model: Any,
        bounds: Bounds | tuple[float, float] = Bounds(),
        *,
        input_shape: Shape | None = None,
        probabilities: bool | None = None,
        preflight: bool = True,
    ):
        self.bounds = check_bounds(bounds)
        self.model = model
        self.path: Path | None = None
        self.signature: str | None = None  # of a SavedModel, and its output
        self.output: str | None = None
        self.graphs: dict[Hashable, Any] = {}  # attack loops traced for this classifier
        self._preflight_due = preflight
        self._black_box: Callable[[Images], object] | None = None
        if isinstance(model, keras.Model):
            input_shape = loading.keras_input_shape(model) or input_shape
            self._outputs: loading.Outputs = loading.keras_logits(model)
        else:
            self._outputs = model
        self.input_shape = input_shape
        looks = probabilities if probabilities is False else self._look_like_probabilities()
        self.probabilities = bool(probabilities if looks is None else looks)

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
    ) -> "Classifier":
        """Loads a `.keras` or `.h5` file or a SavedModel directory.

        A SavedModel that ends in softmax or sigmoid is attacked at its logits, too. One that takes
        whole numbers is given 0 to 255 for the bounds, and fractions where it makes floats of
        them, so that it has gradients; one of a fixed batch size gets batches filled up with
        zeros.

        Args:
          path: the file or directory.
          bounds: the valid pixel range.
          signature: of a SavedModel; None for `serving_default`, or the only one.
          output: of that signature: one [N,K] of logits or probabilities, or integer labels [N];
            None for the only one.
          probabilities, preflight: as for the constructor.

        Raises:
          InvalidInputError: nothing there, nothing that Keras or TensorFlow can load, or no such
            signature or output.
        """
        path = Path(path)
        model = loading.load_model(path, check_bounds(bounds), signature, output)
        shape = model.image_shape if isinstance(model, Served) else None
        classifier = cls(
            model, bounds, input_shape=shape, probabilities=probabilities, preflight=preflight,
        )
        classifier.path = path
        if isinstance(model, Served):
            classifier.signature, classifier.output = model.signature, model.output
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
        def ask(images: Images) -> NDArray[np.int32]:
            answer = np.asarray(function(images))
            answers.check_labels(answer, len(images))
            return answer.astype(np.int32)

        def labels(images: tf.Tensor) -> tf.Tensor:
            answer = tf.numpy_function(ask, [images], tf.int32)
            return tf.ensure_shape(answer, images.shape[:1])

        classifier = cls(labels, bounds, input_shape=input_shape, probabilities=False)
        classifier._black_box = ask
        return classifier

    @property
    def is_black_box(self) -> bool:
        """Whether it is a Python function, which no graph can hold."""
        return self._black_box is not None

    def answer(self, shape: Shape) -> tf.TensorSpec:
        """What it gives for images f32[N,*shape]: labels [N], or [N,K] with an output per class."""
        images = tf.TensorSpec((None, *shape), tf.float32)
        traced = tf.function(self._outputs, input_signature=[images], autograph=False)
        return tf.TensorSpec.from_tensor(traced.get_concrete_function().outputs[0])

    def trackable(self) -> Any:
        """What TensorFlow must save along with a graph that asks this classifier."""
        if isinstance(self.model, keras.Model):
            return [variable.value for variable in self.model.variables]
        return self.model

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Logits f32[N,K] of images f32[N,H,W,C], differentiable.

        Raises:
          UnsuitableClassifierError: the classifier gives labels alone.
        """
        outputs = self._ask(images)
        if answers.are_labels(outputs):
            raise UnsuitableClassifierError(
                "expected logits [N, K], got labels alone; use the attack DBA, which asks for no "
                "more, or give a classifier with one output per class"
            )
        outputs = tf.cast(outputs, tf.float32)
        if self.probabilities:
            return tf.math.log(tf.maximum(outputs, np.finfo(np.float32).tiny))
        return outputs

    def decide(self, images: tf.Tensor) -> tf.Tensor:
        """The most likely class i32[N] of images f32[N,H,W,C], in a graph too."""
        outputs = self._ask(images)
        if answers.are_labels(outputs):
            return tf.cast(outputs, tf.int32)
        return tf.argmax(outputs, axis=1, output_type=tf.int32)

    def logits(self, images: ArrayLike, batch_size: int = 128) -> NDArray[np.float32]:
        """Logits f32[N,K] of checked images f32[N,H,W,C], batch by batch."""
        batches = self._in_batches(self, images, batch_size)
        return np.concatenate(batches) if batches else np.zeros((0, 0), np.float32)

    def predict(self, images: ArrayLike, batch_size: int = 128) -> Labels:
        """The most likely class i64[N] of images f32[N,H,W,C]."""
        batches = self._in_batches(self.decide, images, batch_size)
        return np.concatenate([np.zeros(0, np.int64), *batches])

    def _in_batches(
        self, function: Callable[[tf.Tensor], tf.Tensor], images: ArrayLike, batch_size: int
    ) -> list[NDArray[Any]]:
        """What a method of the classifier gives for checked images, batch by batch."""
        images = self.check(images)
        key = (function, images.shape[1:])
        if key not in self.graphs:
            signature = [tf.TensorSpec((None, *images.shape[1:]), tf.float32)]
            self.graphs[key] = tf.function(function, input_signature=signature, autograph=False)
        forward = self.graphs[key]
        return [
            forward(images[start:start + batch_size]).numpy()
            for start in range(0, len(images), batch_size)
        ]

    def check(self, images: ArrayLike) -> Images:
        """The images as f32[N,H,W,C], after checking shape, finiteness and bounds.

        Raises:
          InvalidInputError: any of the three is off.
        """
        return check_images(images, self.input_shape, self.bounds)

    def preflight(
        self, images: Images, *, logits: bool = True, gradients: bool = True
    ) -> None:
        """Checks the classifier once on some of the images it is to be attacked with.

        Args:
          images: f32[N,H,W,C], already checked; the first 32 are used.
          logits: whether the attack needs any; if not, a black box alone is checked.
          gradients: whether it needs those too.

        Raises:
          UnsuitableClassifierError: outputs that are not [N,K] or not finite, undeclared
            probabilities, or gradients that are exactly zero; a black box whose answer is not
            an integer per image.
        """
        if not (self._preflight_due and len(images)):
            return
        if not (logits or gradients):
            if self._black_box:
                # Asked outside TensorFlow, which would bury its error in a longer one.
                self._black_box(images[:PREFLIGHT_IMAGES])
                self._preflight_due = False
            return
        batch = tf.constant(images[:PREFLIGHT_IMAGES])
        if not gradients:
            answers.check_logits(
                self(batch), len(batch), declared_probabilities=self.probabilities
            )
            return
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(batch)
            outputs = self(batch)
            answers.check_logits(outputs, len(batch), declared_probabilities=self.probabilities)
            labels = tf.argmax(outputs, axis=1)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs)
        try:
            gradient = tape.gradient(losses, batch)
        except LookupError:  # an operation that TensorFlow has no gradient of
            gradient = None
        answers.check_gradients(gradient, self.probabilities)
        self._preflight_due = False

    def _ask(self, images: tf.Tensor) -> tf.Tensor:
        """The model's outputs, asked for in round numbers of images.

        For each new number TensorFlow prepares every layer anew, and a loop that runs dry meets
        them all.
        """
        if self._black_box:
            return self._outputs(images)  # asked for nothing in vain
        count = tf.shape(images)[0]
        spare = tf.where(count > ROUND, -count % ROUND, 0)
        padded = tf.pad(images, [[0, spare], [0, 0], [0, 0], [0, 0]])
        return self._outputs(tf.ensure_shape(padded, (None, *images.shape[1:])))[:count]

    def _look_like_probabilities(self) -> bool | None:
        """Whether the outputs for noise images are probabilities; None without a known size."""
        sizes = [size for size in self.input_shape or () if size is not None]
        if len(sizes) < 3:
            return None  # `preflight` looks again, on real images
        noise = np.random.default_rng(0).uniform(*self.bounds, (4, *sizes))
        outputs = self._outputs(tf.constant(noise, tf.float32))
        return not answers.are_labels(outputs) and answers.sums_to_one(outputs)
