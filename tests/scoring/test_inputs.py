"""Inputs of every kind give the rows of `A2D.predict`; a bad row gives its reason, and stops none.
"""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from a2d_tf import InvalidInputError
from a2d_tf.scoring import tfrecords
from a2d_tf.scoring.exported import Judge
from a2d_tf.scoring.inputs import plan
from a2d_tf.scoring.places import place
from a2d_tf.scoring.rows import RowReader
from a2d_tf.scoring.worker import write_part

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed (the extra `ray`)")
parquet = pytest.importorskip("pyarrow.parquet")
Rows = dict[str, list[Any]]


@pytest.fixture(scope="module")
def judge(saved: Any) -> Judge:
    return Judge(saved.served)


@pytest.fixture
def score(judge: Judge, tmp_path: Path) -> Callable[..., Rows]:
    """Scores an input part by part, and gives the columns of all rows."""
    def run(source: Path, rows: int = 7, column: str = "image", at_once: int = 3) -> Rows:
        parts = plan(place(str(source)), column, rows).parts
        reader, tables = RowReader(column, at_once), []
        for index, part in enumerate(parts):
            target = place(str(tmp_path / "out" / f"{index}.parquet"))
            write_part(target, part, reader, judge)
            tables.append(parquet.read_table(target.path))
        columns: Rows = pa.concat_tables(tables).to_pydict()
        return columns

    return run


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.round(255 * image[..., 0]).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def example(**features: Any) -> bytes:
    made = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        if isinstance(value, bytes)
        else tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(value)))
        for name, value in features.items()
    }
    content: bytes = tf.train.Example(
        features=tf.train.Features(feature=made)
    ).SerializeToString()
    return content


def write_records(path: Path, records: list[bytes]) -> list[int]:
    """Writes a TFRecord file; gives the place of each record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return [0, *np.cumsum([len(record) + 16 for record in records]).tolist()]


def as_images(folder: Path, images: np.ndarray) -> Path:
    for index, image in enumerate(images):
        place = folder / "photos" / str(index % 2) / f"{index:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(png(image))
    return folder / "photos"


def as_parquet(make: Callable[[np.ndarray], Any], **settings: Any) -> Callable[..., Path]:
    def write(folder: Path, images: np.ndarray) -> Path:
        (folder / "rows").mkdir()
        for index, some in enumerate((images[:11], images[11:])):
            table = pa.table({"image": make(some), "other": pa.array(range(len(some)))})
            parquet.write_table(table, folder / "rows" / f"{index}.parquet", **settings)
        (folder / "rows" / "_SUCCESS").touch()
        return folder / "rows"

    return write


def as_npz(folder: Path, images: np.ndarray) -> Path:
    np.savez_compressed(folder / "images.npz", images=images)
    return folder / "images.npz"


def as_records(make: Callable[[np.ndarray], Any]) -> Callable[..., Path]:
    def write(folder: Path, images: np.ndarray) -> Path:
        records = [example(image=make(image)) for image in images]
        write_records(folder / "rows" / "a.tfrecord-00000-of-00002", records[:11])
        write_records(folder / "rows" / "a.tfrecord-00001-of-00002", records[11:])
        return folder / "rows"

    return write


BINARY = as_parquet(lambda images: pa.array([png(one) for one in images]))
KINDS = {
    "pictures": (as_images, True),
    "bytes in Parquet": (BINARY, True),
    "bytes and path in Parquet": (
        as_parquet(lambda images: pa.array([{"bytes": png(i), "path": None} for i in images])), True
    ),
    "flat floats in Parquet": (
        as_parquet(lambda images: pa.array([one.ravel().tolist() for one in images], pa.list_(
            pa.float32()))), False
    ),
    "nested floats in small groups": (
        as_parquet(lambda images: pa.array(images.tolist()), row_group_size=4), False
    ),
    "bytes as numbers in Parquet": (
        as_parquet(lambda images: pa.array(
            [np.round(255 * one).astype(np.uint8).ravel() for one in images]
        )), True
    ),
    "npz": (as_npz, False),
    "npz of bytes": (
        lambda folder, images: as_npz(folder, np.round(255 * images).astype(np.uint8)), True
    ),
    "pictures in TFRecord": (as_records(png), True),
    "floats in TFRecord": (as_records(lambda image: image), False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_scored_as_predict_does(
    kind: str, saved: Any, benign: np.ndarray, score: Callable[..., Rows], tmp_path: Path
) -> None:
    write, is_rounded = KINDS[kind]
    images = benign[100:120]
    found = score(write(tmp_path, images))
    order = range(len(images))
    if kind == "pictures":  # by folder and name
        order = sorted(order, key=lambda index: (index % 2, index))
    given = np.round(255 * images).astype(np.uint8) if is_rounded else images
    expected = saved.a2d.predict(given[list(order)])
    assert found["label"] == expected.label.tolist()
    assert found["score"] == expected.score.tolist()
    assert found["is_adversarial"] == expected.is_adversarial.tolist()
    assert found["cost_bim"] == expected.costs[:, 0].tolist()
    assert found["valid"] == [True] * 20 and found["error"] == [None] * 20
    assert len(set(found["id"])) == 20


def test_bad_rows_have_reasons(
    benign: np.ndarray, score: Callable[..., Rows], tmp_path: Path
) -> None:
    good = benign[100].ravel().tolist()
    cells = {
        "good": good, "not a number": [np.nan, *good[1:]], "infinite": [np.inf, *good[1:]],
        "out of bounds": [7.0, *good[1:]], "short": good[:-1], "long": [*good, 0.5], "none": None,
        "no number": [None, *good[1:]], "nothing": [], "good too": good,
    }
    table = pa.table({"image": pa.array(list(cells.values()), pa.list_(pa.float64()))})
    parquet.write_table(table, tmp_path / "cells.parquet")
    found = score(tmp_path / "cells.parquet")
    errors = dict(zip(cells, found["error"]))
    assert [name for name, error in errors.items() if error is None] == ["good", "good too"]
    assert "NaN or infinity" in errors["not a number"] and "NaN" in errors["no number"]
    assert "expected pixels in [0, 1], got [0, 7]" in errors["out of bounds"]
    assert "expected pixels of shape [8, 8, 1], or flat, got [63]" in errors["short"]
    assert "empty cell" in errors["none"]
    assert all("\n" not in error for error in errors.values() if error)
    failed = [error is not None for error in found["error"]]
    assert np.array(found["is_adversarial"])[failed].all()
    assert not np.array(found["valid"])[failed].any()
    assert set(np.array(found["label"])[failed]) == {-1}
    assert found["score"][0] == found["score"][-1]


def test_bad_pictures_have_reasons(
    benign: np.ndarray, score: Callable[..., Rows], tmp_path: Path
) -> None:
    whole = png(benign[100])
    contents = {
        "a.png": whole, "broken.png": whole[:-30], "empty.png": b"", "huge.png": (
            whole[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + whole[24:]
        ), "other.webp": b"RIFF....WEBP", "text.jpg": b"hello", "z.png": whole,
    }
    for name, content in contents.items():
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    found = score(tmp_path / "in")
    assert found["id"] == list(contents)
    errors = dict(zip(found["id"], found["error"]))
    assert [name for name, error in errors.items() if error is None] == ["a.png", "z.png"]
    assert errors["text.jpg"] == (
        "expected an image in this row, got none of PNG, JPEG, GIF and BMP; replace the file or "
        "take it out"
    )
    assert "damaged PNG" in errors["broken.png"] and "GiB" in errors["huge.png"]


def test_damaged_records_lose_no_other(
    benign: np.ndarray, score: Callable[..., Rows], tmp_path: Path
) -> None:
    path = tmp_path / "rows.tfrecord"
    records = [example(image=image) for image in benign[100:110]]
    records[4], records[5] = example(other=b"x"), b"no example"
    places = write_records(path, records)
    content = bytearray(path.read_bytes())
    content[places[1] + 40] ^= 1  # a pixel of the second record
    path.write_bytes(content)
    found = score(path)
    errors = found["error"]
    assert len(errors) == 10
    assert [row for row, error in enumerate(errors) if error] == [1, 4, 5]
    assert "damaged" in errors[1] and "'image', got other" in errors[4]
    content[places[7]] ^= 255  # the length of the eighth
    path.write_bytes(content)
    found = score(path)
    assert found["id"][-1] == "rows.tfrecord#7" and len(found["id"]) == 8
    assert f"damaged or cut off one at {places[7]}" in found["error"][-1]
    path.write_bytes(content[:places[3] - 1])
    assert [bool(error) for error in score(path)["error"]] == [False, True, True]


def test_a_damaged_file_among_others_is_a_failed_row(
    benign: np.ndarray, score: Callable[..., Rows], tmp_path: Path
) -> None:
    folder = BINARY(tmp_path, benign[100:120])
    (folder / "2.parquet").write_bytes(b"PAR1 cut off")
    found = score(folder)
    assert found["id"][-1] == "2.parquet" and len(found["id"]) == 21
    assert found["error"][:20] == [None] * 20 and found["error"][20]
    pages = bytearray((folder / "1.parquet").read_bytes())
    pages[len(pages) // 3:len(pages) // 2] = bytes(len(pages) // 2 - len(pages) // 3)
    (folder / "1.parquet").write_bytes(pages)  # its footer is whole
    found = score(folder)
    assert len(found["id"]) == 21 and found["error"][:11] == [None] * 11


@pytest.mark.parametrize("make, message", [
    (lambda path: None, "expected a file or a folder"),
    (lambda path: path.mkdir(), "got 0 others"),
    (lambda path: (path.mkdir(), (path / "a.txt").touch()), "got 1 others"),
    (lambda path: (path.mkdir(), (path / "a.png").touch(), (path / "a.npz").touch()),
     "all of one kind, got .npz and images"),
    (lambda path: (path.mkdir(), np.savez(path / "a.npz", x=np.zeros(3))), "to hold 'images'"),
    (lambda path: (path.mkdir(), parquet.write_table(pa.table({"x": [1]}), path / "a.parquet")),
     "expected a column 'image' in a.parquet, got x"),
    (lambda path: (path.mkdir(), (path / "a.parquet").write_bytes(b"x")), "expected rows in"),
    (lambda path: (path.mkdir(), (path / "a.tfrecord").write_bytes(b"\x1f\x8b" + bytes(20))),
     "got a compressed one"),
    (lambda path: (path.mkdir(), (path / "a.tfrecord").write_bytes(b"")), "no row in"),
])
def test_unfit_inputs_give_one_line(
    make: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    make(tmp_path / "input")
    with pytest.raises(InvalidInputError, match=message) as raised:
        plan(place(str(tmp_path / "input")), "image", 5)
    assert "\n" not in str(raised.value)


def test_unknown_places_give_one_line() -> None:
    for text in ("nowhere://bucket/x", "s3:///", "gs://"):
        with pytest.raises(InvalidInputError, match="check the address"):
            place(text)


def test_a_plan_is_the_same_until_a_file_changes(benign: np.ndarray, tmp_path: Path) -> None:
    folder = BINARY(tmp_path, benign[100:120])
    first, second = (plan(place(str(folder)), "image", 4) for _ in range(2))
    assert first == second
    assert [len(part) for part in first.parts] == [4, 4, 3, 4, 4, 1]
    (folder / "3.parquet").write_bytes((folder / "1.parquet").read_bytes())
    assert plan(place(str(folder)), "image", 4).digest != first.digest


def test_checksums_are_those_of_tensorflow(tmp_path: Path) -> None:
    for data in (b"", b"a", bytes(range(256)) * 3):
        write_records(tmp_path / "one", [data])
        content = (tmp_path / "one").read_bytes()
        assert struct.unpack("<I", content[-4:])[0] == tfrecords.masked_crc(data)
