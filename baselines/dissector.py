"""Profile validity of sub-models on intermediate layers (Wang et al. 2020)."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf import checks
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import Feature, FitData
from a2d_tf.images.spec import Images, Labels
from . import network

Weights = NDArray[np.float64]
SUB_MODELS = 6  # as many as were published for ResNet101
TRAINING_BATCH = 128
LEARNING_RATE = 1e-3
GROWTHS: dict[str, Callable[[Weights, float], Weights]] = {
    "linear": lambda places, exponent: places,
    "logarithmic": lambda places, exponent: np.log(places),
    "exponential": lambda places, exponent: np.exp(exponent * places),
}


@dataclass(frozen=True, kw_only=True)
class Dissector(Feature):
    """Input Validation by Crossing-layer Dissection (Wang et al. 2020, ICSE).

    The column is the profile validity of an image: the weighted mean of the snapshot validities of
    sub-models on intermediate layers, and of the network itself, which comes last. A sub-model is
    the network up to a layer, as it is, and one fully connected layer. The classifier is a built
    functional or Sequential Keras model.

    `fit` trains the sub-models together on the labelled images of the fit, by Adam with
    cross-entropy. Give it `training_data`, or it learns from the benign images alone. It learns 4
    bytes for every output of a layer and class.

    Attributes:
      layers: names of the layers, from first to last; none takes 6 of the non-linear activations
        before the output, evenly spaced up to the last one, or all if there are fewer.
      growth: how the weights grow with the place x = 1, 2, ... of a snapshot: "linear" x,
        "logarithmic" ln x, or "exponential" e^(b x).
      factor: a; above 0, a weight w becomes a w + 1.
      exponent: b of the exponential weights.
      epochs: passes over the training images.
      seed: seed of the order of the training images.
    """

    name: ClassVar[str] = "dissector"
    description: ClassVar[str] = "profile validity of sub-models on inner layers (Wang 2020)"
    needs_fit: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = False
    layers: tuple[str, ...] = ()
    growth: str = "exponential"
    factor: float = field(default=0.0, metadata={"minimum": 0})
    exponent: float = 1.0
    epochs: int = 5
    seed: int = field(default=0, metadata={"minimum": 0})

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.lookup(GROWTHS, self.growth, "Dissector's growth")
        if isinstance(self.layers, str) or not all(isinstance(name, str) for name in self.layers):
            raise InvalidInputError(
                f"expected names of layers for Dissector, got {self.layers!r}; give several strings"
            )
        object.__setattr__(self, "layers", tuple(self.layers))  # JSON knows lists alone

    def check(self, classifier: Classifier) -> None:
        self._chosen_layers(classifier)

    def fit(self, classifier: Classifier, data: FitData) -> "Dissector":
        names = self._chosen_layers(classifier)
        classes = classifier.model.output_shape[-1]
        if data.labels.min(initial=0) < 0 or data.labels.max(initial=0) >= classes:
            raise InvalidInputError(
                f"expected labels from 0 to {classes - 1} for Dissector, got "
                f"{data.labels.min()} to {data.labels.max()}; give the classifier's training_data"
            )
        layers = _train(classifier, names, data.images, data.labels, self.epochs, self.seed)
        learned: dict[str, NDArray[Any]] = {"layers": np.array(names)}
        for index, (kernel, bias) in enumerate(layers):
            learned |= {f"kernel_{index}": kernel, f"bias_{index}": bias}
        return replace(self, learned=learned)

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        assert self.learned is not None
        names = [str(name) for name in self.learned["layers"]]
        outputs = network.layer_outputs(classifier, images, names)
        snapshots = [
            tf.matmul(output, self.learned_tensor(f"kernel_{index}"))
            + self.learned_tensor(f"bias_{index}")
            for index, output in enumerate(outputs)
        ]
        snapshots.append(classifier(images))
        validities = [
            snapshot_validity(tf.nn.softmax(logits), labels) for logits in snapshots
        ]
        return profile_validity(tf.stack(validities, axis=1), self.weights(len(validities)))

    def weights(self, snapshots: int) -> Weights:
        """The weights f64[L] of snapshots, from the first to the network's own."""
        grown = GROWTHS[self.growth](np.arange(1.0, snapshots + 1), self.exponent)
        return np.asarray(self.factor * grown + 1 if self.factor else grown)

    def _chosen_layers(self, classifier: Classifier) -> list[str]:
        """The layers that have sub-models; raises InvalidInputError if one is not there."""
        every, activations = network.layer_names(network.require_layers(classifier))
        if unknown := [name for name in self.layers if name not in every]:
            raise InvalidInputError(
                f"expected layers out of {', '.join(every)}, got {', '.join(unknown)}; name "
                "layers of the classifier"
            )
        if self.layers:
            return list(self.layers)
        if not activations:
            raise InvalidInputError(
                "expected a classifier with non-linear activations before its output for "
                "Dissector, got none; name its layers"
            )
        count = min(SUB_MODELS, len(activations))
        places = np.arange(1, count + 1) * len(activations) // count - 1
        return [activations[place] for place in places]


def snapshot_validity(probabilities: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """How far a sub-model agrees with the network, f32[N] in [0, 1].

    With the network's label l, it is P[l] / (P[l] + second largest of P) where l is the largest of
    P, and otherwise 1 - P[max] / (P[max] + P[l]). Both are P[l] / (P[l] + largest of the others).

    Args:
      probabilities: P, f32[N,K] of a sub-model.
      labels: i32[N], the network's.
    """
    chosen = tf.one_hot(labels, tf.shape(probabilities)[1], dtype=probabilities.dtype)
    own = tf.reduce_sum(chosen * probabilities, axis=1)
    other = tf.reduce_max(probabilities * (1 - chosen), axis=1)
    return own / (own + other)


def profile_validity(validities: tf.Tensor, weights: Weights) -> tf.Tensor:
    """The weighted means f64[N,1] of snapshot validities f32[N,L]."""
    return tf.linalg.matvec(tf.cast(validities, tf.float64), weights / weights.sum())[:, None]


def _train(
    classifier: Classifier, names: list[str], images: Images, labels: Labels, epochs: int,
    seed: int,
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Kernel and bias of a fully connected layer on each of the named layers."""
    classes = classifier.model.output_shape[-1]
    inner = tf.function(
        lambda batch: network.layer_outputs(classifier, batch, names),
        input_signature=[tf.TensorSpec((None, *images.shape[1:]), tf.float32)],
    )
    sizes = [output.shape[1] for output in inner.get_concrete_function().outputs]
    # From zero, which is as good a start as any: the loss is convex.
    variables = [
        (keras.Variable(tf.zeros((size, classes))), keras.Variable(tf.zeros(classes)))
        for size in sizes
    ]
    every = [variable for pair in variables for variable in pair]
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    optimizer.build(every)

    def step(batch: tf.Tensor, truth: tf.Tensor) -> None:
        outputs = inner(batch)
        with tf.GradientTape() as tape:
            loss = tf.add_n([
                tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
                    truth, tf.matmul(output, kernel.value) + bias.value
                ))
                for output, (kernel, bias) in zip(outputs, variables, strict=True)
            ])
        optimizer.apply(tape.gradient(loss, [one.value for one in every]))

    train = tf.function(step, reduce_retracing=True)
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(labels))
        for start in range(0, len(order), TRAINING_BATCH):
            rows = order[start:start + TRAINING_BATCH]
            train(tf.constant(images[rows]), tf.constant(labels[rows]))
    return [(kernel.numpy(), bias.numpy()) for kernel, bias in variables]
