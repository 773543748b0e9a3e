"""The columns of a comparison: every detector's scores on the same inputs.

A column maps the threats that it may learn from to scores of the benign calibration and test
images and of every threat's test images; baselines also score noisy ones (`noisy_kind`).
Columns that learn from benign images alone give the same scores whatever the threats.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.detectors import KNN, SVM, Conformal, CostDetector, Forest, Logistic, ZScore
from a2d_tf.experiments.evidence import BENIGN, CALIBRATION, FIT, TEST, Evidence
from a2d_tf.progress import Progress

# Name, detector and what it does with the costs.
ENSEMBLES: tuple[tuple[str, type[CostDetector], str], ...] = (
    ("zscore", ZScore, "Z-scores, 2 votes for benign needed, of"),
    ("conformal", Conformal, "conformal p-values, combined, of"),
    ("knn", KNN, "K-NN on"),
    ("svm", SVM, "support vector machine on"),
    ("forest", Forest, "random forest on"),
    ("logistic", Logistic, "logistic regression on"),
    ("directions", Logistic, "logistic regression on costs in all directions and"),
)

Scores = dict[str, NDArray[np.float32]]
Self = TypeVar("Self")


class ImageDetector(Protocol):
    """What a baseline must do: the verbs of `pipeline.A2D` that a comparison needs."""

    description: str

    def fit(self: Self, benign: ArrayLike, adversarial: ArrayLike) -> Self:
        """Learns from benign images and from those crafted from them, row by row."""

    def score(self, images: ArrayLike) -> NDArray[np.float32]:
        """Scores f32[N]; higher = more adversarial."""

    def noisy(self, benign: ArrayLike, adversarial: ArrayLike) -> NDArray[np.float32]:
        """Benign images under noise as strong as the attack, which count as benign."""


class Column(Protocol):
    """A column of the table."""

    description: str
    setting: str  # rebuilds the detector
    learns_from_threats: bool

    def scores(self, threats: Sequence[str]) -> Scores:
        """Scores by kind of input (CALIBRATION, BENIGN or a threat), fitted on `threats`."""


class AttackColumn:
    """The cost of one attack by itself, as the paper's Table 2 judges it.

    Args:
      evidence: the costs.
      attack: the attack's name.
    """

    learns_from_threats = False

    def __init__(self, evidence: Evidence, attack: str):
        first = evidence.first.get(attack)
        part = f", of the first {first} benign images and what was made from them" if first else ""
        self.description = f"the {attack} cost{part}"
        self.setting = repr(evidence.attacks[attack])
        self._evidence = evidence
        self._attack = attack

    def scores(self, threats: Sequence[str]) -> Scores:
        where = _scored(self._evidence)
        if self._attack in self._evidence.first:
            del where[CALIBRATION]  # too few to set a threshold by
        return {
            kind: -self._evidence.costs(*place, [self._attack])[:, 0].astype(np.float32)
            for kind, place in where.items()
        }


class CostColumn:
    """A cost detector on several attacks.

    Args:
      evidence: the costs.
      attacks: the attacks whose costs it sees.
      detector: its class; the default settings are used.
      description: what it is, for the report.
      directions: whether it also sees the first-order costs in all directions.
    """

    def __init__(
        self,
        evidence: Evidence,
        attacks: Sequence[str],
        detector: type[CostDetector],
        description: str,
        *,
        directions: bool = False,
    ):
        self.description = description
        self.setting = repr(detector())
        self.learns_from_threats = detector.learns_from_adversarial
        self._evidence = evidence
        self._attacks = attacks
        self._detector = detector
        self._directions = directions

    def scores(self, threats: Sequence[str]) -> Scores:
        benign = self._seen(BENIGN, FIT)
        shares = self._evidence.shares(threats) if self.learns_from_threats else {}
        adversarial = [self._seen(threat, FIT)[rows] for threat, rows in shares.items()]
        seen = np.concatenate([benign, *adversarial])
        detector = self._detector().fit(seen, np.arange(len(seen)) >= len(benign))
        return {
            kind: detector.score(self._seen(*where))
            for kind, where in _scored(self._evidence).items()
        }

    def _seen(self, kind: str, split: str) -> NDArray[Any]:
        costs = self._evidence.costs(kind, split, self._attacks)
        if not self._directions:
            return costs
        return np.concatenate([costs, self._evidence.directions(kind, split)], axis=1)


class BaselineColumn:
    """A baseline, fitted on pairs of benign and adversarial images.

    Args:
      name: the baseline's name.
      detector: the unfitted detector; its `repr` holds its settings.
      evidence: the images; its store keeps the scores.
      progress: follows the fits.
    """

    learns_from_threats = True

    def __init__(
        self,
        name: str,
        detector: ImageDetector,
        evidence: Evidence,
        progress: Progress,
    ):
        self.description = detector.description
        self.setting = repr(detector)
        self._name = name
        self._detector = detector
        self._evidence = evidence
        self._progress = progress

    def scores(self, threats: Sequence[str]) -> Scores:
        recipes = {threat: repr(recipe) for threat, recipe in self._evidence.threats.items()}
        made_from = self._evidence.made_from | {
            "detector": repr(self._detector), "fitted_on": list(threats), "threats": recipes,
        }
        stage = f"{self._name}/{'+'.join(threats)}"
        return self._evidence.store.arrays(stage, made_from, lambda: self._fit_and_score(threats))

    def _fit_and_score(self, threats: Sequence[str]) -> Scores:
        scored = _scored(self._evidence)
        title = f"{self._name} fitted on {' and '.join(threats)}"
        with self._progress.stage(title, len(scored) + len(self._evidence.threats) + 1) as advance:
            benign = self._evidence.inputs(BENIGN, FIT).images
            shares = self._evidence.shares(threats)
            crafted = {threat: self._evidence.inputs(threat, FIT) for threat in shares}
            sources = [crafted[threat].source[rows] for threat, rows in shares.items()]
            images = [crafted[threat].images[rows] for threat, rows in shares.items()]
            self._detector.fit(benign[np.concatenate(sources)], np.concatenate(images))
            advance(1)
            scores = {}
            for kind, where in scored.items():
                scores[kind] = self._detector.score(self._evidence.inputs(*where).images)
                advance(1)
            for threat in self._evidence.threats:
                scores[noisy_kind(threat)] = self._detector.score(self._noisy(threat))
                advance(1)
        return scores

    def _noisy(self, threat: str) -> NDArray[np.float32]:
        """Test images under noise as strong as a threat, negatives as published."""
        benign, crafted = (self._evidence.inputs(kind, TEST) for kind in (BENIGN, threat))
        return self._detector.noisy(benign.images[crafted.source], crafted.images)


def cost_columns(evidence: Evidence) -> dict[str, Column]:
    """Every attack's cost, and ensembles over the attacks that count all images."""
    attacks = [name for name in evidence.attacks if name not in evidence.first]
    names = ", ".join(attacks)
    columns: dict[str, Column] = {
        attack: AttackColumn(evidence, attack) for attack in evidence.attacks
    }
    for name, detector, what in ENSEMBLES if attacks else ():
        learns = "benign and adversarial images" if detector.learns_from_adversarial else (
            "benign images only"
        )
        columns[f"ensemble_{name}"] = CostColumn(
            evidence, attacks, detector, f"{what} the costs of {names}; {learns}",
            directions=name == "directions",
        )
    return columns


def noisy_kind(threat: str) -> str:
    """The kind of benign inputs under noise as strong as a threat."""
    return f"noisy-{threat}"


def _scored(evidence: Evidence) -> dict[str, tuple[str, str]]:
    """What every column scores: kind of input -> (kind, split) in the evidence."""
    threats = {threat: (threat, TEST) for threat in evidence.threats}
    return {CALIBRATION: (BENIGN, CALIBRATION), BENIGN: (BENIGN, TEST), **threats}
