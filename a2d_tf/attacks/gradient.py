"""Attacks that follow the gradient: what they share, BIM in two norms, and FGSM."""

import abc
from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from a2d_tf.attacks import search
from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.loop import Examples, State, per_image
from a2d_tf.classifier import Classifier
from a2d_tf.pixels import Bounds


@dataclass(frozen=True, kw_only=True)
class GradientAttack(Attack):
    """One forward and one backward pass per iteration and example.

    The forward pass that tests an image for success also yields the gradient of the next
    iteration. A subclass says which class its loss names (`aim`), when it has succeeded
    (`reached`) and how it moves (`update`).
    """

    # The cost counts the iterations before the one whose test succeeds; where the test comes
    # before the update, the untouched image is tested too.
    tests_before_update: ClassVar[bool] = False

    @abc.abstractmethod
    def aim(self, state: State, logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        """The class i32[n] whose cross-entropy is followed, from the untouched images' logits."""

    @abc.abstractmethod
    def reached(self, prediction: tf.Tensor, goal: tf.Tensor) -> tf.Tensor:
        """Success bool[n] of images predicted as `prediction` i32[n]."""

    @abc.abstractmethod
    def update(self, classifier: Classifier, state: State, gradient: tf.Tensor) -> State:
        """The parts of the state that one step along the gradient [n,H,W,C] changes."""

    def start(self, examples: Examples) -> State:
        return {
            "images": examples.images, "original": examples.images, "goal": examples.labels,
        }

    def advance(self, classifier: Classifier, state: State) -> State:
        steps = state["queries"] - 1
        untouched = steps == 0
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state["images"])
            logits = classifier(state["images"])
            prediction = tf.argmax(logits, axis=1, output_type=tf.int32)
            label = tf.where(state["goal"] < 0, prediction, state["goal"])
            goal = tf.where(untouched, self.aim(state, logits, label), state["goal"])
            # Per example: a mean over the batch would tie the examples to one another.
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(goal, logits)
        state = state | {"goal": goal, "gradients": state["queries"]}
        moved = self.update(classifier, state, tape.gradient(loss, state["images"]))
        cost = steps - (0 if self.tests_before_update else 1)
        return judged(state, moved, cost, self.reached(prediction, goal))


def judged(state: State, moved: State, cost: tf.Tensor, reached: tf.Tensor) -> State:
    """Rows after their test: those that go on move, the others say what they cost.

    Args:
      state: whose images were tested.
      moved: the parts of the state that a step changes.
      cost: i32[n], of a success at this test; negative where none counts yet.
      reached: bool[n], what the test says.
    """
    success = reached & (cost >= 0)
    # An update that changes nothing now never will: the rest is known without computing it.
    finished = success | (cost >= state["max_cost"] - 1) | _unchanged(state, moved)
    return state | moved | {
        "images": tf.where(per_image(finished), state["images"], moved["images"]),
        "cost": tf.where(success, cost, state["max_cost"]),
        "success": success,
        "finished": finished,
    }


def free(images: tf.Tensor, gradient: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    """One at the pixels that can move against the gradient, zero at those that a bound holds."""
    held = (images <= bounds.lower) & (gradient > 0) | (images >= bounds.upper) & (gradient < 0)
    return tf.where(held, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class BIM(GradientAttack):
    """Basic Iterative Method in L-infinity (Kurakin 2017; BIM_d in the paper, section 5.1).

    Attributes:
      eps: radius of the L-infinity ball around the input, as a fraction of the pixel range.
      step: length of one step, likewise.
      max_iterations: steps at most.
      search: whether to find the number of steps in long strides (`attacks.search`) instead of
        counting each; tens of times fewer gradients, and costs that are a little higher but
        rank inputs alike.
    """

    name: ClassVar[str] = "bim"
    eps: float
    step: float
    search: bool = False

    def start(self, examples: Examples) -> State:
        return search.start(examples) if self.search else super().start(examples)

    def advance(self, classifier: Classifier, state: State) -> State:
        if self.search:
            return search.advance(self, classifier, state)
        return super().advance(classifier, state)

    def aim(self, state: State, logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        return label

    def reached(self, prediction: tf.Tensor, goal: tf.Tensor) -> tf.Tensor:
        return prediction != goal

    def update(self, classifier: Classifier, state: State, gradient: tf.Tensor) -> State:
        return {"images": self.walk(classifier, state, self.direction(gradient))}

    def walk(
        self, classifier: Classifier, state: State, direction: tf.Tensor,
        units: tf.Tensor | int = 1,
    ) -> tf.Tensor:
        """The images after some steps at once, each unit long."""
        bounds = classifier.bounds
        length = self.step * bounds.range * tf.cast(units, tf.float32)
        moved = state["images"] + length * direction
        perturbation = self.project(moved - state["original"], self.eps * bounds.range)
        return tf.clip_by_value(state["original"] + perturbation, *bounds)

    def gain(self, classifier: Classifier, gradient: tf.Tensor, direction: tf.Tensor) -> tf.Tensor:
        """What a step along the direction adds to a loss of this gradient, to first order."""
        along = tf.reduce_sum(gradient * direction, axis=(1, 2, 3))
        return self.step * classifier.bounds.range * along

    def direction(self, gradient: tf.Tensor) -> tf.Tensor:
        """The steepest direction of unit length in the attack's norm."""
        return tf.sign(gradient)

    def project(self, perturbation: tf.Tensor, radius: float) -> tf.Tensor:
        """The perturbation, brought back into the ball."""
        return tf.clip_by_value(perturbation, -radius, radius)


@dataclass(frozen=True, kw_only=True)
class BIM2(BIM):
    """BIM under the L2 norm (BIM2_d in the paper, section 5.1).

    Lengths are root mean squares over the pixels, not sums, so that one setting serves every
    image size. A zero gradient moves nothing.

    Attributes:
      eps: largest root mean square of the perturbation, as a fraction of the pixel range.
      step: root mean square of one step, likewise.
      max_iterations: steps at most.
    """

    name: ClassVar[str] = "bim2"

    def direction(self, gradient: tf.Tensor) -> tf.Tensor:
        return tf.math.divide_no_nan(gradient, _rms(gradient))

    def project(self, perturbation: tf.Tensor, radius: float) -> tf.Tensor:
        return perturbation * (radius / tf.maximum(_rms(perturbation), radius))


@dataclass(frozen=True, kw_only=True)
class FGSM(Attack):
    """Fast Gradient Sign Method (Goodfellow 2015; FGSM_d in the paper, section 5.1).

    All steps follow the gradient's sign at the untouched image, for which one backward pass
    suffices; the cost is the number of lengths that did not succeed.

    Attributes:
      step: by how much the perturbation grows from one test to the next, as a fraction of the
        pixel range.
      max_iterations: lengths tried at most.
    """

    name: ClassVar[str] = "fgsm"
    step: float

    def start(self, examples: Examples) -> State:
        return {
            "images": examples.images,
            "original": examples.images,
            "goal": examples.labels,
            "direction": tf.zeros_like(examples.images),
        }

    def advance(self, classifier: Classifier, state: State) -> State:
        first = state["queries"] == 1
        answers = search.ask(classifier, state["images"], state["goal"], first)
        direction = tf.where(per_image(first), tf.sign(answers.gradient), state["direction"])
        length = self.step * classifier.bounds.range * tf.cast(state["queries"], tf.float32)
        longer = state["original"] + per_image(length) * direction
        state = state | {
            "goal": answers.goal,
            "direction": direction,
            "gradients": tf.ones_like(state["gradients"]),
        }
        moved = {"images": tf.clip_by_value(longer, *classifier.bounds)}
        return judged(state, moved, state["queries"] - 2, answers.prediction != answers.goal)


def _rms(values: tf.Tensor) -> tf.Tensor:
    # In double precision: the squares of small gradients vanish in single.
    squares = tf.square(tf.cast(values, tf.float64))
    mean = tf.reduce_mean(squares, axis=(1, 2, 3), keepdims=True)
    return tf.cast(tf.sqrt(mean), tf.float32)


def _unchanged(state: State, moved: State) -> tf.Tensor:
    same = [tf.reduce_all(moved[name] == state[name], axis=(1, 2, 3)) for name in moved]
    return tf.reduce_all(tf.stack(same), axis=0)
