"""Which images of a dataset an experiment takes."""

import warnings

import numpy as np
import pytest

from a2d_tf import InvalidInputError
from a2d_tf.evaluation.splits import CALIBRATION, FIT, TEST, check_mixed, first_right, split


def test_the_first_images_are_tested_on_the_next_ones_fitted_and_calibrated() -> None:
    parts = split(np.arange(500), 200, None)
    assert parts[TEST].tolist() == list(range(200))
    assert parts[FIT].tolist() == list(range(200, 300))
    assert parts[CALIBRATION].tolist() == list(range(300, 400))
    with pytest.raises(InvalidInputError, match="expected at least 201 test images that .* got 9;"):
        split(np.arange(9), 200, None)


def test_images_class_by_class_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="got them class by class; pass --shuffle"):
        check_mixed(np.array([0, 0, 1, 1, 2]))
    with pytest.raises(InvalidInputError, match="got them class by class"):
        check_mixed(np.array([3, 3, 0, 1, 1]))
    for labels in ([0, 1, 2, 0, 1], [0, 1, 2, 3], [4, 4, 4], []):  # one of each, and one class
        check_mixed(np.array(labels, np.int64))


def test_the_first_images_that_are_right() -> None:
    own, labels = np.array([0, 1, 1, 2, 2, 0]), np.array([0, 0, 1, 2, 1, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert first_right(own, labels, 2).tolist() == [0, 2]
        assert first_right(own, labels, 9).tolist() == [0, 2, 3, 5]
        by_class = np.array([0, 0, 1, 1, 2])
        assert first_right(by_class, by_class, 5).tolist() == [0, 1, 2, 3, 4]
    with pytest.warns(UserWarning, match="first 3 images .* have 2 of 3 classes.*raise the limit"):
        assert first_right(by_class, by_class, 3).tolist() == [0, 1, 2]
    with pytest.raises(InvalidInputError, match="images, got none of 6; check"):
        first_right(labels + 1, labels, 3)
