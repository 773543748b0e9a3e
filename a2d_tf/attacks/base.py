"""What every attack is: a frozen setting with one `run`."""

import abc
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.attacks.loop import Examples, State
from a2d_tf.attacks.running import NO_COST, AttackResult, OnFinished, Run
from a2d_tf.classifier import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.pixels import Images


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
    needs_logits: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = True
    stops_early: ClassVar[bool] = True
    max_iterations: int

    def __post_init__(self) -> None:
        self.check_positive(*(field.name for field in fields(self) if field.type is not bool))

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
        min_cost: ArrayLike | None = None,
        max_cost: ArrayLike | None = None,
        seed: int = 0,
        batch_size: int = 128,
        on_finished: OnFinished | None = None,
    ) -> AttackResult:
        """Attacks every image until its label changes, and counts the iterations.

        With `min_cost` and `max_cost` an example is left as soon as it is known on which side
        of both its cost lies (paper, section 5.3.2).

        Args:
          classifier: the classifier to deceive.
          images: f32[N,H,W,C] within the classifier's bounds; N may be 0.
          labels: i64[N], the labels to leave; None for the classifier's own predictions.
          targets: i64[N], the labels to reach; None where any other will do. Not every attack
            takes them (`takes_targets`).
          min_cost: i64[N] or one for all: costs up to it need not be told apart; one that is
            such is told as no more than it. None tells all apart.
          max_cost: i64[N] or one for all: nor need it and higher ones; all are told as it.
          seed: of the attack's random numbers, if it draws any.
          batch_size: examples under attack at once; bounds the memory, changes no count.
          on_finished: called with the number of examples that finished since the last call.

        Returns:
          The adversarial images, costs and successes, in the order of `images`.

        Raises:
          InvalidInputError: images, labels, targets or bounds on the cost that do not fit.
          UnsuitableClassifierError: the classifier fails its preflight.
        """
        run = self.begin(
            classifier, seed=seed, batch_size=batch_size, keep_images=True, on_finished=on_finished
        )
        if not (self.stops_early or min_cost is max_cost is None):
            raise InvalidInputError(
                f"expected no bounds on the cost of {type(self).__name__}, which does not stop at "
                "the first success, got some; leave them out"
            )
        checked = classifier.check(images)
        told = {
            "labels": _check_labels(labels, len(checked), "labels"),
            "targets": self._check_targets(targets, classifier, checked),
            "min_cost": _check_cost(min_cost, NO_COST, len(checked), "min_cost"),
            "max_cost": _check_cost(max_cost, self.max_iterations, len(checked), "max_cost"),
        }
        preflight(classifier, checked, [self])
        for start in range(0, len(checked), batch_size):
            part = slice(start, start + batch_size)
            run.feed(
                checked[part], last=part.stop >= len(checked),
                **{name: values[part] for name, values in told.items()},
            )
        result = run.result()
        return result if len(checked) else result._replace(adversarial=checked)

    def begin(
        self,
        classifier: Classifier,
        *,
        seed: int = 0,
        batch_size: int = 128,
        keep_images: bool = False,
        on_finished: OnFinished | None = None,
    ) -> Run:
        """This attack on images that come one batch after the other; see `running.Run`."""
        return Run(
            self, classifier, seed=seed, batch_size=batch_size, keep_images=keep_images,
            on_finished=on_finished,
        )

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


def preflight(classifier: Classifier, images: Images, attacks: Iterable[Attack]) -> None:
    """Checks that a classifier gives what attacks need; see `Classifier.preflight`."""
    every = list(attacks)
    classifier.preflight(
        images, logits=any(attack.needs_logits for attack in every),
        gradients=any(attack.needs_gradients for attack in every),
    )


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


def _check_cost(cost: ArrayLike | None, default: int, count: int, what: str) -> NDArray[np.int32]:
    array = np.asarray(default if cost is None else cost)
    if array.shape not in ((), (count,)) or not np.issubdtype(array.dtype, np.integer):
        raise InvalidInputError(
            f"expected an integer {what}, one for all or one for each of {count} images, got "
            f"{array.dtype} of shape {list(array.shape)}"
        )
    if array.min(initial=0) < NO_COST:
        raise InvalidInputError(f"expected a {what} >= {NO_COST}, got {array.min()}")
    small = np.minimum(array, np.iinfo(np.int32).max)
    return np.broadcast_to(small, (count,)).astype(np.int32)
