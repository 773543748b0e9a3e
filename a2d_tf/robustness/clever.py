"""CLEVER scores of images, towards one class or several.

Within a ball around an image, a margin cannot fall faster than its largest gradient, which is
estimated from gradients at random points. Their maxima over batches follow a reverse Weibull
distribution, whose end point is the estimate. The margin divided by it is the score.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf.attacks.runner import OnFinished
from a2d_tf.checks import integer, lookup
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.batching import ImageSource, to_array
from a2d_tf.images.spec import Images, Labels
from a2d_tf.robustness.reverse_weibull import endpoint
from a2d_tf.robustness.sampling import Sampling, gradient_maxima

Floats = NDArray[np.float64]

# Targets by name (Table 1 of the paper), as ranks of likelihood among K classes; the image's own
# label has rank 0.
TARGETS: dict[str, Callable[[int], Sequence[int]]] = {
    "untargeted": lambda classes: range(1, classes),
    "top2": lambda classes: [1],
    "top5": lambda classes: [4],
    "least_likely": lambda classes: [classes - 1],
}


class Clever(NamedTuple):
    """CLEVER scores, with a row per image.

    Attributes:
      score: f64[N], an estimate of the least distance to the class, in units of the pixel range and
        in the norm of the ball; at most its radius.
      target: i64[N], the class: the one that was given, or the nearest of all.
      lipschitz: f64[N], the estimated Lipschitz constant of the label's lead over that class.
      p_value: f64[N], of the Kolmogorov-Smirnov test of the fit, on maxima of separate points:
        one per batch, or with a pool of ten, ten.
    """

    score: Floats
    target: Labels
    lipschitz: Floats
    p_value: Floats


def clever_score(
    classifier: Classifier,
    images: ImageSource,
    target: str | ArrayLike = "untargeted",
    sampling: Sampling = Sampling(),
    *,
    batch_size: int = 128,
    on_finished: OnFinished | None = None,
) -> Clever:
    """CLEVER scores of images for one target (Weng et al. 2018; the paper, section 3.1).

    The label is the classifier's own. The price is a forward pass, and a backward pass per class,
    for each point: 10,240 points by default, 3,200 with `CHEAP`, 512,000 with `PUBLISHED`.

    Args:
      classifier: the classifier, whose logits are used.
      images: f32[N,H,W,C] within the classifier's bounds; N may be 0.
      target: "untargeted" for the nearest class, "top2" or "top5" for the second or fifth most
        likely, "least_likely"; or classes, one for all images or i64[N].
      sampling: where and at how many points gradients are computed.
      batch_size: points at once; bounds the memory, changes no score.
      on_finished: called with the number of images that just finished.

    Raises:
      InvalidInputError: unfit images; an unknown target, too few classes for it, or one that is
        an image's own label.
      UnsuitableClassifierError: the classifier fails its preflight, or a gradient is not finite.
    """
    table = clever_table(
        classifier, images, [target], sampling, batch_size=batch_size, on_finished=on_finished
    )
    return Clever._make(field[:, 0] for field in table)


def clever_table(
    classifier: Classifier,
    images: ImageSource,
    targets: Sequence[str | ArrayLike] = tuple(TARGETS),
    sampling: Sampling = Sampling(),
    *,
    batch_size: int = 128,
    on_finished: OnFinished | None = None,
) -> Clever:
    """CLEVER scores for several targets, which share their gradients.

    "untargeted" needs the gradients of all classes, so that other targets then cost nothing.

    Args:
      targets: A targets, as `clever_score` takes them.

    Returns:
      All fields [N,A], a column per target.

    Raises:
      InvalidInputError, UnsuitableClassifierError: as `clever_score`.
    """
    classifier.bounds.require_one_range("CLEVER")
    checked = to_array(images, classifier.input_spec)
    logits, columns = prepare(classifier, checked, targets, batch_size)
    if not len(checked):
        none = np.zeros((0, len(targets)))
        return Clever(none, none.astype(np.int64), none, none)
    rows = []
    for image, outputs, *wanted in zip(checked, logits, *columns):
        rows.append(_row(classifier, image, outputs, wanted, sampling, batch_size))
        if on_finished:
            on_finished(1)
    return Clever._make(np.array(field) for field in zip(*rows))


def prepare(
    classifier: Classifier, images: Images, targets: Sequence[str | ArrayLike], batch_size: int
) -> tuple[Floats, list[Labels]]:
    """Logits f64[N,K] of checked images, and for each target its classes i64[N,T].

    Raises:
      InvalidInputError, UnsuitableClassifierError: as `clever_score`, for any of the images.
    """
    if not len(targets):
        raise InvalidInputError(
            f"expected a target out of {', '.join(TARGETS)}, got none; name one"
        )
    integer(batch_size, "a batch size")
    for target in targets:
        if isinstance(target, str):
            lookup(TARGETS, target, "a target")
    if not len(images):
        return np.zeros((0, 0)), []
    classifier.preflight(images)
    logits = classifier.logits(images, batch_size).astype(np.float64)
    return logits, [_classes(target, logits) for target in targets]


def _classes(target: str | ArrayLike, logits: Floats) -> Labels:
    """The classes i64[N,T] of a target, the most likely class of an image first."""
    count, classes = logits.shape
    order = np.argsort(-logits, axis=1, kind="stable")
    if isinstance(target, str):
        ranks = list(TARGETS[target](classes))
        if max(ranks) >= classes:
            raise InvalidInputError(
                f"expected a classifier of at least {max(ranks) + 1} classes for {target}, got "
                f"one of {classes}; ask for top2 or untargeted"
            )
        return order[:, ranks]
    asked = np.asarray(target)
    if asked.dtype.kind not in "iu" or asked.shape not in ((), (count,)):
        raise InvalidInputError(
            f"expected a target out of {', '.join(TARGETS)}, or a class for all or each of {count} "
            f"images, got {asked.dtype} of shape {list(asked.shape)}; give one of these"
        )
    chosen = np.broadcast_to(asked.astype(np.int64), (count,))
    if chosen.min() < 0 or chosen.max() >= classes:
        raise InvalidInputError(
            f"expected target classes from 0 to {classes - 1}, got {chosen.min()} to "
            f"{chosen.max()}; number classes from 0"
        )
    own = np.flatnonzero(chosen == order[:, 0])
    if len(own):
        raise InvalidInputError(
            f"expected target classes other than the images' labels, got {chosen[own[0]]} for "
            f"image {own[0]}, which has that label; leave it out or choose another"
        )
    return chosen[:, None]


def _row(
    classifier: Classifier, image: Images, logits: Floats, wanted: Sequence[Labels],
    sampling: Sampling, batch_size: int,
) -> Clever:
    """The scores [A] of an image with logits f64[K], each towards the nearest of its classes."""
    label = int(logits.argmax())
    classes = np.unique(np.concatenate(wanted))
    maxima = gradient_maxima(classifier, image, label, classes, sampling, batch_size)
    scale = np.float64(classifier.bounds.range)
    fits = [endpoint(scale * drawn, scale * own) for drawn, own in zip(*maxima)]
    lipschitz, p_value = np.array(fits).T
    # A margin without any gradient has the largest score.
    score = (logits[label] - logits[classes]) / np.maximum(lipschitz, np.finfo(np.float32).tiny)
    score = np.minimum(score, sampling.radius)
    places = [np.searchsorted(classes, some) for some in wanted]
    nearest = [one[score[one].argmin()] for one in places]
    return Clever(score[nearest], classes[nearest], lipschitz[nearest], p_value[nearest])
