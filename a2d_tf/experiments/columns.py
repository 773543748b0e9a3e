"""The columns of a comparison: every detector's scores on the same inputs.

A column maps the threats that it may learn from to scores of the benign calibration and test
images and of every threat's test images; baselines also score noisy ones (`noisy_kind`).
Columns that learn from benign images alone give the same scores whatever the threats.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.detectors import KNN, CostDetector, Logistic, ZScore
from a2d_tf.experiments.evidence import BENIGN, CALIBRATION, FIT, TEST, Evidence
from a2d_tf.experiments.store import Store
from a2d_tf.progress import Progress

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


class CostColumn:
    """A cost detector on some of the attacks.

    Args:
      evidence: the costs.
      attacks: the attacks whose costs it sees.
      detector: its class; the published settings are used.
      description: what it is, for the report.
    """

    def __init__(
        self,
        evidence: Evidence,
        attacks: Sequence[str],
        detector: type[CostDetector],
        description: str,
    ):
        self.description = description
        self.setting = repr(detector())
        self.learns_from_threats = detector.learns_from_adversarial
        self._evidence = evidence
        self._detector = detector
        self._attacks = [list(evidence.attacks).index(attack) for attack in attacks]

    def scores(self, threats: Sequence[str]) -> Scores:
        benign = self._costs(BENIGN, FIT)
        shares = self._evidence.shares(threats) if self.learns_from_threats else {}
        adversarial = [self._costs(threat, FIT)[rows] for threat, rows in shares.items()]
        costs = np.concatenate([benign, *adversarial])
        detector = self._detector().fit(costs, np.arange(len(costs)) >= len(benign))
        return {
            kind: detector.score(self._costs(*where))
            for kind, where in _scored(self._evidence).items()
        }

    def _costs(self, kind: str, split: str) -> NDArray[np.int32]:
        return self._evidence.costs(kind, split)[:, self._attacks]


class BaselineColumn:
    """A baseline, fitted on pairs of benign and adversarial images.

    Args:
      name: the baseline's name.
      detector: the unfitted detector; its `repr` holds its settings.
      evidence: the images.
      store: where its scores are kept.
      progress: follows the fits.
    """

    learns_from_threats = True

    def __init__(
        self,
        name: str,
        detector: ImageDetector,
        evidence: Evidence,
        store: Store,
        progress: Progress,
    ):
        self.description = detector.description
        self.setting = repr(detector)
        self._name = name
        self._detector = detector
        self._evidence = evidence
        self._store = store
        self._progress = progress

    def scores(self, threats: Sequence[str]) -> Scores:
        recipes = {threat: repr(recipe) for threat, recipe in self._evidence.threats.items()}
        made_from = self._evidence.made_from | {
            "detector": repr(self._detector), "fitted_on": list(threats), "threats": recipes,
        }
        stage = f"{self._name}/{'+'.join(threats)}"
        return self._store.arrays(stage, made_from, lambda: self._fit_and_score(threats))

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
    """A Z-score per attack, and the ensembles over all of them (paper, section 4)."""
    attacks = list(evidence.attacks)
    columns: dict[str, Column] = {
        attack: CostColumn(
            evidence, [attack], ZScore, f"Z-score of the {attack} cost; benign images only"
        )
        for attack in attacks
    }
    columns["ensemble_zscore"] = CostColumn(
        evidence, attacks, ZScore,
        "Z-scores of all attacks, 2 votes for benign needed; benign images only",
    )
    columns["ensemble_knn"] = CostColumn(
        evidence, attacks, KNN,
        "K-NN on the costs of all attacks; benign and adversarial images",
    )
    columns["ensemble_logistic"] = CostColumn(
        evidence, attacks, Logistic,
        "logistic regression on the costs of all attacks; benign and adversarial images",
    )
    return columns


def noisy_kind(threat: str) -> str:
    """The kind of benign inputs under noise as strong as a threat."""
    return f"noisy-{threat}"


def _scored(evidence: Evidence) -> dict[str, tuple[str, str]]:
    """What every column scores: kind of input -> (kind, split) in the evidence."""
    threats = {threat: (threat, TEST) for threat in evidence.threats}
    return {CALIBRATION: (BENIGN, CALIBRATION), BENIGN: (BENIGN, TEST), **threats}
