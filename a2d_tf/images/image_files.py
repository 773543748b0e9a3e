"""Images from .npz files and from folders of image files, which need not fit into memory."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from a2d_tf.checks import class_labels
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.batching import ARRAY_BATCH, ImageStream
from a2d_tf.images.bounds import BRIGHTEST
from a2d_tf.images.picture_headers import BMP, GIF, JPEG, PNG, read_header
from a2d_tf.images.spec import Bounds, Images, InputSpec, Labels, check_dtype
from a2d_tf.storage import files
from a2d_tf.storage.limits import check_decoded

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp")
OTHER_SUFFIXES = (".webp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jfif", ".svg")
BYTES_PER_PIXEL = 16  # four channels in single precision, while a picture is resized
CMYK = 4  # channels of a JPEG


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
    path = Path(os.path.expanduser(path))
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
    chosen: Images = images[_succeeded(path, len(images))]
    return chosen


def load_sources(path: str | Path, count: int) -> NDArray[np.int64]:
    """The benign image i64[M] that each of `load_adversarial` was made from; -1 if it is not known.

    They are the array `source` of the .npz file.

    Args:
      path: of the adversarial images.
      count: M, the number of images that `load_adversarial` gave.

    Raises:
      InvalidInputError: there is not one integer for each image of the file.
    """
    found = None if Path(os.path.expanduser(path)).is_dir() else files.load_npz(path).get("source")
    if found is None:
        return np.full(count, -1)
    rows = found[_succeeded(path, len(found))] if found.ndim == 1 else found
    if rows.shape != (count,) or not np.issubdtype(found.dtype, np.integer):
        raise InvalidInputError(
            f"expected source as a row of the benign images for each image in {path}, got "
            f"{found.dtype} of shape {list(found.shape)}; give integers, or leave it out"
        )
    return np.asarray(rows, np.int64)


def _succeeded(path: str | Path, count: int) -> NDArray[np.bool_]:
    """Which of the images of a file or a folder are not failures of `craft.py`, bool[N]."""
    if Path(os.path.expanduser(path)).is_dir() or "success" not in (stored := files.load_npz(path)):
        return np.full(count, True)
    if stored["success"].shape != (count,) or not stored["success"].any():
        raise InvalidInputError(
            f"expected adversarial images that succeeded in {path}, got none; craft others"
        )
    return np.asarray(stored["success"], bool)


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
      InvalidInputError: as `decode_image`.
    """
    return decode_image(path.read_bytes(), shape, str(path))


def decode_image(content: bytes, shape: tuple[int, int, int], place: str) -> Images:
    """The bytes of an image file as f32[H,W,C] in [0, 1], resized bilinearly.

    Args:
      content: of a PNG, JPEG, GIF or BMP file.
      shape: (H, W, C) of the result.
      place: where the bytes were read, for messages.

    Raises:
      InvalidInputError: they hold no image, a damaged one, or one that takes too much memory
        (`storage.limits.set_max_decoded_gib`).
    """
    height, width, channels = shape
    picture = _decoded(content, channels, place)
    resized = tf.image.resize(tf.cast(picture, tf.float32) / 255.0, (height, width), antialias=True)
    return np.asarray(tf.clip_by_value(resized, 0.0, 1.0))


def _decoded(content: bytes, channels: int, place: str) -> tf.Tensor:
    """The pixels u8[h,w,channels] of an image file, or floats of a picture that is made grey."""
    try:
        header = read_header(content)
    except ValueError as error:
        raise InvalidInputError(
            f"expected an image in {place}, got {error}; replace the file or take it out"
        ) from error
    decoded_size = header.height * header.width * BYTES_PER_PIXEL
    check_decoded(decoded_size, len(content), f"the image {place}")
    # These are decoded in their own colours, and made grey afterwards.
    coloured = header.kind in (GIF, BMP) or header.kind == JPEG and header.channels == CMYK
    if channels not in (1, 3) and header.kind != PNG:
        raise InvalidInputError(
            f"expected a PNG file for a classifier of {channels} channels, got the {header.kind} "
            f"{place}; convert it"
        )
    decode_as = 0 if header.kind == BMP else 3 if coloured else channels
    try:
        picture = tf.io.decode_image(content, channels=decode_as, expand_animations=False)
    except (tf.errors.OpError, ValueError) as error:
        raise InvalidInputError(
            f"expected an image in {place}, got a damaged {header.kind}; copy or write it again"
        ) from error
    if not coloured:
        return picture
    if picture.shape[-1] == 1:  # of a grey BMP
        return picture if channels == 1 else tf.image.grayscale_to_rgb(picture)
    return tf.image.rgb_to_grayscale(picture[..., :3]) if channels == 1 else picture[..., :3]


def scale(images: Images, bounds: Bounds) -> Images:
    """Images in [0, 1], scaled to other bounds."""
    return bounds.from_unit(images)


def from_bytes(array: ArrayLike) -> Images:
    """Bytes [N,H,W] or [N,H,W,C] as f32[N,H,W,C] in [0, 1]."""
    images = np.asarray(array)
    if images.ndim == 3:
        images = images[..., None]
    return images.astype(np.float32) / np.float32(BRIGHTEST)


def _stream_folder(folder: Path, spec: InputSpec, limit: int | None) -> ImageStream:
    _check_folder(folder)
    paths = image_files(folder)[:limit]
    shape = _fixed_shape(spec)

    def read(count: int) -> Iterator[Images]:
        for start in range(0, len(paths), count):
            pictures = [read_image(path, shape) for path in paths[start:start + count]]
            yield scale(np.stack(pictures), spec.bounds)

    return ImageStream([path.name for path in paths], spec, shape, read)


def _check_folder(folder: Path) -> None:
    """Raises InvalidInputError if images would be left out of what is read of a folder."""
    inside = sorted(folder.iterdir())
    wanted = f"expected image files ({', '.join(IMAGE_SUFFIXES)}) in {folder}"
    if others := [path.name for path in inside if path.suffix.lower() in OTHER_SUFFIXES]:
        raise InvalidInputError(
            f"{wanted}, got {len(others)} of other kinds, such as {others[0]}; convert them to PNG"
        )
    if subfolders := [path.name for path in inside if path.is_dir() and image_files(path)]:
        besides = " besides" if image_files(folder) else ""
        raise InvalidInputError(
            f"{wanted}, got {len(subfolders)} folders of them{besides}, such as {subfolders[0]}; "
            "give one of these, or put all files into one folder"
        )
    if not image_files(folder):
        raise InvalidInputError(f"{wanted}, got none; give a folder with some, or an .npz file")


def _stream_npz(path: Path, spec: InputSpec, limit: int | None) -> ImageStream:
    shape, dtype = files.npz_header(path, "images")
    if not shape:
        raise InvalidInputError(
            f"expected {path} to hold rows of 'images', got a number"
            "; save them as an array [N,H,W,C]"
        )
    count = shape[0] if limit is None else min(shape[0], limit)
    if not count:
        raise InvalidInputError(
            f"expected at least one image in {path}, got none; put some there"
        )
    check_dtype(dtype)

    def read(size: int) -> Iterator[Images]:
        for rows in files.npz_rows(path, "images", size, count):
            yield spec.check(rows)

    if 0 in shape[1:]:
        raise InvalidInputError(
            f"expected images of pixels in {path}, got shape {list(shape)}; save arrays [N,H,W,C]"
        )
    checked_shape = spec.with_channel(shape) if dtype == np.uint8 else shape
    spec.check_shape(checked_shape)
    return ImageStream(list(map(str, range(count))), spec, checked_shape[1:], read)


def _fixed_shape(spec: InputSpec) -> tuple[int, int, int]:
    match spec.shape:
        case (int(height), int(width), int(channels)):
            return height, width, channels
    raise InvalidInputError(
        f"expected a classifier of fixed input size to read image files, got {spec.shape}; give "
        "the images as an .npz file"
    )
