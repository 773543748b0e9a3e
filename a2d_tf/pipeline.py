"""A2D: a classifier, the attacks that measure its inputs, and a detector that judges costs."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from a2d_tf import saving, verdicts
from a2d_tf.attacks import Attack
from a2d_tf.attacks.base import preflight
from a2d_tf.attacks.running import OnFinished
from a2d_tf.calibration import check_count
from a2d_tf.classifier import Classifier, Labels
from a2d_tf.costs import CostTable, attack_costs
from a2d_tf.detectors import CostDetector
from a2d_tf.directions import direction_costs
from a2d_tf.errors import InvalidInputError
from a2d_tf.export import export
from a2d_tf.pixels import Images
from a2d_tf.streams import ImageSource, batches, gathered

VERDICT_BATCHES = 8
Fingerprints = NDArray[np.float64]
Self = TypeVar("Self", bound="A2D")


class Detection(NamedTuple):
    """What A2D says of N images.

    Attributes:
      is_adversarial: bool[N], the verdict.
      score: f32[N], higher = more adversarial.
      costs: i32[N,A], iterations of each attack.
      label: i64[N], the classifier's label.
    """

    is_adversarial: NDArray[np.bool_]
    score: NDArray[np.float32]
    costs: NDArray[np.int32]
    label: Labels

    def rows(self, names: Sequence[str]) -> Iterator[list[Any]]:
        """A row per image: its name, label, score, verdict as 0 or 1, and every cost."""
        for index, name in enumerate(names):
            verdict = int(self.is_adversarial[index])
            yield [name, self.label[index], self.score[index], verdict, *self.costs[index]]


class A2D:
    """Attack as Defense (paper, section 4): judges an input by the cost of attacking it.

    Args:
      classifier: the classifier whose inputs are judged; it is not touched.
      attacks: the cost attacks, by name or in a sequence of different kinds.
      detector: judges their costs.
      directions: whether the detector also sees `directions.direction_costs`; one that learns
        from benign images alone would take each of these columns for an attack.
      batch_size: examples under attack at once; bounds the memory, changes no verdict.
      on_finished: called with the number of (image, attack) pairs that just finished.

    Raises:
      InvalidInputError: no attack, two of the same kind in a sequence, or directions for a
        detector that cannot weigh them.
    """

    def __init__(
        self,
        classifier: Classifier,
        attacks: Mapping[str, Attack] | Sequence[Attack],
        detector: CostDetector,
        *,
        directions: bool = False,
        batch_size: int = 128,
        on_finished: OnFinished | None = None,
    ):
        if not isinstance(attacks, Mapping):
            named = {attack.name: attack for attack in attacks}
            if len(named) < len(attacks):
                raise InvalidInputError(
                    "expected attacks of different kinds, got several of one; name them in a dict"
                )
            attacks = named
        if not attacks:
            raise InvalidInputError("expected at least one attack, got none")
        if directions and not detector.learns_from_adversarial:
            raise InvalidInputError(
                f"expected a detector that weighs its columns for directions, got {detector.name}, "
                "which takes each for an attack; choose one that learns from adversarial images"
            )
        self.classifier = classifier
        self.attacks = dict(attacks)
        self.detector = detector
        self.directions = directions
        # In which the attacks run where only verdicts are asked for; `fit` puts cheap ones first.
        self.order = list(attacks)
        self.batch_size = batch_size
        self.on_finished = on_finished

    def costs(self, images: ImageSource) -> CostTable:
        """The attack costs of images f32[N,H,W,C] or a dataset; see `costs.attack_costs`."""
        return attack_costs(
            self.classifier,
            images,
            self.attacks,
            batch_size=self.batch_size,
            on_finished=self.on_finished,
        )

    def fingerprints(self, images: Images, table: CostTable | None = None) -> Fingerprints:
        """What the detector sees of images f32[N,H,W,C]: a row each (paper, section 4.1).

        Args:
          images: the images.
          table: their attack costs, if they have been counted.
        """
        seen = _seen(table or self.costs(images))
        if not self.directions:
            return seen
        others = direction_costs(self.classifier, images, batch_size=self.batch_size)
        return np.concatenate([seen, others], axis=1)

    def fit(self: Self, benign: Images, adversarial: Images | None = None) -> Self:
        """Fits the detector to the costs of benign and, if it needs them, adversarial images.

        Args:
          benign: f32[N,H,W,C].
          adversarial: f32[M,H,W,C]; None for a detector that learns from benign images alone.

        Raises:
          InvalidInputError: unfit images, or too few of them.
          UnsuitableClassifierError: the classifier fails its preflight.
        """
        if adversarial is not None and not self.detector.learns_from_adversarial:
            raise InvalidInputError(
                f"expected benign images alone for {self.detector.name}, got adversarial ones too; "
                "leave them out or choose a detector that learns from them"
            )
        self.detector.check_counts(len(benign), 0 if adversarial is None else len(adversarial))
        table = self.costs(benign)
        seen = self.fingerprints(benign, table)
        kinds = np.zeros(len(seen), np.bool_)
        if adversarial is not None:
            crafted = self.fingerprints(adversarial)
            seen = np.concatenate([seen, crafted])
            kinds = np.concatenate([kinds, np.ones(len(crafted), np.bool_)])
        self.detector.fit(seen, kinds)
        passes = (table.queries + table.gradients).mean(axis=0)
        self.order = [list(self.attacks)[column] for column in np.argsort(passes, kind="stable")]
        return self

    def fit_and_calibrate(
        self: Self, benign: Images, adversarial: Images | None, fpr: float | None
    ) -> Self:
        """Fits on every other benign image and calibrates on the rest; fits on all without `fpr`.

        Args:
          benign: f32[N,H,W,C].
          adversarial: f32[M,H,W,C] or None.
          fpr: the wanted false-positive rate; None keeps the published threshold.

        Raises:
          InvalidInputError: unfit images, or too few of them.
        """
        if fpr is None:
            return self.fit(benign, adversarial)
        check_count(len(benign[1::2]), fpr)
        return self.fit(benign[::2], adversarial).calibrate(benign[1::2], fpr)

    def score(self, images: ImageSource) -> NDArray[np.float32]:
        """Scores f32[N] of images f32[N,H,W,C] or a dataset; higher = more adversarial.

        Raises:
          NotFittedError: before `fit`.
        """
        return self.predict(images).score

    def calibrate(self: Self, benign: Images, fpr: float) -> Self:
        """Sets the threshold to a wanted false-positive rate.

        Args:
          benign: f32[N,H,W,C] that took no part in the fit.
          fpr: the wanted rate, in (0, 1).

        Raises:
          NotFittedError: before `fit`.
          InvalidInputError: too few images for that rate.
        """
        self.detector.require_fit()
        check_count(len(benign), fpr)
        self.detector.calibrate(self.fingerprints(benign), fpr)
        return self

    def predict(self, images: ImageSource) -> Detection:
        """Verdict, score, costs and the classifier's label of images.

        Args:
          images: f32[N,H,W,C], or a dataset of them (see `streams.batches`), which is held in
            memory only if the detector sees directions.

        Raises:
          NotFittedError: before `fit`.
        """
        self.detector.require_fit()
        if self.directions:
            held = gathered(self.classifier, images)
            table = self.costs(held)
            seen = self.fingerprints(held, table)
        else:
            table = self.costs(images)
            seen = _seen(table)
        return Detection(
            is_adversarial=self.detector.predict(seen),
            score=self.detector.score(seen),
            costs=table.costs,
            label=table.labels,
        )

    def is_adversarial(self, images: ImageSource) -> NDArray[np.bool_]:
        """The verdicts bool[N] of `predict`, and no more: attacks stop once these are settled.

        Up to `VERDICT_BATCHES` batches are held at once, so that few rows wait for the last.

        A detector that cannot tell before it knows all costs (several attacks, and a score that
        may rise with a cost; an attack that does not stop at its first success) takes as long as
        `predict`.

        Args:
          images: f32[N,H,W,C] or a dataset of them, as for `predict`.

        Raises:
          NotFittedError: before `fit`.
        """
        self.detector.require_fit()
        if self.directions or not verdicts.can_settle(self.detector, self.attacks):
            return self.predict(images).is_adversarial
        settled = [np.zeros(0, np.bool_)]
        for batch in batches(self.classifier, images, VERDICT_BATCHES * self.batch_size):
            preflight(self.classifier, batch.images, self.attacks.values())
            labels = self.classifier.predict(batch.images, self.batch_size)
            settled.append(verdicts.settle(
                self.classifier, batch.images, labels, self.attacks, self.order, self.detector,
                self.batch_size, self.on_finished,
            ))
        return np.concatenate(settled)

    def save(self, folder: str | Path) -> None:
        """Writes detector, attacks and classifier to a folder, which needs nothing else.

        Raises:
          NotFittedError: before `fit`.
          InvalidInputError: the classifier is a bare callable, or `folder` holds other things.
        """
        saving.save(
            folder, self.classifier, self.attacks, self.detector,
            {"directions": self.directions, "order": self.order},
        )

    def export(self, folder: str | Path) -> None:
        """Writes one SavedModel that any TensorFlow runtime serves; see `a2d_tf.export`.

        Raises:
          NotFittedError: before `fit`.
          InvalidInputError: the classifier or the detector cannot be part of a graph, or
            `folder` holds other things.
        """
        export(self, folder)

    @classmethod
    def load(cls: type[Self], folder: str | Path, *, batch_size: int = 128) -> Self:
        """The detector that `save` wrote.

        Raises:
          InvalidInputError: the folder is none of a detector.
        """
        classifier, attacks, detector, settings = saving.load(folder)
        a2d = cls(
            classifier, attacks, detector,
            directions=settings.get("directions", False), batch_size=batch_size,
        )
        a2d.order = settings.get("order", a2d.order)
        return a2d


def _seen(table: CostTable) -> Fingerprints:
    return table.costs.astype(np.float64)
