"""A2D: a classifier, the attacks that measure its inputs, and a detector that judges costs."""

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf import detectors, files
from a2d_tf.attacks import REGISTRY, Attack
from a2d_tf.attacks.base import OnFinished
from a2d_tf.calibration import check_count
from a2d_tf.classifier import Classifier, Images, Labels
from a2d_tf.costs import CostTable, attack_costs
from a2d_tf.detectors import CostDetector
from a2d_tf.directions import direction_costs
from a2d_tf.errors import InvalidInputError

SETTINGS_FILE = "a2d.json"
DETECTOR_FILE = "detector.npz"
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
        self.batch_size = batch_size
        self.on_finished = on_finished

    def costs(self, images: ArrayLike) -> CostTable:
        """The attack costs of images f32[N,H,W,C]; see `costs.attack_costs`."""
        return attack_costs(
            self.classifier,
            images,
            self.attacks,
            batch_size=self.batch_size,
            on_finished=self.on_finished,
        )

    def fingerprints(self, images: ArrayLike, table: CostTable | None = None) -> Fingerprints:
        """What the detector sees of images f32[N,H,W,C]: a row each (paper, section 4.1).

        Args:
          images: the images.
          table: their attack costs, if they have been counted.
        """
        costs = (table or self.costs(images)).costs
        if not self.directions:
            return costs.astype(np.float64)
        others = direction_costs(self.classifier, images, batch_size=self.batch_size)
        return np.concatenate([costs, others], axis=1, dtype=np.float64)

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
        seen = self.fingerprints(benign)
        kinds = np.zeros(len(seen), np.bool_)
        if adversarial is not None:
            crafted = self.fingerprints(adversarial)
            seen = np.concatenate([seen, crafted])
            kinds = np.concatenate([kinds, np.ones(len(crafted), np.bool_)])
        self.detector.fit(seen, kinds)
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

    def score(self, images: ArrayLike) -> NDArray[np.float32]:
        """Scores f32[N] of images f32[N,H,W,C]; higher = more adversarial.

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

    def predict(self, images: ArrayLike) -> Detection:
        """Verdict, score, costs and the classifier's label of images f32[N,H,W,C].

        Raises:
          NotFittedError: before `fit`.
        """
        self.detector.require_fit()
        table = self.costs(images)
        seen = self.fingerprints(images, table)
        return Detection(
            is_adversarial=self.detector.predict(seen),
            score=self.detector.score(seen),
            costs=table.costs,
            label=table.labels,
        )

    def save(self, folder: str | Path) -> None:
        """Writes detector, attacks and classifier to a folder, which needs nothing else.

        Raises:
          NotFittedError: before `fit`.
          InvalidInputError: the classifier is a bare callable, or `folder` holds other things.
        """
        self.detector.require_fit()
        folder = check_free(folder)
        foreign = [n for n, a in self.attacks.items() if REGISTRY.get(a.name) is not type(a)]
        if foreign:
            raise InvalidInputError(
                f"expected attacks out of {', '.join(REGISTRY)} to save, got {', '.join(foreign)} "
                "of another class"
            )
        with files.replacing(folder) as scratch:
            scratch.mkdir()
            self.detector.save(scratch / DETECTOR_FILE)
            classifier_file = _save_classifier(self.classifier, scratch)
            files.save_json(scratch / SETTINGS_FILE, {
                "classifier": classifier_file,
                "classifier_sha256": files.sha256(scratch / classifier_file),
                "bounds": list(self.classifier.bounds),
                "probabilities": self.classifier.probabilities,
                "attacks": {
                    name: {"attack": attack.name, **dataclasses.asdict(attack)}
                    for name, attack in self.attacks.items()
                },
                "directions": self.directions,
                "versions": files.versions(),
            })

    @classmethod
    def load(cls: type[Self], folder: str | Path, *, batch_size: int = 128) -> Self:
        """The detector that `save` wrote.

        Raises:
          InvalidInputError: the folder is none of a detector.
        """
        folder = Path(folder)
        try:
            stored = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
            attacks = {name: _attack(**fields) for name, fields in stored["attacks"].items()}
            classifier_path = folder / stored["classifier"]
            bounds, probabilities = stored["bounds"], stored["probabilities"]
            directions = stored.get("directions", False)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInputError(
                f"expected a detector folder at {folder}, got no readable {SETTINGS_FILE} there; "
                "write one with fit_detector.py or A2D.save"
            ) from error
        return cls(
            Classifier.load(classifier_path, bounds, probabilities=probabilities),
            attacks,
            detectors.load(folder / DETECTOR_FILE),
            directions=directions,
            batch_size=batch_size,
        )


def check_free(folder: str | Path) -> Path:
    """The folder as a path, if nothing is there or a detector that may be replaced.

    Raises:
      InvalidInputError: something else is there.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / SETTINGS_FILE).is_file():
        raise InvalidInputError(
            f"expected a new folder or an earlier detector at {folder}, got something else; "
            "choose another place"
        )
    return folder


def _attack(attack: str, **fields: Any) -> Attack:
    return REGISTRY[attack](**fields)


def _save_classifier(classifier: Classifier, folder: Path) -> str:
    """Puts the classifier into the folder; returns its name there."""
    if classifier.path is not None and classifier.path.is_dir():
        shutil.copytree(classifier.path, folder / "classifier")
        return "classifier"
    if isinstance(classifier.model, keras.Model):
        classifier.model.save(folder / "classifier.keras")
        return "classifier.keras"
    raise InvalidInputError(
        "expected a Keras model or a SavedModel to save, got a bare callable; "
        "save it as a SavedModel and load it with Classifier.load"
    )
