"""The score of a detector as a differentiable function of the image."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from a2d_tf.a2d import A2D
from a2d_tf.adaptive.bim_costs import costs_of_bim, crossing_time, estimated_cost, median_costs
from a2d_tf.adaptive.goal import Goal, own_labels
from a2d_tf.checks import number
from a2d_tf.classifiers import Classifier
from a2d_tf.detection import DetectorState
from a2d_tf.errors import InvalidInputError
from a2d_tf.features import AttackCost, Feature
from a2d_tf.images.spec import Images

# An image counts as not flagged below the threshold by so much, relative to it, since the same
# image's score differs a little from batch to batch.
SLACK = 1e-4
PROBES = 8  # images at which a gradient must be found
REACH = 1.5  # of the benign median: up to there costs of BIM are estimated best


class DifferentiableScore(Goal):
    """The score of a fitted A2D, of which TensorFlow knows the gradient.

    First-order costs are gradients themselves, so that the network is differentiated twice. The
    label that a feature depends on is the classifier's, and counts as a constant. The cost of BIM
    has no gradient; an estimate of it takes its place (`bim_costs.crossing_time`).

    Args:
      state: the fitted A2D's state.
      medians: benign medians, at least 1, of the costs of BIM and BIM2 among the features, by name;
        `differentiable_score` measures them.

    Raises:
      InvalidInputError: a feature is the counted cost of another attack, or one without a median,
        or it cannot be part of a graph; or a median is below 1.
    """

    def __init__(self, state: DetectorState, medians: Mapping[str, float] | None = None):
        _require_gradient(state, medians is not None)
        self._state = state
        self._bim = costs_of_bim(state.features)
        self._medians = {
            name: number((medians or {}).get(name), f"a benign median of {name}", minimum=1)
            for name in self._bim
        }

    @property
    def state(self) -> DetectorState:
        """The fitted A2D's state."""
        return self._state

    @property
    def enough(self) -> float:
        threshold = float(np.float32(self._state.detector.threshold))
        return threshold - SLACK * abs(threshold) if np.isfinite(threshold) else threshold

    def columns(self, images: tf.Tensor) -> tf.Tensor:
        """The columns f64[n,D] of images f32[n,H,W,C], as the detector takes them.

        Costs of BIM are estimates, taken a little low where the detector flags low costs alone.
        """
        return self._columns(images)[0]

    def _columns(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The columns, and for which images there is a label, bool[n]."""
        images = tf.convert_to_tensor(images, tf.float32)
        labels, is_known = own_labels(self._state.classifier, images)
        columns = self._state.oriented(tf.concat([
            self._of_feature(name, images, labels) for name in self._state.features
        ], axis=1))
        return columns, is_known

    def _of_feature(self, name: str, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        state = self._state
        if name not in self._bim:
            return columns_of(state.features[name], state.classifier, images, labels)
        time = crossing_time(
            state.classifier, self._bim[name], images, labels, REACH * self._medians[name]
        )
        flags_low = state.detector.falls_with(state.column_slice(name).start)
        cost = estimated_cost(time, self._bim[name], cautious=flags_low)
        return tf.cast(cost, tf.float64)[:, None]

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """The scores f32[n] of images f32[n,H,W,C] within the bounds, n >= 1.

        It is infinite for an invalid image, which is flagged: one without a label, or with a column
        that is not a finite number.
        """
        columns, is_known = self._columns(images)
        valid = is_known & tf.reduce_all(tf.math.is_finite(columns), axis=1)
        return tf.where(valid, self._state.detector.graph_score(columns), np.float32(np.inf))

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
        medians = f", {self._medians!r}" if self._medians else ""
        return f"DifferentiableScore({{{features}}}, {self._state.detector!r}{medians})"


def differentiable_score(a2d: A2D, benign: Images | None = None) -> DifferentiableScore:
    """The score of a fitted A2D as a function of TensorFlow: images f32[n,H,W,C] -> f32[n].

    Args:
      a2d: the fitted A2D.
      benign: f32[N,H,W,C], benign images, which are needed if it judges the cost of BIM or BIM2;
        the first of them are measured.

    Raises:
      NotFittedError: the A2D is not fitted.
      InvalidInputError: its features have no gradient, such as the counted costs of other attacks,
        or no benign image can be measured.
    """
    _require_gradient(a2d.state, benign is not None)
    return DifferentiableScore(a2d.state, None if benign is None else median_costs(a2d, benign))


def _require_gradient(state: DetectorState, has_medians: bool) -> None:
    counted = [name for name, one in state.features.items() if isinstance(one, AttackCost)]
    bim = costs_of_bim(state.features)
    if others := [name for name in counted if name not in bim]:
        raise InvalidInputError(
            f"expected features with a gradient, got the counted costs {', '.join(others)}; "
            "attack their surrogate, the first-order costs (BenignColumns)"
        )
    if bim and not has_medians:
        raise InvalidInputError(
            f"expected benign images, by which the costs {', '.join(bim)} are estimated, got none; "
            "give them to differentiable_score(a2d, benign)"
        )
    if foreign := [name for name, one in state.features.items() if not one.in_graph]:
        raise InvalidInputError(
            f"expected features that TensorFlow can differentiate, got {', '.join(foreign)}; "
            "implement graph_measure"
        )


def columns_of(
    feature: Feature, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
) -> tf.Tensor:
    """The columns f64[n,D] of a feature."""
    columns = tf.cast(feature.graph_measure(classifier, images, labels), tf.float64)
    return columns[:, None] if columns.shape.rank == 1 else columns
