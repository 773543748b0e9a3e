"""The score of a detector as a differentiable function of the image."""

import numpy as np
import tensorflow as tf

from a2d_tf.a2d import A2D
from a2d_tf.adaptive.goal import Goal
from a2d_tf.classifiers import Classifier
from a2d_tf.detection import DetectorState
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import AttackCost, Feature
from a2d_tf.images.spec import Images

# An image counts as not flagged below the threshold by so much, relative to it, since the same
# image's score differs a little from batch to batch.
SLACK = 1e-4
PROBES = 8  # images at which a gradient must be found


class DifferentiableScore(Goal):
    """The score of a fitted A2D, of which TensorFlow knows the gradient.

    First-order costs are gradients themselves, so that the network is differentiated twice. The
    label that a feature depends on is the classifier's, and counts as a constant.

    Args:
      state: the fitted A2D's state.

    Raises:
      InvalidInputError: a feature is the counted cost of an attack, or cannot be part of a graph.
    """

    def __init__(self, state: DetectorState):
        if counted := [n for n, one in state.features.items() if isinstance(one, AttackCost)]:
            raise InvalidInputError(
                f"expected features with a gradient, got the counted costs {', '.join(counted)}; "
                "attack their surrogate, the first-order costs (BenignColumns)"
            )
        if foreign := [name for name, one in state.features.items() if not one.in_graph]:
            raise InvalidInputError(
                f"expected features that TensorFlow can differentiate, got {', '.join(foreign)}; "
                "implement graph_measure"
            )
        self._state = state

    @property
    def state(self) -> DetectorState:
        """The fitted A2D's state."""
        return self._state

    @property
    def enough(self) -> float:
        threshold = float(np.float32(self._state.detector.threshold))
        return threshold - SLACK * abs(threshold) if np.isfinite(threshold) else threshold

    def columns(self, images: tf.Tensor) -> tf.Tensor:
        """The columns f64[n,D] of images f32[n,H,W,C], as the detector takes them."""
        images = tf.convert_to_tensor(images, tf.float32)
        classifier = self._state.classifier
        labels = classifier.decide(images)
        return self._state.oriented(tf.concat([
            columns_of(feature, classifier, images, labels)
            for feature in self._state.features.values()
        ], axis=1))

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """The scores f32[n] of images f32[n,H,W,C] within the bounds, n >= 1."""
        return self._state.detector.graph_score(self.columns(images))

    def value(self, images: tf.Tensor, aims: tf.Tensor) -> tf.Tensor:
        return self(images)

    def check(self, images: Images) -> None:
        """Looks for a gradient at some images f32[N,H,W,C].

        Raises:
          InvalidInputError: there is none, as for detectors that count (trees, nearest neighbours).
        """
        def gradient(batch: tf.Tensor) -> tf.Tensor | None:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(batch)
                scores = self(batch)
            return tape.gradient(scores, batch)

        try:
            found = tf.function(gradient, autograph=False)(tf.constant(images[:PROBES]))
        except LookupError:  # an operation that TensorFlow has no gradient of
            found = None
        if found is None or not np.any(np.nan_to_num(found, posinf=0.0, neginf=0.0)):
            raise InvalidInputError(
                f"expected a score with a gradient, got that of {self._state.detector!r}, which "
                "has none at these images; attack the columns instead (BenignColumns)"
            )

    def __repr__(self) -> str:
        features = ", ".join(f"{name!r}: {one!r}" for name, one in self._state.features.items())
        return f"DifferentiableScore({{{features}}}, {self._state.detector!r})"


def differentiable_score(a2d: A2D) -> DifferentiableScore:
    """The score of a fitted A2D as a function of TensorFlow: images f32[n,H,W,C] -> f32[n].

    Raises:
      NotFittedError: the A2D is not fitted.
      InvalidInputError: its features have no gradient, such as counted costs.
    """
    return DifferentiableScore(a2d.state)


def columns_of(
    feature: Feature, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
) -> tf.Tensor:
    """The columns f64[n,D] of a feature."""
    columns = tf.cast(feature.graph_measure(classifier, images, labels), tf.float64)
    return columns[:, None] if columns.shape.rank == 1 else columns
