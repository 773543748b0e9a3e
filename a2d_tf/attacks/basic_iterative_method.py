"""BIM's update rule, in the L-infinity norm and by root mean square."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import tensorflow as tf

from a2d_tf.attacks import boundary_search
from a2d_tf.attacks.gradient_attack import GradientAttack
from a2d_tf.attacks.loop import Examples, State, pixel_axes
from a2d_tf.classifiers import Classifier
from a2d_tf.images.spec import Bounds


@dataclass(frozen=True, kw_only=True)
class BIM(GradientAttack):
    """Basic Iterative Method in L-infinity (Kurakin 2017; BIM_d in the paper, section 5.1).

    The defaults are the settings of the authors for MNIST.

    Attributes:
      eps: radius of the L-infinity ball around the input, as a fraction of the pixel range.
      step: length of one step, as a fraction of the pixel range.
      max_iterations: the largest number of steps.
      search: whether to find the number of steps by long strides (`attacks.boundary_search`)
        instead of counting each one. A search takes tens of times fewer gradients. Its costs are a
        little higher, but rank inputs alike.
    """

    name: ClassVar[str] = "bim"
    eps: float = field(default=0.3, metadata={"maximum": 1})
    step: float = field(default=0.0006, metadata={"maximum": 1})
    search: bool = False
    max_iterations: int = 500

    def start(self, examples: Examples) -> State:
        return boundary_search.start(examples) if self.search else super().start(examples)

    def advance(self, classifier: Classifier, state: State) -> State:
        if self.search:
            return boundary_search.advance(self, classifier, state)
        return super().advance(classifier, state)

    def loss_class(self, state: State, logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        return label

    def is_success(self, prediction: tf.Tensor, loss_class: tf.Tensor) -> tf.Tensor:
        return prediction != loss_class

    def update(self, classifier: Classifier, state: State, gradient: tf.Tensor) -> State:
        return {"images": self.move(classifier, state, self.direction(gradient))}

    def move(
        self, classifier: Classifier, state: State, direction: tf.Tensor,
        steps: tf.Tensor | float = 1,
    ) -> tf.Tensor:
        """The images after a number of steps in one direction, projected into the ball."""
        bounds = classifier.bounds
        length = self.step * bounds.scale * tf.cast(steps, tf.float32)
        moved = state["images"] + length * (direction * self._relative(bounds))
        radius = self.eps * bounds.scale * self._relative(bounds)
        perturbation = self.project(moved - state["original"], radius)
        return tf.clip_by_value(state["original"] + perturbation, *bounds)

    def directional_derivative(
        self, classifier: Classifier, gradient: tf.Tensor, direction: tf.Tensor
    ) -> tf.Tensor:
        """What one step in a direction adds to a loss of this gradient, to first order, f32[n]."""
        along = tf.reduce_sum(
            gradient * direction * self._relative(classifier.bounds), axis=pixel_axes(gradient)
        )
        return self.step * classifier.bounds.scale * along

    def _relative(self, bounds: Bounds) -> Any:
        """How far each channel moves, in units of `Bounds.scale`: each by a share of its range."""
        return bounds.relative_range

    def direction(self, gradient: tf.Tensor) -> tf.Tensor:
        """The steepest direction [n,H,W,C] of unit length in the attack's norm."""
        return tf.sign(gradient)

    def project(self, perturbation: tf.Tensor, radius: Any) -> tf.Tensor:
        """The perturbation, projected into the ball."""
        return tf.clip_by_value(perturbation, -radius, radius)


@dataclass(frozen=True, kw_only=True)
class BIM2(BIM):
    """BIM under the L2 norm (BIM2_d in the paper, section 5.1).

    Lengths are root mean squares over the pixels, so that one setting serves every image size. A
    zero gradient moves nothing. The defaults are the settings of the authors for MNIST.

    Attributes:
      eps: largest root mean square of the perturbation, as a fraction of the pixel range.
      step: root mean square of one step, as a fraction of the pixel range.
      max_iterations: the largest number of steps.
      search: as for `BIM`.
    """

    name: ClassVar[str] = "bim2"
    eps: float = field(default=0.1, metadata={"maximum": 1})
    step: float = field(default=0.0002, metadata={"maximum": 1})

    def direction(self, gradient: tf.Tensor) -> tf.Tensor:
        return tf.math.divide_no_nan(gradient, _rms(gradient))

    def _relative(self, bounds: Bounds) -> Any:
        return 1.0  # lengths are those of all pixels together

    def project(self, perturbation: tf.Tensor, radius: Any) -> tf.Tensor:
        return perturbation * (radius / tf.maximum(_rms(perturbation), radius))


def _rms(values: tf.Tensor) -> tf.Tensor:
    # In double precision: the squares of small gradients vanish in single precision.
    squares = tf.square(tf.cast(values, tf.float64))
    mean = tf.reduce_mean(squares, axis=pixel_axes(squares), keepdims=True)
    return tf.cast(tf.sqrt(mean), tf.float32)
