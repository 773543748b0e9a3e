"""The cost of an attack: how many iterations it needs to change an image's label."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf import attacks as attack_room
from a2d_tf import checks
from a2d_tf.attacks import Attack, AttackResult, AttackStream
from a2d_tf.attacks.base import needs
from a2d_tf.attacks.loop import Examples, rows, run_segment
from a2d_tf.attacks.runner import NO_COST, Costs
from a2d_tf.attacks.start_images import StartImages
from a2d_tf.classifiers import Classifier, as_classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.features.base import Feature, FeatureStream, Measured, OnFinished
from a2d_tf.images.batching import Batch, ImageSource
from a2d_tf.images.spec import Labels

GRAPH_BATCH_SIZE = 128  # examples under attack at once in a graph; bounds the memory


@dataclass(frozen=True, kw_only=True)
class AttackCost(Feature):
    """The cost of an attack (paper, section 3.2): the number of iterations that did not succeed.

    Attributes:
      attack: the attack.
    """

    name: ClassVar[str] = "attack_cost"
    description: ClassVar[str] = "iterations that an attack needs"
    attack: Attack

    def __post_init__(self) -> None:
        if not isinstance(self.attack, Attack):
            raise InvalidInputError(f"expected an attack, got {self.attack!r}; give one of them")
        arrays = {name: images.array for name, images in _images_of(self.attack).items()}
        object.__setattr__(self, "learned", arrays or None)

    @property
    def needs_logits(self) -> bool:  # type: ignore[override]
        return self.attack.needs_logits

    @property
    def needs_gradients(self) -> bool:  # type: ignore[override]
        return self.attack.needs_gradients

    @property
    def stops_early(self) -> bool:  # type: ignore[override]
        return self.attack.stops_early

    def stream(
        self,
        classifier: Classifier,
        *,
        batch_size: int = 128,
        on_finished: OnFinished | None = None,
    ) -> FeatureStream:
        return _CostStream(
            self.attack.stream(classifier, batch_size=batch_size, on_finished=on_finished)
        )

    def measure_batch(self, classifier: Classifier, batch: Batch) -> ArrayLike:
        stream = self.stream(classifier, batch_size=len(batch.images))
        stream.update(batch._replace(is_last=True))
        return stream.result().values

    def graph_measure(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        cap = tf.fill(tf.shape(labels), self.attack.max_iterations)
        return self.graph_costs(classifier, images, labels, tf.fill(tf.shape(labels), NO_COST), cap)

    def graph_costs(
        self, classifier: Classifier, images: tf.Tensor, labels: tf.Tensor,
        min_cost: tf.Tensor, max_cost: tf.Tensor,
    ) -> tf.Tensor:
        """The costs f64[n,1] of n >= 0 images in a graph, bounded as by `Attack.run`.

        NaN stands for the cost of an invalid image.
        """
        each = tf.zeros_like(labels)
        examples = Examples(
            images=images, labels=labels, targets=each - 1, seeds=tf.cast(each, tf.uint32),
            min_cost=min_cost, max_cost=tf.minimum(max_cost, self.attack.max_iterations),
        )
        _, _, finished = run_segment(
            self.attack, classifier, rows(self.attack, examples, 0, 0), tf.constant(0), examples,
            offset=tf.constant(0), batch_size=tf.constant(GRAPH_BATCH_SIZE),
            is_last=tf.constant(True), steps=np.iinfo(np.int32).max,
            outcome=("index", "cost", "valid"),
        )
        costs = tf.where(
            finished["valid"], tf.cast(finished["cost"], tf.float64), np.float64(np.nan)
        )
        return tf.scatter_nd(finished["index"][:, None], costs, tf.shape(labels))[:, None]

    def config(self) -> dict[str, Any]:
        settings = dataclasses.asdict(self.attack)
        # Images are saved as arrays.
        numbers = {
            name: value for name, value in settings.items() if name not in _images_of(self.attack)
        }
        return {"attack": self.attack.name, **numbers}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], learned: Mapping[str, NDArray[Any]] | None
    ) -> "AttackCost":
        settings = {**config, **(learned or {})}
        attack = checks.lookup(attack_room.REGISTRY, settings.pop("attack"), "an attack")
        try:
            return cls(attack=attack(**settings))
        except TypeError as error:
            raise InvalidInputError(
                f"expected settings of the attack {attack.name}, got {settings}; fit it again"
            ) from error


def _images_of(attack: Attack) -> dict[str, StartImages]:
    """The settings of an attack that are images, by name."""
    settings = ((field.name, getattr(attack, field.name)) for field in dataclasses.fields(attack))
    return {name: value for name, value in settings if isinstance(value, StartImages)}


class _CostStream:
    """The costs of an attack as columns."""

    def __init__(self, stream: AttackStream):
        self._stream = stream

    def update(self, batch: Batch) -> None:
        self._stream.update(batch.images, labels=batch.labels, is_last=batch.is_last)

    def result(self) -> Measured:
        result = self._stream.result()
        return Measured(
            known_costs(result)[:, None], result.queries.astype(np.int64),
            result.gradients.astype(np.int64),
        )


def known_costs(result: AttackResult) -> NDArray[np.float64]:
    """The costs f64[N] of an attack, NaN for invalid images."""
    return np.where(result.valid, result.cost, np.nan)


class CostTable(NamedTuple):
    """Attack costs, a row per image and a column per attack.

    Attributes:
      costs: i32[N,A], iterations; `max_iterations` of the attack where it failed. Floats if the
        cost of an attack is no count.
      success: bool[N,A]; a cost without success is censored, not measured.
      queries: i32[N,A], queries to the classifier, besides one for its label.
      gradients: i32[N,A], the number of these queries that asked for a gradient too.
      labels: i64[N], what the classifier predicts for the original images; -1 where its outputs
        are not finite.
      valid: bool[N,A]; False where there is no cost, see `AttackResult`.
    """

    costs: Costs
    success: NDArray[np.bool_]
    queries: NDArray[np.int32]
    gradients: NDArray[np.int32]
    labels: Labels
    valid: NDArray[np.bool_]


def attack_costs(
    classifier: Classifier,
    images: ImageSource,
    attacks: Mapping[str, Attack] | Sequence[Attack] | Attack,
    *,
    batch_size: int = 128,
    on_finished: Callable[[int], None] | None = None,
) -> CostTable:
    """Attacks every image with every attack, each time to leave the classifier's own label.

    Args:
      classifier: the classifier whose inputs are judged.
      images: f32[N,H,W,C] within the classifier's bounds, N may be 0; or a dataset of them, which
        is read once and never held as a whole.
      attacks: the attacks, in the order of the columns.
      batch_size: examples under attack at once; bounds the memory, changes no cost.
      on_finished: called with the number of (image, attack) pairs that just finished.

    Raises:
      InvalidInputError: no attack, or images of the wrong shape, not finite or out of bounds.
      UnsuitableClassifierError: the classifier fails its preflight check.
    """
    listed, classifier = _listed(attacks), as_classifier(classifier)
    streams = [
        attack.stream(classifier, batch_size=batch_size, on_finished=on_finished)
        for attack in listed
    ]
    labels = [np.zeros(0, np.int64)]
    for batch in classifier.batches(images, batch_size, **needs(listed)):
        labels.append(batch.labels)
        for stream in streams:
            stream.update(batch.images, labels=batch.labels, is_last=batch.is_last)
    results = [stream.result() for stream in streams]
    return CostTable(
        costs=np.stack([result.cost for result in results], axis=1),
        success=np.stack([result.success for result in results], axis=1),
        queries=np.stack([result.queries for result in results], axis=1),
        gradients=np.stack([result.gradients for result in results], axis=1),
        labels=np.concatenate(labels),
        valid=np.stack([result.valid for result in results], axis=1),
    )


def _listed(attacks: Mapping[str, Attack] | Sequence[Attack] | Attack) -> list[Attack]:
    if isinstance(attacks, (Attack, str)):
        attacks = [attacks]
    listed = list(attacks.values()) if isinstance(attacks, Mapping) else list(attacks)
    if not listed:
        raise InvalidInputError(
            "expected at least one attack, got none; name one"
        )
    for attack in listed:
        if not isinstance(attack, Attack):
            raise InvalidInputError(
                f"expected attacks, got {attack!r}; get one by name with attacks.preset"
            )
    return listed
