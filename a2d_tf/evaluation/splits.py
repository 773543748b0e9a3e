"""The splits of an experiment: which images are fitted, calibrated and tested on."""

import numpy as np
from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError

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
            f"expected at least {sum(split_sizes(1))} correctly classified test images and a "
            f"limit of 1, got {len(correct)} and {limit}; use a better classifier or more images"
        )
    if shuffle is not None:
        correct = np.random.default_rng(shuffle).permutation(correct)
    test, fit, calibration, _ = np.split(correct, np.cumsum(sizes))
    return {FIT: fit, CALIBRATION: calibration, TEST: test}


def split_sizes(limit: int) -> tuple[int, int, int]:
    """Images to test, fit and calibrate on."""
    return limit, max(limit // 2, MIN_FIT), max(limit // 4, MIN_CALIBRATION)
