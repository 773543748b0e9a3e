"""Projected gradient descent on the classifier and on a goal besides, such as a detector's score.

Both attacks are those of Bryniarski et al. 2021 ("Evading adversarial example detection defenses
with orthogonal projected gradient descent", section 4). An image that the classifier gets right
goes towards the boundary, along the margin's gradient. A misclassified one lowers the goal.
"""

import abc
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf.adaptive.goal import Goal
from a2d_tf.attacks.loop import per_image, pixel_axes
from a2d_tf.attacks.runner import MAX_SEED
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Images, Labels
from a2d_tf.threats.pgd import PGD
from a2d_tf.threats.projected import Look, ProjectedThreat, is_misclassified, lead

RIGHT, WRONG, REACHED = 0, 1, 2  # the ranks of an image
# Where less than this of a unit vector is left without the other, all of it is followed.
LEAST_LEFT = 0.5


@dataclass(frozen=True, kw_only=True)
class JointPGD(ProjectedThreat):
    """What both attacks share. The first image that reaches the goal is kept, else the nearest.

    Attributes:
      goal: what a misclassified image lowers; its classifier is the one under attack, or a copy.
      start: the attack at whose images the steps begin, in place of `random_start`; its ball must
        not be larger. Just beyond the boundary a score may rise in all directions, and these images
        lie further away. Each restart begins at the images of another seed.
    """

    batch_size: ClassVar[int] = 32  # second derivatives take memory for every class
    top_rank: ClassVar[float] = REACHED
    goal: Goal
    start: PGD | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start is not None and not (
            isinstance(self.start, PGD) and self.start.norm == self.norm
            and self.start.eps <= self.eps
        ):
            raise InvalidInputError(
                f"expected a start within {self.norm} {self.eps:g}, got {self.start!r}; give a PGD "
                "of this norm and of no larger radius"
            )
        if not isinstance(self.goal, Goal):
            raise InvalidInputError(
                f"expected a goal of an attack, got {self.goal!r}; make one with "
                "score_of(a2d, benign)"
            )

    @property
    def look_key(self) -> tuple[Any, ...]:
        return (type(self), self.goal)

    def aims(self, classifier: Classifier, images: Images, labels: Labels) -> NDArray[np.float64]:
        return self.goal.aims(images, labels)

    def _start(
        self, classifier: Classifier, images: Images, labels: Labels, restart: int
    ) -> tf.Tensor:
        if self.start is None:
            return super()._start(classifier, images, labels, restart)
        start = self.start
        if restart:
            start = replace(start, seed=(start.seed + restart) % MAX_SEED, restarts=1)
        return tf.constant(start.perturb(classifier, images, labels, lambda done: None))

    @abc.abstractmethod
    def combine(
        self, outwards: tf.Tensor, downwards: tf.Tensor, wrong: tf.Tensor
    ) -> tf.Tensor:
        """The direction f32[n,H,W,C] to follow.

        Args:
          outwards: f32[n,H,W,C], unit vectors that raise the margin of the wrong classes.
          downwards: f32[n,H,W,C], unit vectors that lower the goal; 0 where it has no gradient.
          wrong: bool[n], which images are misclassified.
        """

    def look(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor, aims: tf.Tensor
    ) -> Look:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits = classifier(images)
            margin = lead(logits, labels)
        outwards = unit(tape.gradient(margin, images))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            value = self.goal.value(images, aims)
        downwards = tape.gradient(value, images)
        downwards = tf.zeros_like(images) if downwards is None else -unit(downwards)
        wrong = is_misclassified(logits, labels)
        reached = wrong & (value <= self.goal.enough)
        return Look(
            self.combine(outwards, downwards, wrong),
            tf.where(reached, REACHED, tf.where(wrong, WRONG, RIGHT)),
            # Among images that reach the goal, the first is kept.
            tf.where(reached, 0.0, tf.where(wrong, -value, margin)),
        )


@dataclass(frozen=True, kw_only=True)
class SelectivePGD(JointPGD):
    """One gradient at a time: the margin's until an image is misclassified, then the goal's.

    Attributes:
      goal, start: as for `JointPGD`.
    """

    def combine(
        self, outwards: tf.Tensor, downwards: tf.Tensor, wrong: tf.Tensor
    ) -> tf.Tensor:
        return tf.where(per_image(wrong, outwards), downwards, outwards)


@dataclass(frozen=True, kw_only=True)
class OrthogonalPGD(JointPGD):
    """As `SelectivePGD`, but each gradient without its part against the other.

    To first order, a step towards one aim then does not undo the other; in L-infinity that holds
    before the sign of the step is taken. The published attack leaves out any part along the other
    gradient. Against the costs of attacks it would stand still: their gradients are nearly parallel
    to the margin's. So a part that serves both aims stays, and where little would be left, the
    whole gradient is followed.

    Attributes:
      goal, start: as for `JointPGD`.
    """

    def combine(
        self, outwards: tf.Tensor, downwards: tf.Tensor, wrong: tf.Tensor
    ) -> tf.Tensor:
        shared = tf.reduce_sum(outwards * downwards, axis=pixel_axes(outwards), keepdims=True)
        wanted = tf.where(per_image(wrong, outwards), downwards, outwards)
        other = tf.where(per_image(wrong, outwards), outwards, downwards)
        left = wanted - tf.minimum(shared, 0.0) * other
        squares = tf.reduce_sum(tf.square(left), axis=pixel_axes(outwards), keepdims=True)
        return tf.where(squares < LEAST_LEFT**2, wanted, left)


def unit(gradient: tf.Tensor) -> tf.Tensor:
    """Gradients [n,H,W,C] at unit length; 0 where they are 0 or not finite."""
    finite = tf.where(tf.math.is_finite(gradient), tf.cast(gradient, tf.float64), 0.0)
    length = tf.sqrt(tf.reduce_sum(tf.square(finite), axis=pixel_axes(gradient), keepdims=True))
    return tf.cast(tf.math.divide_no_nan(finite, length), tf.float32)
