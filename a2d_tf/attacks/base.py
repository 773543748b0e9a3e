"""What every attack is: a frozen setting with one `run`."""

import abc
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf.attacks import randomness
from a2d_tf.attacks.loop import Examples, State, run_loop
from a2d_tf.classifier import Classifier, Images
from a2d_tf.errors import InvalidInputError

OnFinished = Callable[[int], None]


class AttackResult(NamedTuple):
    """What an attack found, an entry per example.

    Attributes:
      adversarial: f32[N,H,W,C], the image at which the attack stopped.
      cost: i32[N], the zero-based index of the iteration at which it stopped (one-based for
        DBA, as published); equal to `max_iterations` where it never succeeded.
      success: bool[N].
      queries: i32[N], how often the classifier was asked; a gradient comes with its query.
    """

    adversarial: NDArray[np.float32]
    cost: NDArray[np.int32]
    success: NDArray[np.bool_]
    queries: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Attack(abc.ABC):
    """An iterative attack whose iterations are counted one example at a time.

    Attributes:
      max_iterations: the iterations after which an example counts as not attackable.

    Raises:
      InvalidInputError: a setting that is not a positive number.
    """

    name: ClassVar[str]
    # What the attack can do and what it needs.
    takes_targets: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = True
    max_iterations: int

    def __post_init__(self) -> None:
        self.check_positive(*(field.name for field in fields(self)))

    def check_positive(self, *names: str) -> None:
        """Raises InvalidInputError unless these settings are positive numbers."""
        for name in names:
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InvalidInputError(
                    f"expected {type(self).__name__}'s {name} > 0, got {value}"
                )

    @abc.abstractmethod
    def start(self, examples: Examples) -> State:
        """Rows that have asked the classifier nothing yet; see `attacks.loop`."""

    @abc.abstractmethod
    def advance(self, classifier: Classifier, state: State) -> State:
        """Every row one query further; see `attacks.loop`."""

    def run(
        self,
        classifier: Classifier,
        images: ArrayLike,
        labels: ArrayLike | None = None,
        *,
        targets: ArrayLike | None = None,
        seed: int = 0,
        batch_size: int = 128,
        on_finished: OnFinished | None = None,
    ) -> AttackResult:
        """Attacks every image until its label changes, and counts the iterations.

        Args:
          classifier: the classifier to deceive.
          images: f32[N,H,W,C] within the classifier's bounds; N may be 0.
          labels: i64[N], the labels to leave; None for the classifier's own predictions.
          targets: i64[N], the labels to reach; None where any other will do. Not every attack
            takes them (`takes_targets`).
          seed: of the attack's random numbers, if it draws any.
          batch_size: examples under attack at once; bounds the memory, changes no count.
          on_finished: called with the number of examples that finished since the last call.

        Returns:
          The adversarial images, costs and successes, in the order of `images`.

        Raises:
          InvalidInputError: images, labels or targets that do not fit.
          UnsuitableClassifierError: the classifier fails its preflight.
        """
        if batch_size < 1:
            raise InvalidInputError(f"expected a batch size of at least 1, got {batch_size}")
        checked = classifier.check(images)
        examples = Examples(
            images=tf.constant(checked),
            labels=tf.constant(_check_labels(labels, len(checked), "labels")),
            targets=tf.constant(self._check_targets(targets, classifier, checked)),
            keys=randomness.keys(checked, seed),
        )
        classifier.preflight(checked, gradients=self.needs_gradients)
        result = AttackResult(
            adversarial=np.empty_like(checked),
            cost=np.zeros(len(checked), np.int32),
            success=np.zeros(len(checked), np.bool_),
            queries=np.zeros(len(checked), np.int32),
        )
        for finished in run_loop(self, classifier, examples, batch_size):
            for column, values in zip(result, finished[1:], strict=True):
                column[finished.which] = values
            if on_finished and len(finished.which):
                on_finished(len(finished.which))
        return result

    def _check_targets(
        self, targets: ArrayLike | None, classifier: Classifier, images: Images
    ) -> NDArray[np.int32]:
        if targets is not None and not self.takes_targets:
            raise InvalidInputError(
                f"expected no targets for {type(self).__name__}, which leaves a label for any "
                "other, got some; leave them out"
            )
        checked = _check_labels(targets, len(images), "targets")
        if targets is not None and len(images):
            classes = classifier.logits(images[:1]).shape[1]
            if checked.max() >= classes:
                raise InvalidInputError(
                    f"expected targets below the {classes} classes, got {checked.max()}"
                )
        return checked


def _check_labels(labels: ArrayLike | None, count: int, what: str) -> NDArray[np.int32]:
    if labels is None:
        return np.full(count, -1, np.int32)
    array = np.asarray(labels)
    if array.shape != (count,) or (count and not np.issubdtype(array.dtype, np.integer)):
        raise InvalidInputError(
            f"expected {count} integer {what}, one per image, got {array.dtype} of shape "
            f"{list(array.shape)}"
        )
    if count and array.min() < 0:
        raise InvalidInputError(f"expected {what} >= 0, got {array.min()}")
    return array.astype(np.int32)
