"""The defences under attack: saved detectors, the margin beside them, and none."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from a2d_tf.a2d import A2D
from a2d_tf.adaptive import Defence, Noisy, SecondOpinion, Together, Undefended
from a2d_tf.classifiers import Classifier
from a2d_tf.detectors import Threshold
from a2d_tf.errors import DetectorWarning, InvalidInputError
from a2d_tf.images.spec import Images
from a2d_tf.storage import files
from a2d_tf.storage.stages import digest

MARGIN = "margin (baseline)"
NOTHING = "no defence"
PLUS = "+"  # between the names of detectors that judge together
PROBES = 8
TOLERANCE = 1e-3  # of logits, between two copies of a classifier


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
        if joined := [name for name, one in judges.items() if not isinstance(one.defence, A2D)]:
            warnings.warn(
                f"noise leaves out {', '.join(joined)}: only single detectors of the classifier "
                "under attack measure noisy copies",
                DetectorWarning, stacklevel=2,
            )
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
