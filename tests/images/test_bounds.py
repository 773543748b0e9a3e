"""Rounding at the bounds, bytes, and what is out of bounds."""

import re

import numpy as np
import pytest

from a2d_tf import InvalidInputError
from a2d_tf.images import TOLERANCE, Bounds, InputSpec
from a2d_tf.images.bounds import check_bounds

BYTES = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
ODD = (-0.485 / 0.229, (1 - 0.485) / 0.229)


def spec(bounds: object = (0, 1)) -> InputSpec:
    return InputSpec((16, 16, 1), check_bounds(bounds))


@pytest.mark.parametrize("bounds", [(0, 1), (-1, 1), (0, 255), ODD])
def test_what_rounding_leaves_is_clipped(bounds: tuple[float, float]) -> None:
    lower, upper = map(np.float32, bounds)
    width = bounds[1] - bounds[0]
    images = np.full((2, 16, 16, 1), lower)
    images[0, 0, :3, 0] = lower - 0.9e-5 * width, upper + 0.9e-5 * width, (lower + upper) / 2
    checked = spec(bounds).check(images)
    assert checked.min() == lower and checked.max() == upper and checked.dtype == np.float32
    np.testing.assert_array_equal(checked[1], images[1])
    images[1, 0, :2, 0] = upper + 3e-5 * width, lower - 3e-5 * width
    with pytest.raises(InvalidInputError, match="2 of 512 are out of bounds"):
        spec(bounds).check(images)


def test_normalised_and_back() -> None:
    unit = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 1)) / np.float32(255)
    mean, deviation = np.float32(0.4465), np.float32(0.2010)
    there_and_back = ((unit - mean) / deviation * deviation + mean).astype(np.float32)
    unit[0, 0, :2, 0], there_and_back[0, 0, :2, 0] = (0, 1), (-3e-8, 1.0000008)
    checked = spec().check(there_and_back)
    assert 0 <= checked.min() and checked.max() <= 1
    np.testing.assert_allclose(checked, unit, atol=2e-7 + TOLERANCE)


def test_images_within_bounds_are_not_copied() -> None:
    images = np.random.default_rng(0).uniform(size=(3, 16, 16, 1)).astype(np.float32)
    assert spec().check(images) is images


def test_the_error_says_how_much_and_how_many() -> None:
    images = np.zeros((1, 16, 16, 1), np.float32)
    images[0, 0, :3, 0] = 1.00002, 1.00003, 1.000001
    with pytest.raises(InvalidInputError) as error:
        spec().check(images)
    message = str(error.value)
    assert "\n" not in message and "got [0, 1.00003" in message
    assert "2 of 256 are out of bounds, by up to 3" in message and "scale the images" in message
    assert not re.search(r"in \[0, 1\], got \[0, 1\]", message)


@pytest.mark.parametrize("bounds", [(0, 1), (-1, 1), (0, 255), ODD])
def test_bytes_are_scaled_to_the_bounds(bounds: tuple[float, float]) -> None:
    checked = spec(bounds).check(BYTES)
    expected = bounds[0] + BYTES / 255 * (bounds[1] - bounds[0])
    np.testing.assert_allclose(checked, expected, atol=1e-6 * (bounds[1] - bounds[0]))
    assert checked.dtype == np.float32
    assert checked.min() == np.float32(bounds[0]) and checked.max() == np.float32(bounds[1])


def test_bytes_that_are_scaled_already_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="from 0 to 255, got at most 1"):
        spec().check(BYTES // 255)
    assert not spec().check(BYTES * 0).any()
    # A dark image within other bounds is bytes all the same, in whatever batch it comes.
    dark = np.full((1, 16, 16, 1), 119, np.uint8)
    np.testing.assert_allclose(spec((-104, 151)).check(dark), 15, atol=1e-4)


def test_other_integers_are_pixels() -> None:
    np.testing.assert_array_equal(spec((0, 255)).check(BYTES.astype(np.int64)), BYTES)
    with pytest.raises(InvalidInputError, match="expected pixels in"):
        spec().check(BYTES.astype(np.int32))


@pytest.mark.parametrize("images, message", [
    (np.zeros((1, 16, 16, 1), bool), "got booleans"),
    (np.zeros((1, 16, 16, 1), complex), "got complex numbers"),
    (np.zeros((1, 16, 16, 1), object), "got Python objects"),
    (np.full((1, 16, 16, 1), "x"), "expected images of floats"),
    ([np.zeros((16, 16, 1)), np.zeros((8, 8, 1))], "stack them with np.stack"),
    (np.full((1, 16, 16, 1), 1e300), "NaN or infinity in 1 of 1"),
])
def test_what_is_no_image(images: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as error:
        spec().check(images)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bounds", [
    3, (1, 0), (0, np.nan), "01", (0, 1, 2), None, ([0, 0], [[1]]),
])
def test_what_are_no_bounds(bounds: object) -> None:
    with pytest.raises(InvalidInputError, match="expected bounds") as error:
        check_bounds(bounds)
    assert "\n" not in str(error.value)


def test_bounds_are_equal_as_numbers_are() -> None:
    assert Bounds() == (0, 1) and Bounds(0, 255) != Bounds() and Bounds() != 3
    assert hash(Bounds(0, 1)) == hash(Bounds(0.0, 1.0)) and len({Bounds(), Bounds(0, 1)}) == 1
    assert repr(Bounds(-1, 1)) == "Bounds(lower=-1.0, upper=1.0)"
