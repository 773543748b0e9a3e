"""Files of unknown origin: read as they are, or refused in one line before they take memory."""

import io
import resource
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from a2d_tf import Classifier, InvalidInputError
from a2d_tf.images import load_images
from a2d_tf.images.image_files import read_image
from a2d_tf.storage import files, limits
from a2d_tf.storage.stages import Stages

FLIPS = 200
FEW_OR_ALL = [20, pytest.param(FLIPS, marks=pytest.mark.long)]
SHAPE = (12, 10, 3)
COLOURS = np.kron(
    np.random.default_rng(0).integers(0, 256, (3, 2, 3)), np.ones((8, 8, 1))
).astype(np.uint8)
KINDS = {
    "png": {}, "jpg": {"quality": 95}, "gif": {}, "bmp": {}, "progressive.jpg": {
        "quality": 95, "progressive": True,
    },
}


@pytest.fixture(autouse=True)
def usual_limit() -> None:
    limits.set_max_decoded_gib(limits.MAX_DECODED_GIB)


def picture(folder: Path, name: str, mode: str = "RGB") -> Path:
    path = folder / name
    Image.fromarray(COLOURS).convert(mode).save(path, **KINDS.get(name.partition(".")[2], {}))
    return path


def test_every_listed_kind_is_read_in_colour_and_in_grey(tmp_path: Path) -> None:
    size = COLOURS.shape[:2]
    colour = read_image(picture(tmp_path, "a.png"), (*size, 3))
    np.testing.assert_allclose(colour, COLOURS / 255, atol=1e-6)
    grey = read_image(tmp_path / "a.png", (*size, 1))
    for name, mode in (
        ("a.gif", "RGB"), ("a.bmp", "RGB"), ("b.bmp", "RGBA"), ("a.jpg", "RGB"),
        ("a.jpeg", "CMYK"), ("c.jpg", "CMYK"),
    ):
        path = picture(tmp_path, name, mode)
        assert np.abs(read_image(path, (*size, 3)) - colour).mean() < 0.02, name
        assert np.abs(read_image(path, (*size, 1)) - grey).mean() < 0.02, name
    for name in ("grey.bmp", "grey.png", "grey.gif", "grey.jpg"):
        path = picture(tmp_path, name, "L")
        assert np.abs(read_image(path, (*size, 1)) - grey).mean() < 0.02, name
        assert np.abs(read_image(path, (*size, 3)) - grey).mean() < 0.02, name


@pytest.mark.parametrize("name, mode, channels, message", [
    ("palette.bmp", "P", 3, "a BMP of a palette; convert it to PNG"),
    ("one.bmp", "1", 1, "a BMP of 1 bits"),
    ("a.gif", "RGB", 4, "expected a PNG file for a classifier of 4 channels"),
    ("a.jpg", "RGB", 4, "expected a PNG file for a classifier of 4 channels"),
])
def test_what_would_be_read_wrongly_is_refused(
    name: str, mode: str, channels: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_image(picture(tmp_path, name, mode), (8, 8, channels))


def test_no_image_of_a_folder_is_left_out_silently(tmp_path: Path) -> None:
    layers = [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    spec = Classifier(keras.Sequential(layers)).input_spec
    (tmp_path / "cat").mkdir()
    picture(tmp_path / "cat", "a.png")
    with pytest.raises(InvalidInputError, match="got 1 folders of them, such as cat"):
        load_images(tmp_path, spec)
    picture(tmp_path, "dog.png")
    with pytest.raises(InvalidInputError, match="got 1 folders of them besides, such as cat"):
        load_images(tmp_path, spec)
    assert len(load_images(tmp_path / "cat", spec).images) == 1
    picture(tmp_path / "cat", "b.webp")
    with pytest.raises(InvalidInputError, match="got 1 of other kinds, such as b.webp"):
        load_images(tmp_path / "cat", spec)


def png_of_size(width: int, height: int) -> bytes:
    """A small file that claims to be a large picture."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        summed = kind + content
        return struct.pack(">I", len(content)) + summed + struct.pack(">I", zlib.crc32(summed))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(10**6))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(
        b"IEND", b"")


def large_gif(frame: int) -> bytes:
    """A GIF with a small canvas and a large first frame."""
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b"\x21\xf9\x04\0\0\0\0\0" + (
        b"\x2c" + struct.pack("<HHHHB", 0, 0, frame, frame, 0))


@pytest.mark.parametrize("content", [
    png_of_size(30_000, 30_000), png_of_size(2**31 - 1, 2**31 - 1),
    b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x0b\x08\xff\xff\xff\xff\x03" + bytes(50),
    b"BM" + bytes(8) + struct.pack("<IIiiHHI", 54, 40, 10**5, -10**5, 1, 24, 0) + bytes(50),
    large_gif(65_535),
])
def test_large_pictures_are_refused_before_they_take_memory(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InvalidInputError, match="to take at most 1 GiB of memory, got"):
        read_image(tmp_path / "large", (8, 8, 3))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 200_000  # KiB


def test_large_arrays_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    header = io.BytesIO()
    shape = (2**12, 2**12, 1)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (1, *shape)}
    )
    zeros = bytes(2**22)
    with zipfile.ZipFile(tmp_path / "large.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("images.npy", "w") as member:
            member.write(header.getvalue())
            for _ in range(2**26 // len(zeros)):
                member.write(zeros)
    assert (tmp_path / "large.npz").stat().st_size < 2**17
    with np.load(tmp_path / "large.npz") as stored:
        assert list(stored) == ["images"]
    limits.set_max_decoded_gib(0.05)
    with pytest.raises(InvalidInputError, match="at most 0.05 GiB of memory, got 0.0625 GiB"):
        files.load_npz(tmp_path / "large.npz")
    with pytest.raises(InvalidInputError, match="at most 0.05 GiB of memory, got 0.0625 GiB"):
        next(files.npz_rows(tmp_path / "large.npz", "images", 8))


def written(path: Path, make: Callable[[zipfile.ZipFile], object]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        make(archive)
    return path


def test_unfit_archives_are_refused_in_one_line(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(5))
    array = buffer.getvalue()
    cases = {
        "lzma": written(tmp_path / "a.npz", lambda z: z.writestr(
            "images.npy", array, zipfile.ZIP_LZMA)),
        "longer": written(tmp_path / "b.npz", lambda z: z.writestr("images.npy", array + b"x")),
        "shorter": written(tmp_path / "c.npz", lambda z: z.writestr("images.npy", array[:-8])),
        "no array": written(tmp_path / "d.npz", lambda z: z.writestr("images.npy", b"text")),
        "objects": tmp_path / "e.npz",
        "encrypted": tmp_path / "f.npz",
    }
    np.savez(tmp_path / "e.npz", images=np.array([{}], object))
    np.savez(tmp_path / "f.npz", images=np.arange(5))
    content = bytearray((tmp_path / "f.npz").read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "f.npz").write_bytes(content)
    for name, path in cases.items():
        for read in (
            lambda: files.load_npz(path), lambda: files.npz_header(path, "images"),
            lambda: list(files.npz_rows(path, "images", 2)),
        ):
            with pytest.raises(InvalidInputError, match="which does not load") as error:
                read()
            assert "\n" not in str(error.value), name


def test_arrays_of_every_layout_are_read(tmp_path: Path) -> None:
    arrays = {
        "rows": np.arange(24.0).reshape(2, 3, 4), "columns": np.asfortranarray(np.ones((3, 5))),
        "none": np.zeros((0, 4)), "text": np.array("abc"), "truth": np.array([True, False]),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        found = files.load_npz(tmp_path / "a.npz", "rows")
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype and found[name].flags.writeable
        parts = list(files.npz_rows(tmp_path / "a.npz", "columns", 2))
        np.testing.assert_array_equal(np.concatenate(parts), arrays["columns"])


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
    return bytes(changed)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_flipped_bytes_in_pictures(kind: str, tmp_path: Path) -> None:
    """One line, or a picture: JPEG, GIF and BMP have no checksums of their pixels."""
    rng, path = np.random.default_rng(1), picture(tmp_path, f"a.{kind}")
    content, expected = path.read_bytes(), read_image(path, SHAPE)
    for _ in range(FLIPS // len(KINDS)):
        path.write_bytes(flipped(content, rng))
        try:
            found = read_image(path, SHAPE)
        except InvalidInputError as error:
            assert "\n" not in str(error)
        else:
            assert found.shape == SHAPE and 0 <= found.min() and found.max() <= 1
            if kind == "png":
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_flipped_bytes_in_arrays(save: Callable[..., None], tmp_path: Path) -> None:
    rng, path = np.random.default_rng(2), tmp_path / "a.npz"
    arrays = {"images": rng.random((6, 4)), "success": np.ones(6, bool)}
    save(path, **arrays)
    content = path.read_bytes()
    harmless = 0
    for _ in range(FLIPS // 2):
        path.write_bytes(flipped(content, rng))
        try:
            found = files.load_npz(path, *arrays)
            rows = np.concatenate(list(files.npz_rows(path, "images", 4)))
        except InvalidInputError as error:
            assert "\n" not in str(error)
        else:
            harmless += 1
            np.testing.assert_array_equal(rows, arrays["images"])
            for name, array in arrays.items():
                np.testing.assert_array_equal(found[name], array)
    assert harmless < FLIPS / 4


@pytest.mark.parametrize("flips", FEW_OR_ALL)
def test_flipped_bytes_in_keras_files(flips: int, tmp_path: Path) -> None:
    rng, path = np.random.default_rng(3), tmp_path / "model.keras"
    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    keras.Sequential(layers).save(path)
    images = rng.random((5, 4, 4, 1)).astype(np.float32)
    content, expected = path.read_bytes(), Classifier.load(path).logits(images)
    for _ in range(flips):
        path.write_bytes(flipped(content, rng))
        try:
            found = Classifier.load(path).logits(images)
        except InvalidInputError as error:
            assert "\n" not in str(error)
        else:
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("flips", FEW_OR_ALL)
def test_a_broken_stage_is_computed_again_with_a_line_that_says_so(
    flips: int, tmp_path: Path
) -> None:
    rng, made = np.random.default_rng(4), []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"costs": np.arange(50)}

    path = Stages(tmp_path).path("costs", {}, ".npz")
    Stages(tmp_path).arrays("costs", {}, make)
    content = path.read_bytes()
    for _ in range(flips):
        path.write_bytes(flipped(content, rng))
        before = len(made)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = Stages(tmp_path).arrays("costs", {}, make)
        np.testing.assert_array_equal(found["costs"], np.arange(50))
        lines = [str(warning.message) for warning in caught]
        assert len(lines) == len(made) - before  # some bytes mean nothing
        assert all("is broken and was computed again" in line for line in lines)
        assert not any("\n" in line for line in lines)
    assert len(made) > flips / 2


def test_a_broken_model_of_a_run_is_made_again(tmp_path: Path) -> None:
    def make(path: Path) -> None:
        written(path, lambda archive: archive.writestr("config.json", "{}"))

    stages = Stages(tmp_path)
    path = stages.file("model", {}, ".keras", make)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    with pytest.warns(UserWarning, match="model-.*keras is broken and was computed again"):
        assert stages.file("model", {}, ".keras", make) == path
    assert path.read_bytes() == content
