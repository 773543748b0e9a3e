"""How far a detector can be trusted on a model: bypass rates of attackers who know it.

An attack bypasses a detector with an image that is misclassified and not flagged.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.a2d import A2D
from a2d_tf.classifiers import Classifier
from a2d_tf.detectors import Threshold
from a2d_tf.errors import DetectorWarning, InvalidInputError
from a2d_tf.evaluation.adaptive_attacks import Kind, Strengths, kinds
from a2d_tf.evaluation.cache_keys import classifier_key
from a2d_tf.images.spec import Images, Labels
from a2d_tf.reports.progress import Progress
from a2d_tf.storage import files
from a2d_tf.storage.stages import Arrays, Stages, digest
from a2d_tf.threats import Threat

MARGIN = "margin (baseline)"
PROBES = 8
TOLERANCE = 1e-3  # of logits, between two copies of a classifier


class Bypass(NamedTuple):
    """What an attack of one strength achieves against one detector.

    Attributes:
      detector, attack: their names.
      strength: kappa for "cw", and else the radius.
      bypassed: bool[N], misclassified and not flagged.
      misclassified: bool[N].
      l2: f64[N], Euclidean distances in units of the pixel range.
    """

    detector: str
    attack: str
    strength: float
    bypassed: NDArray[np.bool_]
    misclassified: NDArray[np.bool_]
    l2: NDArray[np.float64]


class Judge(NamedTuple):
    """A detector under attack, and what its verdicts depend on, as JSON values."""

    a2d: A2D
    key: dict[str, Any]


def load_judges(
    classifier: Classifier, images: Images, detectors: Mapping[str, tuple[A2D, Path]], fpr: float
) -> dict[str, Judge]:
    """The detectors under attack, and the simplest one beside them: a threshold on the margin.

    Args:
      classifier: the classifier to attack.
      images: f32[N,H,W,C], benign images, which set the threshold on the margin.
      detectors: name -> a fitted detector, and the folder that it was loaded from.
      fpr: the false-positive rate of the threshold on the margin.

    Raises:
      InvalidInputError: a detector was fitted for another classifier.
    """
    judges = {}
    for name, (a2d, folder) in detectors.items():
        _check_same(name, a2d.classifier, classifier, images[:PROBES])
        judges[name] = Judge(a2d, {"folder": files.sha256(folder)})
    margin = A2D(classifier, "margin", Threshold(fpr=fpr)).fit(images)
    return judges | {MARGIN: Judge(margin, {"margin": digest(images), "fpr": fpr})}


def _check_same(name: str, own: Classifier, other: Classifier, images: Images) -> None:
    message = (
        f"expected detectors of the classifier under attack, got {name} of another; fit one for "
        "this model"
    )
    if own.bounds != other.bounds:
        raise InvalidInputError(message)
    try:
        logits = own.logits(images), other.logits(images)
    except InvalidInputError as error:  # images of another shape
        raise InvalidInputError(message) from error
    same_shape = logits[0].shape == logits[1].shape
    if not (same_shape and np.allclose(*logits, rtol=TOLERANCE, atol=TOLERANCE)):
        raise InvalidInputError(message)


def right_images(
    classifier: Classifier, images: Images, labels: Labels | None, limit: int
) -> tuple[Images, Labels]:
    """The first images that the classifier gets right, and their labels.

    Without labels, the classifier's own stand for the true ones.

    Raises:
      InvalidInputError: it gets none right.
    """
    own = classifier.predict(images)
    rows = np.arange(len(own)) if labels is None else np.flatnonzero(own == labels)
    if not len(rows):
        raise InvalidInputError(
            "expected correctly classified images, got none; check that model and images belong "
            "together"
        )
    return images[rows[:limit]], own[rows[:limit]]


def run_adaptive(
    classifier: Classifier,
    images: Images,
    labels: Labels,
    benign: Images,
    judges: Mapping[str, Judge],
    attacks: Sequence[str],
    strengths: Strengths,
    workdir: str | Path,
    *,
    progress: Progress,
) -> list[Bypass]:
    """Attacks every detector; what is in the folder already is not computed again.

    Args:
      classifier: one that was loaded from a file.
      images: f32[N,H,W,C], which it gets right.
      labels: i64[N], their labels.
      benign: f32[M,H,W,C], benign images that the attacker has.
      judges: the detectors, by name.
      attacks: names of attacks; see `adaptive_attacks.KINDS`.
      strengths: how strong they are.
      workdir: where finished results are kept.
      progress: follows the images.

    Raises:
      InvalidInputError: an unknown attack, or unfit images.
    """
    chosen = kinds(attacks)
    stages = Stages(Path(workdir))
    key = classifier_key(classifier) | {
        "images": digest(images), "labels": digest(labels), "benign": digest(benign)
    }
    found = []
    for name, kind in chosen.items():
        for strength, threat, targets in _recipes(
            name, kind, classifier, benign, judges, strengths
        ):
            # An attack that knows a detector is judged by that one alone.
            known = {one: judges[one].key for one in targets} if kind.knows_detector else {}

            def craft(threat: Threat = threat, title: str = f"{name} {strength:g}") -> Arrays:
                with progress.stage(title, len(images)) as advance:
                    return {"images": threat.craft(classifier, images, labels, advance).images}

            crafted = stages.arrays(
                f"adaptive/{name}", key | {"threat": repr(threat), "detector": known}, craft
            )["images"]
            for one in targets:
                found.append(_judged(
                    stages, one, judges[one], name, strength, crafted, images, labels, progress
                ))
    return found


def _recipes(
    name: str, kind: Kind, classifier: Classifier, benign: Images, judges: Mapping[str, Judge],
    strengths: Strengths,
) -> Iterator[tuple[float, Threat, list[str]]]:
    """Strength, threat and the detectors that it is meant for."""
    values = strengths.kappas if kind.by_kappa else strengths.eps
    groups = [[one] for one in judges] if kind.knows_detector else [list(judges)]
    for targets in groups:
        goal = None
        if kind.goal:
            try:
                a2d = judges[targets[0]].a2d if kind.knows_detector else None
                goal = kind.goal(classifier, benign, a2d)
            except InvalidInputError as error:
                if not kind.knows_detector:
                    raise
                warnings.warn(
                    f"{name} leaves out {targets[0]}: {error}", DetectorWarning, stacklevel=3
                )
                continue
        for value in values:
            yield value, kind.make(value, strengths, goal), targets


def _judged(
    stages: Stages, detector: str, judge: Judge, attack: str, strength: float, crafted: Images,
    images: Images, labels: Labels, progress: Progress,
) -> Bypass:
    def make() -> Arrays:
        with progress.stage(f"{detector} judges {attack} {strength:g}", len(crafted)) as advance:
            verdict = judge.a2d.predict(crafted)
            advance(len(crafted))
        return {"label": verdict.label, "flagged": verdict.is_adversarial}

    stored = stages.arrays(
        "adaptive/verdicts", {"images": digest(crafted), "detector": judge.key}, make
    )
    wrong = stored["label"] != labels
    away = (crafted - images).reshape(len(images), -1) / judge.a2d.classifier.bounds.range
    return Bypass(
        detector, attack, strength, wrong & ~stored["flagged"], wrong,
        np.linalg.norm(away.astype(np.float64), axis=1),
    )
