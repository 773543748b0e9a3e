"""How far a detector can be trusted on a model: bypass rates of attackers who know it.

An attack bypasses a defence with an image that is misclassified and not flagged.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.adaptive import Undefended
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import DetectorWarning, InvalidInputError
from a2d_tf.evaluation.adaptive_attacks import Kind, Strength, Strengths, kinds
from a2d_tf.evaluation.adaptive_judges import NOTHING, Judge
from a2d_tf.evaluation.cache_keys import classifier_key
from a2d_tf.evaluation.splits import first_right
from a2d_tf.images.spec import Images, Labels
from a2d_tf.reports.progress import Progress
from a2d_tf.storage.stages import Arrays, Stages, digest
from a2d_tf.threats import Threat

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


def right_images(
    classifier: Classifier, images: Images, labels: Labels | None, limit: int
) -> tuple[Images, Labels]:
    """The first images that the classifier gets right, and their labels.

    Without labels, the classifier's own stand for the true ones, and a warning says so.

    Raises:
      InvalidInputError: it gets none right.
    """
    own = classifier.predict(images)
    if labels is None:
        warnings.warn(
            "there are no labels, so that the classifier's own stand for the true ones, even where "
            "it is wrong; add `labels` to the .npz file",
            DetectorWarning, stacklevel=2,
        )
    rows = first_right(own, own if labels is None else labels, limit)
    return images[rows], own[rows]


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
            # An image that fools the classifier does so whatever it was made against.
            undefended = [NOTHING] if NOTHING in judges else []
            for one in dict.fromkeys([*targets, *undefended]):
                found.append(_judged(
                    classifier, stages, one, judges[one], name, strength, crafted, images, labels,
                    progress,
                ))
    return _merged(found)


def _merged(found: Sequence[Bypass]) -> list[Bypass]:
    """One result for each defence, attack and strength: for each image, the nearest bypass counts.

    Without a detector, an attack on scores has as many results as there are detectors.
    """
    groups: dict[tuple[str, str, float, str], list[Bypass]] = {}
    for one in found:
        groups.setdefault((one.detector, one.attack, one.strength, one.norm), []).append(one)
    return [_nearest(its) if len(its) > 1 else its[0] for its in groups.values()]


def _nearest(its: Sequence[Bypass]) -> Bypass:
    best = np.lexsort((
        np.array([one.linf if one.norm == "linf" else one.l2 for one in its]),
        -np.array([one.misclassified for one in its]).astype(int),
        -np.array([one.bypassed for one in its]).astype(int),
    ), axis=0)[0]
    rows = np.arange(len(best))
    return its[0]._replace(**{
        name: np.array([getattr(one, name) for one in its])[best, rows]
        for name in ("bypassed", "misclassified", "l2", "linf", "images")
    })


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
