"""Images for a classifier, from files that need not fit into memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf import files
from a2d_tf.classifier import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.pixels import Bounds, Images

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp")
READ_AT_ONCE = 256


class ImageSet(NamedTuple):
    """Images f32[N,H,W,C] within a classifier's bounds, and a name for each."""

    names: list[str]
    images: Images


class ImageStream(NamedTuple):
    """A dataset of batches of such images, read as they are asked for, and their names."""

    names: list[str]
    images: tf.data.Dataset


def stream_images(
    path: str | Path, classifier: Classifier, limit: int | None = None
) -> ImageStream:
    """Images for a classifier, from an .npz file or a folder of image files.

    All is read once and checked before this returns; nothing of it is kept.

    Args:
      path: an .npz with the key `images` (floats within the classifier's bounds, or uint8, which
        is scaled to them), or a folder whose image files are resized bilinearly.
      classifier: its bounds and input shape are used.
      limit: the first so many images; all if None.

    Raises:
      InvalidInputError: nothing of that kind there, no image in it, or images that do not fit.
    """
    path = Path(path)
    if path.is_dir():
        chosen = _listed(path)[:limit]
        shape = _fixed_shape(classifier)

        def read() -> Iterator[Images]:
            for file in chosen:
                yield scaled(read_image(file, shape), classifier.bounds)[None]

        names = [file.name for file in chosen]
        for images in read():
            classifier.check(images)
    else:
        def read() -> Iterator[Images]:
            for rows in files.npz_rows(path, "images", READ_AT_ONCE, limit):
                yield _from_npz(rows, path, classifier.bounds)

        names = [str(index) for index in range(_check_npz(path, classifier, limit))]
        shape = next(read()).shape[1:]
    signature = tf.TensorSpec((None, *shape), tf.float32)
    return ImageStream(names, tf.data.Dataset.from_generator(read, output_signature=signature))


def load_images(path: str | Path, classifier: Classifier) -> ImageSet:
    """The images of `stream_images` as an array.

    Raises:
      InvalidInputError: as there.
    """
    names, batches = stream_images(path, classifier)
    return ImageSet(names, np.concatenate(list(batches.as_numpy_iterator())))


def load_adversarial(path: str | Path, classifier: Classifier) -> Images:
    """Adversarial images for a fit: as `load_images`, without those that craft.py saw fail.

    Raises:
      InvalidInputError: as `load_images`, or none succeeded.
    """
    images = load_images(path, classifier).images
    if Path(path).is_dir() or "success" not in (stored := files.load_npz(path)):
        return images
    if stored["success"].shape != (len(images),) or not stored["success"].any():
        raise InvalidInputError(
            f"expected adversarial images that succeeded in {path}, got none; craft others"
        )
    chosen: Images = images[stored["success"].astype(bool)]
    return chosen


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def read_image(path: Path, shape: tuple[int, int, int]) -> Images:
    """An image file as f32[H,W,C] in [0, 1], resized bilinearly.

    Raises:
      InvalidInputError: the file holds no image.
    """
    height, width, channels = shape
    try:
        picture = tf.io.decode_image(path.read_bytes(), channels=channels, expand_animations=False)
    except tf.errors.InvalidArgumentError as error:
        raise InvalidInputError(f"expected an image in {path}, got something else") from error
    resized = tf.image.resize(tf.cast(picture, tf.float32) / 255.0, (height, width), antialias=True)
    return np.asarray(tf.clip_by_value(resized, 0.0, 1.0))


def scaled(images: Images, bounds: Bounds) -> Images:
    """Images in [0, 1], brought to other bounds."""
    if bounds == Bounds():
        return images
    # Clipped, since rounding can leave the bounds by a hair.
    wide = bounds.lower + images * np.float32(bounds.range)
    return np.asarray(np.clip(wide, *bounds), np.float32)


def pixels(array: ArrayLike) -> Images:
    """Bytes [N,H,W] or [N,H,W,C] as f32[N,H,W,C] in [0, 1]."""
    images = np.asarray(array)
    if images.ndim == 3:
        images = images[..., None]
    return images.astype(np.float32) / np.float32(255)


def _check_npz(path: Path, classifier: Classifier, limit: int | None) -> int:
    """The number of images in a file, all of which fit the classifier."""
    count, brightest, upper = 0, 0, classifier.bounds.upper
    for rows in files.npz_rows(path, "images", READ_AT_ONCE, limit):
        count += len(classifier.check(_from_npz(rows, path, classifier.bounds)))
        if rows.dtype == np.uint8:
            brightest = max(brightest, int(rows.max()))
    if not count:
        raise InvalidInputError(f"expected at least one image in {path}, got none")
    if 0 < brightest <= upper < 255:
        raise InvalidInputError(
            f"expected uint8 pixels from 0 to 255 in {path}, got at most {brightest}, "
            f"within the bounds' {upper:g} already; save them as float32"
        )
    return count


def _from_npz(rows: NDArray[Any], path: Path, bounds: Bounds) -> Images:
    if rows.dtype == np.uint8:
        return scaled(pixels(rows), bounds)
    if np.issubdtype(rows.dtype, np.floating):
        return rows.astype(np.float32)
    raise InvalidInputError(
        f"expected images of floats or uint8 in {path}, got {rows.dtype}; convert them"
    )


def _listed(folder: Path) -> list[Path]:
    paths = image_files(folder)
    if not paths:
        raise InvalidInputError(
            f"expected image files ({', '.join(IMAGE_SUFFIXES)}) in {folder}, got none"
        )
    return paths


def _fixed_shape(classifier: Classifier) -> tuple[int, int, int]:
    match classifier.input_shape:
        case (int(height), int(width), int(channels)):
            return height, width, channels
    raise InvalidInputError(
        "expected a classifier of fixed input size to read image files, got "
        f"{classifier.input_shape}; give the images as an .npz file"
    )
