"""How far a detector can be trusted on a model: bypass rates of attackers who know it.

An attack bypasses a defence with an image that is misclassified and not flagged.
"""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.a2d import A2D
from a2d_tf.adaptive import Defence, Noisy, SecondOpinion, Together, Undefended
from a2d_tf.classifiers import Classifier
from a2d_tf.detectors import Threshold
from a2d_tf.errors import DetectorWarning, InvalidInputError
from a2d_tf.evaluation.adaptive_attacks import Kind, Strength, Strengths, kinds
from a2d_tf.evaluation.cache_keys import classifier_key
from a2d_tf.images.spec import Images, Labels
from a2d_tf.reports.progress import Progress
from a2d_tf.storage import files
from a2d_tf.storage.stages import Arrays, Stages, digest
from a2d_tf.threats import Threat

MARGIN = "margin (baseline)"
NOTHING = "no defence"
PLUS = "+"  # between the names of detectors that judge together
PROBES = 8
TOLERANCE = 1e-3  # of logits, between two copies of a classifier
ROUNDING = 1e-4  # of a radius
PIXEL_ROUNDING = 5e-7  # of the pixel range, in float32


class Bypass(NamedTuple):
    """What an attack of one strength achieves against one defence.

    Attributes:
      detector, attack: their names.
      strength: kappa for "cw", and else the radius.
      norm: the norm of the radius; empty for a kappa.
      bypassed: bool[N], misclassified, not flagged and within the radius.
      misclassified: bool[N], within the radius.
      l2, linf: f64[N], distances in units of the pixel range.
      images: f32[N,H,W,C], what the attack made.
    """

    detector: str
    attack: str
    strength: float
    norm: str
    bypassed: NDArray[np.bool_]
    misclassified: NDArray[np.bool_]
    l2: NDArray[np.float64]
    linf: NDArray[np.float64]
    images: Images

    @property
    def title(self) -> str:
        """The attack, with the norm of its radius if it has one."""
        return f"{self.attack}, {self.norm}" if self.norm else self.attack


class Judge(NamedTuple):
    """A defence under attack, and what its verdicts depend on, as JSON values."""

    defence: Defence
    key: dict[str, Any]


def load_judges(
    classifier: Classifier, images: Images,
    detectors: Mapping[str, Sequence[tuple[A2D, Path]]], fpr: float,
    *, others: Collection[str] = (), noise: float = 0.0,
) -> dict[str, Judge]:
    """The defences under attack; a threshold on the margin, and no defence, stand beside them.

    Args:
      classifier: the classifier to attack.
      images: f32[N,H,W,C], benign images, which set the threshold on the margin.
      detectors: name -> a fitted detector and the folder that it was loaded from; or several,
        which judge together.
      fpr: the false-positive rate of the threshold on the margin, and with noise.
      others: folders of detectors for a second classifier, which must agree on the label.
      noise: if above 0, each detector also judges noisy images, with this standard deviation as a
        fraction of the pixel range.

    Raises:
      InvalidInputError: a detector was fitted for another classifier.
    """
    known = {str(folder) for parts in detectors.values() for _, folder in parts}
    if unknown := sorted(set(others) - known):
        raise InvalidInputError(
            f"expected detectors of a second model out of {', '.join(sorted(known)) or 'none'}, "
            f"got {', '.join(unknown)}; name them among the detectors too"
        )
    judges = {}
    for name, parts in detectors.items():
        own: dict[str, Defence] = {}
        for a2d, folder in parts:
            if str(folder) in others:
                own[str(folder)] = SecondOpinion(classifier, a2d, images[:PROBES])
            else:
                check_same_classifier(str(folder), a2d.classifier, classifier, images[:PROBES])
                own[str(folder)] = a2d
        key = {
            "folders": [files.sha256(folder) for _, folder in parts],
            "others": [str(folder) in others for _, folder in parts],
        }
        _warn_of_other_rates(parts, fpr)
        judges[name] = Judge(Together(own) if len(own) > 1 else next(iter(own.values())), key)
    margin = A2D(classifier, "margin", Threshold(fpr=fpr)).fit(images)
    judges[MARGIN] = Judge(margin, {"margin": digest(images), "fpr": fpr})
    if noise:
        judges |= {
            f"{name}, noise {noise:g}": Judge(
                Noisy(judge.defence, noise, images, fpr),
                judge.key | {"noise": noise, "fpr": fpr, "calibrated_on": digest(images)},
            ) for name, judge in judges.items() if isinstance(judge.defence, A2D)
        }
    return judges | {NOTHING: Judge(Undefended(classifier), {})}


def _warn_of_other_rates(detectors: Sequence[tuple[A2D, Path]], fpr: float) -> None:
    for a2d, folder in detectors:
        own = a2d.detector.calibration
        if own is not None and own.fpr != fpr:
            warnings.warn(
                f"{folder} was calibrated for a false-positive rate of {own.fpr:g}, and the margin "
                f"beside it for {fpr:g}; give both the same rate to compare them",
                DetectorWarning, stacklevel=3,
            )


def folders_of(name: str) -> list[str]:
    """The folders of detectors that judge together, as "one+other"; or of one.

    Raises:
      InvalidInputError: a part is empty, or stands there twice.
    """
    parts = [name] if Path(name).exists() else name.split(PLUS)
    if not all(parts):
        raise InvalidInputError(
            f"expected folders of detectors joined by {PLUS}, got {name!r}; name one on each side"
        )
    if len(set(parts)) < len(parts):
        raise InvalidInputError(
            f"expected different folders joined by {PLUS}, got {name!r}; name each once"
        )
    return parts


def check_same_classifier(name: str, own: Classifier, other: Classifier, images: Images) -> None:
    """Checks that a detector was fitted for the classifier under attack.

    Args:
      name: of the detector.
      own: its classifier.
      other: the classifier under attack.
      images: f32[n,H,W,C], on which both must agree.

    Raises:
      InvalidInputError: it was fitted for another.
    """
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
    stages: Stages,
    *,
    progress: Progress,
) -> list[Bypass]:
    """Attacks every defence; what is in the folder already is not computed again.

    Args:
      classifier: one that was loaded from a file.
      images: f32[N,H,W,C], which it gets right.
      labels: i64[N], their labels.
      benign: f32[M,H,W,C], benign images that the attacker has.
      judges: the defences, by name.
      attacks: names of attacks; see `adaptive_attacks.KINDS`.
      strengths: how strong they are.
      stages: where finished results are kept.
      progress: follows the images.

    Raises:
      InvalidInputError: an unknown attack, one without a strength, or unfit images.
    """
    chosen = kinds(attacks, strengths)
    key = classifier_key(classifier) | {
        "images": digest(images), "labels": digest(labels), "benign": digest(benign)
    }
    found = []
    for name, kind in chosen.items():
        for strength, threat, targets in _recipes(
            name, kind, classifier, benign, judges, strengths
        ):
            # An attack that knows a defence is judged by that one alone.
            known = {} if kind.target == "classifier" else {one: judges[one].key for one in targets}
            title = f"{name} {strength.value:g}" + (f" {strength.norm}" if strength.norm else "")

            def craft(threat: Threat = threat, title: str = title) -> Arrays:
                with progress.stage(title, len(images)) as advance:
                    return {"images": threat.craft(classifier, images, labels, advance).images}

            crafted = stages.arrays(
                f"adaptive/{name}", key | {"threat": repr(threat), "detector": known}, craft
            )["images"]
            for one in targets:
                found.append(_judged(
                    classifier, stages, one, judges[one], name, strength, crafted, images, labels,
                    progress,
                ))
    return found


def _recipes(
    name: str, kind: Kind, classifier: Classifier, benign: Images, judges: Mapping[str, Judge],
    strengths: Strengths,
) -> Iterator[tuple[Strength, Threat, list[str]]]:
    """Strength, threat and the defences that it is meant for."""
    nothing = Undefended(classifier)
    if kind.target == "classifier":
        groups = [(list(judges), kind.knowledge(nothing, NOTHING, benign))]
    else:
        groups = []
        for one, judge in judges.items():
            if kind.target == "score" and isinstance(judge.defence, Undefended):
                continue
            try:
                groups.append(([one], kind.knowledge(judge.defence, one, benign)))
            except InvalidInputError as error:
                warnings.warn(f"{name} leaves out {one}: {error}", DetectorWarning, stacklevel=3)
    for targets, known in groups:
        for strength in kind.strengths(strengths):
            yield strength, kind.make(strength, strengths, known), targets


def _judged(
    classifier: Classifier, stages: Stages, detector: str, judge: Judge, attack: str,
    strength: Strength, crafted: Images, images: Images, labels: Labels, progress: Progress,
) -> Bypass:
    def make() -> Arrays:
        title = f"{detector} judges {attack} {strength.value:g}"
        with progress.stage(title, len(crafted)) as advance:
            verdict = judge.defence.predict(crafted)
            advance(len(crafted))
        return {"label": verdict.label, "flagged": verdict.is_adversarial}

    stored = stages.arrays(
        "adaptive/verdicts",
        classifier_key(classifier) | {"images": digest(crafted), "detector": judge.key}, make,
    )
    away, bounds = (crafted - images).astype(np.float64), classifier.bounds
    lengths = {  # in the units of `ProjectedThreat`
        "l2": np.linalg.norm((away / bounds.scale).reshape(len(images), -1), axis=1),
        "linf": np.abs(away / bounds.range).reshape(len(images), -1).max(axis=1),
    }
    # An attack that makes the distance small may end outside of the radius.
    within = np.full(len(images), True)
    if strength.norm:
        within = (
            lengths[strength.norm] <= strength.value * (1 + ROUNDING) + PIXEL_ROUNDING
        )
    # The label is -1 where the classifier's outputs are not finite, which fools no one.
    wrong = within & (stored["label"] != labels) & (stored["label"] >= 0)
    return Bypass(
        detector, attack, strength.value, strength.norm, wrong & ~stored["flagged"], wrong,
        **lengths, images=crafted,
    )
