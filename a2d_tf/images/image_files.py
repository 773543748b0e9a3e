"""Images from .npz files and from folders of image files, which need not fit into memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf.checks import class_labels
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.batching import ARRAY_BATCH, ImageStream
from a2d_tf.images.spec import Bounds, Images, InputSpec, Labels
from a2d_tf.storage import files

BRIGHTEST = 255
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp")


class ImageSet(NamedTuple):
    """Images f32[N,H,W,C] that fit a classifier, and a name for each."""

    names: list[str]
    images: Images


def stream_images(path: str | Path, spec: InputSpec, limit: int | None = None) -> ImageStream:
    """Images for a classifier, from an .npz file or from a folder of image files.

    The images are read, and checked, when they are needed; only their number is known before.

    Args:
      path: an .npz with the key `images` (floats within the classifier's bounds, or uint8, which
        is scaled to them), or a folder whose image files are resized bilinearly.
      spec: what the classifier takes.
      limit: the number of images to take, from the first; None takes all.

    Raises:
      InvalidInputError: there is nothing of that kind, or no image in it; while the images are
        read, images that do not fit.
    """
    path = Path(path)
    if path.is_dir():
        return _stream_folder(path, spec, limit)
    return _stream_npz(path, spec, limit)


def load_images(path: str | Path, spec: InputSpec) -> ImageSet:
    """The images of `stream_images` as an array.

    Raises:
      InvalidInputError: as `stream_images`.
    """
    stream = stream_images(path, spec)
    return ImageSet(stream.names, np.concatenate(list(stream.read(ARRAY_BATCH))))


def load_adversarial(path: str | Path, spec: InputSpec) -> Images:
    """Adversarial images for a fit: as `load_images`, without those that `craft.py` saw fail.

    Raises:
      InvalidInputError: as `load_images`, or none of the images succeeded.
    """
    images = load_images(path, spec).images
    if Path(path).is_dir() or "success" not in (stored := files.load_npz(path)):
        return images
    if stored["success"].shape != (len(images),) or not stored["success"].any():
        raise InvalidInputError(
            f"expected adversarial images that succeeded in {path}, got none; craft others"
        )
    chosen: Images = images[stored["success"].astype(bool)]
    return chosen


def load_labels(path: str | Path, count: int) -> Labels | None:
    """The labels i64[N] beside the images of an .npz file; None if it holds none, or for a folder.

    Raises:
      InvalidInputError: there is not one integer label for each of `count` images.
    """
    if Path(path).is_dir() or "labels" not in (stored := files.load_npz(path)):
        return None
    return class_labels(stored["labels"], count)


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


def scale(images: Images, bounds: Bounds) -> Images:
    """Images in [0, 1], scaled to other bounds."""
    if bounds == Bounds():
        return images
    # Clipped, since rounding can leave the bounds by a hair.
    wide = bounds.lower + images * np.float32(bounds.range)
    return np.asarray(np.clip(wide, *bounds), np.float32)


def from_bytes(array: ArrayLike) -> Images:
    """Bytes [N,H,W] or [N,H,W,C] as f32[N,H,W,C] in [0, 1]."""
    images = np.asarray(array)
    if images.ndim == 3:
        images = images[..., None]
    return images.astype(np.float32) / np.float32(BRIGHTEST)


def _stream_folder(folder: Path, spec: InputSpec, limit: int | None) -> ImageStream:
    paths = image_files(folder)[:limit]
    if not paths:
        raise InvalidInputError(
            f"expected image files ({', '.join(IMAGE_SUFFIXES)}) in {folder}, got none"
        )
    shape = _fixed_shape(spec)

    def read(count: int) -> Iterator[Images]:
        for start in range(0, len(paths), count):
            pictures = [read_image(path, shape) for path in paths[start:start + count]]
            yield scale(np.stack(pictures), spec.bounds)

    return ImageStream([path.name for path in paths], spec, shape, read)


def _stream_npz(path: Path, spec: InputSpec, limit: int | None) -> ImageStream:
    shape, dtype = files.npz_header(path, "images")
    if not shape:
        raise InvalidInputError(f"expected {path} to hold rows of 'images', got a number")
    count = shape[0] if limit is None else min(shape[0], limit)
    if not count:
        raise InvalidInputError(f"expected at least one image in {path}, got none")
    if not (dtype == np.uint8 or np.issubdtype(dtype, np.floating)):
        raise InvalidInputError(
            f"expected images of floats or uint8 in {path}, got {dtype}; convert them"
        )

    def read(size: int) -> Iterator[Images]:
        for rows in files.npz_rows(path, "images", size, count):
            if dtype == np.uint8:
                yield spec.check(scale(_from_scaled_bytes(rows, path, spec.bounds), spec.bounds))
            else:
                yield spec.check(rows)

    grey = dtype == np.uint8 and len(shape) == 3  # as `from_bytes` takes them
    image_shape = (*shape[1:], 1) if grey else shape[1:]
    spec.check_shape((count, *image_shape))
    return ImageStream(list(map(str, range(count))), spec, image_shape, read)


def _from_scaled_bytes(rows: NDArray[Any], path: Path, bounds: Bounds) -> Images:
    if 0 < rows.max() <= bounds.upper < BRIGHTEST:
        raise InvalidInputError(
            f"expected uint8 pixels from 0 to {BRIGHTEST} in {path}, got at most {rows.max()}, "
            f"within the bounds' {bounds.upper:g} already; save them as float32"
        )
    return from_bytes(rows)


def _fixed_shape(spec: InputSpec) -> tuple[int, int, int]:
    match spec.shape:
        case (int(height), int(width), int(channels)):
            return height, width, channels
    raise InvalidInputError(
        f"expected a classifier of fixed input size to read image files, got {spec.shape}; give "
        "the images as an .npz file"
    )
