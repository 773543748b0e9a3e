"""What every attack is: a frozen setting with one `run`."""

import abc
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf import checks, deprecated
from a2d_tf.attacks.loop import Examples, State
from a2d_tf.attacks.runner import NO_COST, AttackResult, AttackStream, OnFinished
from a2d_tf.classifiers import Classifier, as_classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.batching import ImageSource, to_array
from a2d_tf.images.spec import Images


@dataclass(frozen=True, kw_only=True)
class Attack(abc.ABC):
    """An iterative attack whose iterations are counted for each example by itself.

    Attributes:
      max_iterations: the iterations after which the attack gives up on an example.

    Raises:
      InvalidInputError: a setting is of the wrong type or out of range.
    """

    name: ClassVar[str]
    takes_targets: ClassVar[bool] = False
    needs_logits: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = True
    # Whether the attack stops at its first success, so that its cost can be bounded.
    stops_early: ClassVar[bool] = True
    failure_advice: ClassVar[str] = (
        'let these images choose its steps (preset="own", attacks.calibrate), or choose another '
        "attack"
    )
    # Of the cost: an integer counts iterations, a float is a number of another unit.
    cost_dtype: ClassVar[type] = np.int32
    max_iterations: int

    def __post_init__(self) -> None:
        checks.check_fields(self)

    @abc.abstractmethod
    def start(self, examples: Examples) -> State:
        """The initial state of examples, before any query; see `attacks.loop`."""

    @abc.abstractmethod
    def advance(self, classifier: Classifier, state: State) -> State:
        """The state after one more query for every row; see `attacks.loop`."""

    def __call__(
        self, classifier: Classifier, images: ImageSource, labels: ArrayLike | None = None
    ) -> Images:
        """The images f32[N,H,W,C] at which the attack stopped; see `run` for the full result."""
        return self.run(classifier, images, labels).adversarial

    def run(
        self,
        classifier: Classifier,
        images: ImageSource,
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

        With `min_cost` and `max_cost`, the attack leaves an example as soon as it is known on
        which side of both its cost lies (paper, section 5.3.2).

        Args:
          classifier: the classifier to attack, or a Keras model with pixels in [0, 1].
          images: f32[N,H,W,C] within the classifier's bounds, or a dataset of them; N may be 0.
          labels: i64[N] or i64[N,1], the labels to leave; None for the
            classifier's own predictions.
          targets: i64[N], the labels to reach; None if any other label will do. Only some attacks
            take targets (`takes_targets`).
          min_cost: i64[N], or one for all. Costs <= min_cost may be reported as any value <=
            min_cost.
          max_cost: i64[N], or one for all. Costs >= max_cost are reported as max_cost.
          seed: seed of the attack's random numbers, if it draws any.
          batch_size: examples under attack at once. It bounds the memory and changes no count.
          on_finished: called with the number of examples that finished since the last call.

        Returns:
          The adversarial images, costs and successes, in the order of `images`.

        Raises:
          InvalidInputError: images, labels, targets or bounds on the cost do not fit.
          UnsuitableClassifierError: the classifier fails its preflight check.
        """
        classifier = as_classifier(classifier)
        stream = self.stream(
            classifier, seed=seed, batch_size=batch_size, keep_images=True, on_finished=on_finished
        )
        if not (self.stops_early or min_cost is max_cost is None):
            raise InvalidInputError(
                f"expected no bounds on the cost of {type(self).__name__}, which does not stop at "
                "the first success, got some; leave them out"
            )
        checked = to_array(images, classifier.input_spec)
        per_image = {
            "labels": self._check_classes(labels, "labels", classifier, checked),
            "targets": self._check_classes(targets, "targets", classifier, checked),
            "min_cost": _check_cost(min_cost, NO_COST, len(checked), "min_cost"),
            "max_cost": _check_cost(max_cost, self.max_iterations, len(checked), "max_cost"),
        }
        classifier.preflight(
            checked, logits=self.needs_logits, gradients=self.needs_gradients
        )
        for start in range(0, len(checked), batch_size):
            part = slice(start, start + batch_size)
            stream.update(
                checked[part], is_last=part.stop >= len(checked),
                **{name: values[part] for name, values in per_image.items()},
            )
        result = stream.result()
        return result if len(checked) else result._replace(adversarial=checked)

    def begin(self, classifier: Classifier, **options: Any) -> AttackStream:
        """Deprecated: `stream`."""
        deprecated.warn("Attack.begin is deprecated; use Attack.stream")
        return self.stream(classifier, **options)

    def stream(
        self,
        classifier: Classifier,
        *,
        seed: int = 0,
        batch_size: int = 128,
        keep_images: bool = False,
        on_finished: OnFinished | None = None,
    ) -> AttackStream:
        """This attack on images that come batch by batch; see `runner.AttackStream`."""
        return AttackStream(
            self, classifier, seed=seed, batch_size=batch_size, keep_images=keep_images,
            on_finished=on_finished,
        )

    def _check_classes(
        self, given: ArrayLike | None, what: str, classifier: Classifier, images: Images
    ) -> NDArray[np.int32]:
        if given is None:
            return np.full(len(images), -1, np.int32)
        if what == "targets" and not self.takes_targets:
            raise InvalidInputError(
                f"expected no targets for {type(self).__name__}, which leaves a label for any "
                "other, got some; leave them out"
            )
        classes = class_count(classifier, images)
        return checks.class_labels(given, len(images), what, classes).astype(np.int32)


def cost_dtype(attacks: Iterable[Attack]) -> type:
    """What the costs of several attacks are together: i32 if all are counts, or else f64."""
    counted = all(np.issubdtype(attack.cost_dtype, np.integer) for attack in attacks)
    return np.int32 if counted else np.float64


def needs(attacks: Iterable[Attack]) -> dict[str, bool]:
    """What several attacks need of a classifier, as arguments of `Classifier.batches`."""
    every = list(attacks)
    return {
        "needs_logits": any(attack.needs_logits for attack in every),
        "needs_gradients": any(attack.needs_gradients for attack in every),
    }


def class_count(classifier: Classifier, images: Images) -> int | None:
    """The number of classes; None if the classifier tells labels alone, or without an image."""
    if classifier.is_black_box or not len(images):
        return None
    return int(classifier.logits(images[:1]).shape[1])


def _check_cost(cost: ArrayLike | None, default: int, count: int, what: str) -> NDArray[np.int32]:
    array = np.asarray(default if cost is None else cost)
    if array.shape not in ((), (count,)) or not np.issubdtype(array.dtype, np.integer):
        raise InvalidInputError(
            f"expected an integer {what}, one for all or one for each of {count} images, got "
            f"{array.dtype} of shape {list(array.shape)}; give whole numbers"
        )
    if array.min(initial=0) < NO_COST:
        raise InvalidInputError(
            f"expected a {what} >= {NO_COST}, got {array.min()}; raise it"
        )
    small = np.minimum(array, np.iinfo(np.int32).max)
    return np.broadcast_to(small, (count,)).astype(np.int32)
