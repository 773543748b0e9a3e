"""The rows of a part, read in order: pictures as bytes, or pixels as arrays."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError
from a2d_tf.scoring import tfrecords
from a2d_tf.scoring.inputs import IMAGES, NPZ, NPZ_ARRAY, PARQUET, Part
from a2d_tf.scoring.places import Place
from a2d_tf.scoring.ray_session import import_ray
from a2d_tf.storage import files


class Unreadable(NamedTuple):
    """A row that cannot be read, and why."""

    reason: str


Row = bytes | NDArray[Any] | Unreadable


class RowReader:
    """Reads parts. A file stays open, since the next part is often the next one in it.

    Args:
      column: the column of Parquet files, or the feature of TFRecords.
      count: rows that are held at once.
    """

    def __init__(self, column: str, count: int):
        self._column = column
        self._count = count
        self._open: _Forward | None = None

    def read(self, part: Part) -> Iterator[list[Row]]:
        """The rows of a part, `count` at a time at most.

        A file that is damaged gives rows that say so; no row is missing.

        Raises:
          OSError: a bucket or a disk does not answer.
        """
        left = len(part)
        try:
            for rows in self._read(part):
                rows = rows[:left]
                left -= len(rows)
                yield rows
            reason = f"expected {len(part)} rows, got {len(part) - left}"
        except (InvalidInputError, ValueError, zlib.error) as error:
            reason = " ".join(str(error).split())
            self._open = None
        except OSError as error:
            self._open = None
            if error.errno is not None or not part.place.is_local:
                raise
            reason = " ".join(str(error).split())  # pyarrow says so of damaged data
        for start in range(0, left, self._count):
            yield [Unreadable(reason)] * min(self._count, left - start)

    def _read(self, part: Part) -> Iterator[list[Row]]:
        if part.problem:
            yield [Unreadable(part.problem)]
        elif part.kind == IMAGES:
            for start in range(0, len(part), self._count):
                yield [_file(part.place / name) for name in part.ids[start:start + self._count]]
        elif part.slice:
            yield from self._records(part)
        else:
            opened = self._open
            if opened is None or opened.place != part.place or opened.row > part.start:
                opened = self._open = _Forward(part.place, self._rows(part))
            yield from opened.take(part.start, len(part), self._count)

    def _rows(self, part: Part) -> Iterator[list[Row]]:
        if part.kind == NPZ:
            return _npz(part.place, self._count)
        assert part.kind == PARQUET
        return _parquet(part.place, self._column, self._count)

    def _records(self, part: Part) -> Iterator[list[Row]]:
        assert part.slice
        with part.place.system.open_input_file(part.place.path) as file:
            file.seek(part.slice.start)
            content = file.read(part.slice.stop - part.slice.start)
        records = tfrecords.read(content)
        for start in range(0, len(records), self._count):
            yield [_example(one, self._column) for one in records[start:start + self._count]]


class _Forward:
    """A file that is read from its first row on; rows between two parts are passed over."""

    def __init__(self, place: Place, rows: Iterator[list[Row]]):
        self.place = place
        self.row = 0
        self._rows = rows
        self._held: list[Row] = []

    def take(self, start: int, count: int, at_once: int) -> Iterator[list[Row]]:
        while self.row < start and self._fill():
            self._drop(start - self.row)
        while count and self._fill():
            found = self._held[:min(count, at_once)]
            self._drop(len(found))
            count -= len(found)
            yield found

    def _fill(self) -> bool:
        while not self._held:
            more = next(self._rows, None)
            if more is None:
                return False
            self._held = more
        return True

    def _drop(self, count: int) -> None:
        count = min(count, len(self._held))
        self._held = self._held[count:]
        self.row += count


def _file(place: Place) -> Row:
    try:
        return place.read()
    except FileNotFoundError:
        return Unreadable("expected an image file, got none; it was removed")
    except PermissionError:
        return Unreadable("expected an image file, got one that may not be read")


def _npz(place: Place, count: int) -> Iterator[list[Row]]:
    with place.local_copy() as path:
        yield from _npz_rows(path, count)


def _npz_rows(path: Path, count: int) -> Iterator[list[Row]]:
    for rows in files.npz_rows(path, NPZ_ARRAY, count):
        yield list(rows)


def _parquet(place: Place, column: str, count: int) -> Iterator[list[Row]]:
    parquet = import_ray("pyarrow.parquet")
    with place.system.open_input_file(place.path) as file:
        opened = parquet.ParquetFile(file)
        for batch in opened.iter_batches(batch_size=count, columns=[column]):
            yield [_cell(value) for value in batch.column(0)]


def _cell(value: Any) -> Row:
    """A cell of a column of images: bytes, {bytes: ...}, or a list of numbers, nested or not."""
    pyarrow = import_ray("pyarrow")
    if not value.is_valid:
        return Unreadable("expected an image, got an empty cell")
    types = pyarrow.types
    if types.is_struct(value.type) and "bytes" in (one.name for one in value.type):
        return _cell(value["bytes"])
    if types.is_binary(value.type) or types.is_large_binary(value.type):
        content: bytes = value.as_py()
        return content
    is_list = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    if not any(is_one(value.type) for is_one in is_list):
        return Unreadable(f"expected bytes or a list of numbers, got {value.type}")
    values, shape = value.values, [len(value.values)]
    while any(is_one(values.type) for is_one in is_list):
        lengths = set(pyarrow.compute.list_value_length(values).to_pylist())
        if len(lengths) != 1 or None in lengths:
            return Unreadable("expected rows of one length in an image, got several")
        shape.append(lengths.pop())
        values = values.flatten()
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(shape)


def _example(record: bytes | None, column: str) -> Row:
    """The image of a tf.train.Example."""
    if record is None:
        return Unreadable("expected a whole record, got a damaged one")
    try:
        features = tf.train.Example.FromString(record).features.feature
    except Exception:  # protobuf's error is no public name
        return Unreadable("expected a tf.train.Example, got another record")
    if column not in features:
        known = ", ".join(sorted(features)[:8]) or "none"
        return Unreadable(f"expected a feature {column!r}, got {known}; name it with --column")
    kind = features[column].WhichOneof("kind")
    values = getattr(features[column], kind).value if kind else []
    if kind == "bytes_list":
        if len(values) == 1:
            content: bytes = values[0]
            return content
        return Unreadable(f"expected the bytes of one image, got {len(values)}")
    dtype = np.float32 if kind == "float_list" else np.int64
    return np.asarray(values, dtype)
