"""The splits of an experiment: which images are fitted, calibrated and tested on."""

import warnings

import numpy as np
from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Labels

FIT, CALIBRATION, TEST = "fit", "calibration", "test"
MIN_FIT = 100  # so that K = 100 neighbours are not simply all inputs of the fit
MIN_CALIBRATION = 100  # enough for a false-positive rate of 1 %


def split(
    correct: NDArray[np.intp], limit: int, shuffle: int | None
) -> dict[str, NDArray[np.intp]]:
    """The rows of each split: the first images to test on, the next ones to fit and to calibrate.

    Args:
      correct: i64[N], the rows of the images that the classifier gets right.
      limit: images to test on; fewer if there are not as many.
      shuffle: seed by which the rows are drawn; None takes them in their order.

    Raises:
      InvalidInputError: there are too few for the smallest splits.
    """
    available = (
        size for size in map(split_sizes, range(limit, 0, -1)) if sum(size) <= len(correct)
    )
    sizes = next(available, None)
    if sizes is None:
        raise InvalidInputError(
            f"expected at least {sum(split_sizes(1))} test images that the classifier gets right, "
            f"got {len(correct)}; give more images, or check that the bounds and the numbers of "
            "the classes are those of the classifier"
        )
    if shuffle is not None:
        correct = np.random.default_rng(shuffle).permutation(correct)
    test, fit, calibration, _ = np.split(correct, np.cumsum(sizes))
    return {FIT: fit, CALIBRATION: calibration, TEST: test}


def first_right(own: Labels, labels: Labels, limit: int) -> NDArray[np.int64]:
    """The rows i64[n] of the first images that a classifier gets right.

    A warning tells if they lack classes, since the images come class by class by their true labels.

    Args:
      own: i64[N], the classifier's labels.
      labels: i64[N], the true ones.
      limit: the largest number of rows.

    Raises:
      InvalidInputError: it gets none right.
    """
    every = np.flatnonzero(own == labels)
    if not len(every):
        raise InvalidInputError(
            f"expected correctly classified images, got none of {len(labels)}; check that model "
            "and images belong together"
        )
    rows = every[:limit]
    classes, there = (len(np.unique(labels[some])) for some in (rows, every))
    if classes < there and come_by_class(labels):
        warnings.warn(
            f"the first {len(rows)} images that the classifier gets right have {classes} of "
            f"{there} classes, since the images come class by class; mix them, or raise the limit",
            stacklevel=3,
        )
    return rows


def come_by_class(labels: Labels) -> bool:
    """Whether images of these labels i64[N] come class by class, so that the first lack classes."""
    counts = np.unique(labels, return_counts=True)[1]
    changes = np.count_nonzero(np.diff(labels))
    return bool(len(counts) > 1 and counts.max() > 1 and changes == len(counts) - 1)


def check_mixed(labels: Labels) -> None:
    """Raises InvalidInputError if images come class by class.

    Args:
      labels: i64[N], in the order of the images.
    """
    if come_by_class(labels):
        raise InvalidInputError(
            "expected test images of all classes in mixed order, since the first ones are tested "
            "and fitted on, got them class by class; pass --shuffle (shuffle=True), or mix them"
        )


def split_sizes(limit: int) -> tuple[int, int, int]:
    """Images to test, fit and calibrate on."""
    return limit, max(limit // 2, MIN_FIT), max(limit // 4, MIN_CALIBRATION)
