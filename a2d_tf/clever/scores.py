"""CLEVER scores of images, towards one class or several."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.attacks.running import OnFinished
from a2d_tf.classifier import Classifier, Images, Labels
from a2d_tf.clever.endpoint import endpoint
from a2d_tf.clever.sampling import Sampling, gradient_maxima
from a2d_tf.errors import InvalidInputError, pick

Floats = NDArray[np.float64]

# The kinds of targets, as the likelihood ranks among K classes of those that are looked at; the
# image's own label has rank 0 (Table 1 of the paper).
KINDS: dict[str, Callable[[int], Sequence[int]]] = {
    "untargeted": lambda classes: range(1, classes),
    "top2": lambda classes: [1],
    "top5": lambda classes: [4],
    "least_likely": lambda classes: [classes - 1],
}


class Clever(NamedTuple):
    """CLEVER scores, with a row per image.

    Attributes:
      score: f64[N], how far the class is at least, by estimate: in units of the pixel range and
        in the norm of the ball; capped at its radius.
      target: i64[N], the class that is so near: the one asked for, or the nearest of them all.
      lipschitz: f64[N], the estimated Lipschitz constant of the label's lead over that class.
      p_value: f64[N], of the Kolmogorov-Smirnov test of the fit.
    """

    score: Floats
    target: Labels
    lipschitz: Floats
    p_value: Floats


def clever(
    classifier: Classifier,
    images: ArrayLike,
    target: str | ArrayLike = "untargeted",
    sampling: Sampling = Sampling(),
    *,
    batch_size: int = 128,
    on_finished: OnFinished | None = None,
) -> Clever:
    """CLEVER scores of images for one target (Weng et al. 2018; the paper, section 3.1).

    The label is the classifier's own. Cost goes by points, each a pass forward and one back per
    class: 10,240 by default, 3,200 with `CHEAP`, 512,000 as `PUBLISHED`.

    Args:
      classifier: the classifier, whose logits are looked at.
      images: f32[N,H,W,C] within the classifier's bounds; N may be 0.
      target: "untargeted" for the nearest class, "top2" or "top5" for the second or fifth most
        likely, "least_likely"; or classes, one for all images or i64[N].
      sampling: where and at how many points gradients are looked at.
      batch_size: points at once; bounds the memory, changes no score.
      on_finished: called with the number of images that just finished.

    Raises:
      InvalidInputError: unfit images; an unknown target, too few classes for it, or one that is
        an image's own label.
      UnsuitableClassifierError: the classifier fails its preflight, or a gradient is not finite.
    """
    if isinstance(target, str):
        table = clever_table(
            classifier, images, [target], sampling, batch_size=batch_size, on_finished=on_finished
        )
        return _columns(table, 0)
    checked, logits = _prepare(classifier, images, batch_size)
    classes = _check_classes(target, logits)
    estimates = _estimates(
        classifier, checked, logits, classes, sampling, batch_size, on_finished
    )
    return _columns(estimates, 0)


def clever_table(
    classifier: Classifier,
    images: ArrayLike,
    targets: Sequence[str] = tuple(KINDS),
    sampling: Sampling = Sampling(),
    *,
    batch_size: int = 128,
    on_finished: OnFinished | None = None,
) -> Clever:
    """CLEVER scores for several kinds of targets, which share what they look at.

    "untargeted" looks at all classes, so that the other kinds then cost nothing.

    Args:
      targets: A of the kinds that `clever` takes.

    Returns:
      All fields [N,A], a column per kind.

    Raises:
      InvalidInputError, UnsuitableClassifierError: as `clever`.
    """
    if not targets:
        raise InvalidInputError(f"expected a target out of {', '.join(KINDS)}, got none")
    kinds = [pick(KINDS, target, "a target") for target in targets]
    checked, logits = _prepare(classifier, images, batch_size)
    if not len(checked):
        none = np.zeros((0, len(kinds)))
        return Clever(none, none.astype(np.int64), none, none)
    ranks = [kind(logits.shape[1]) for kind in kinds]
    for target, wanted in zip(targets, ranks):
        if max(wanted) >= logits.shape[1]:
            raise InvalidInputError(
                f"expected a classifier of at least {max(wanted) + 1} classes for {target}, got "
                f"one of {logits.shape[1]}; ask for top2 or untargeted"
            )
    needed = sorted({rank for wanted in ranks for rank in wanted})
    estimates = _estimates(
        classifier, checked, logits, _by_likelihood(logits)[:, needed], sampling, batch_size,
        on_finished,
    )
    nearest = [
        _nearest(_columns(estimates, np.searchsorted(needed, wanted))) for wanted in ranks
    ]
    return Clever._make(np.stack(column, axis=1) for column in zip(*nearest))


def _prepare(
    classifier: Classifier, images: ArrayLike, batch_size: int
) -> tuple[Images, NDArray[np.float32]]:
    """The checked images, and their logits [N,K]."""
    if batch_size < 1:
        raise InvalidInputError(f"expected a batch size of at least 1, got {batch_size}")
    checked = classifier.check(images)
    classifier.preflight(checked)
    return checked, classifier.logits(checked, batch_size)


def _by_likelihood(logits: NDArray[np.float32]) -> Labels:
    """The classes i64[N,K], the most likely one first."""
    return np.argsort(-logits, axis=1, kind="stable")


def _check_classes(target: ArrayLike, logits: NDArray[np.float32]) -> Labels:
    """The target classes as i64[N,1]."""
    count, classes = logits.shape
    asked = np.asarray(target)
    if asked.dtype.kind not in "iu" or asked.shape not in ((), (count,)):
        raise InvalidInputError(
            f"expected a target out of untargeted, top2, top5, least_likely, or a class for all "
            f"or each of {count} images, got {asked.dtype} of shape {list(asked.shape)}"
        )
    chosen = np.broadcast_to(asked.astype(np.int64), (count,))
    if count and (chosen.min() < 0 or chosen.max() >= classes):
        raise InvalidInputError(
            f"expected target classes from 0 to {classes - 1}, got {chosen.min()} to "
            f"{chosen.max()}"
        )
    own = np.flatnonzero(chosen == _by_likelihood(logits)[:, :1].ravel())
    if len(own):
        raise InvalidInputError(
            f"expected target classes other than the images' labels, got {chosen[own[0]]} for "
            f"image {own[0]}, which has that label; leave it out or choose another"
        )
    return chosen[:, None]


def _estimates(
    classifier: Classifier, images: Images, logits: NDArray[np.float32], classes: Labels,
    sampling: Sampling, batch_size: int, on_finished: OnFinished | None,
) -> Clever:
    """Scores [N,T] towards the classes i64[N,T]."""
    scale = classifier.bounds.range
    fits = np.zeros((*classes.shape, 2))
    for index, (image, others) in enumerate(zip(images, classes)):
        label = int(logits[index].argmax())
        maxima = gradient_maxima(classifier, image, label, others, sampling, batch_size)
        fits[index] = [endpoint(scale * row.astype(np.float64)) for row in maxima]
        if on_finished:
            on_finished(1)
    lipschitz, p_value = fits[..., 0], fits[..., 1]
    exact = logits.astype(np.float64)
    lead = exact.max(axis=1, initial=-np.inf, keepdims=True)
    lead = lead - np.take_along_axis(exact, classes, axis=1)
    # A margin with no gradient at all is as far as can be.
    score = np.minimum(lead / np.maximum(lipschitz, np.finfo(np.float32).tiny), sampling.radius)
    return Clever(score, classes, lipschitz, p_value)


def _nearest(estimates: Clever) -> Clever:
    """Of estimates [N,T] the one with the least score, the likeliest class of equals: [N]."""
    best = estimates.score.argmin(axis=1)[:, None]
    return Clever._make(np.take_along_axis(field, best, axis=1)[:, 0] for field in estimates)


def _columns(estimates: Clever, chosen: int | NDArray[np.intp]) -> Clever:
    return Clever._make(field[:, chosen] for field in estimates)
