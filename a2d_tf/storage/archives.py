"""Zip archives, .npz and .keras files among them: checked before they are decoded."""

import json
import math
import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError
from a2d_tf.storage.limits import check_decoded

ENCRYPTED = 1  # the flag of a member
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
CHUNK = 2**20
METADATA = "metadata.json"  # of a .keras file
SUFFIX = ".npy"


class ArrayHeader(NamedTuple):
    """What stands before an array's values: shape, whether columns come first, and type."""

    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """The bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def load_npz(path: str | Path, *required: str) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file.

    The sizes of all arrays are checked before one is read, and every byte against the checksums.

    Raises:
      InvalidInputError: no such file, no .npz file of plain arrays, a damaged one, one whose arrays
        take too much memory (`limits.set_max_decoded_gib`), or a required key is missing.
    """
    path = Path(os.path.expanduser(path))
    with _reading(path), zipfile.ZipFile(path) as archive:
        keys = _keys(archive)
        _require(path, keys, required)
        size = sum(_header(archive, key).size for key in keys)
        check_decoded(size, path.stat().st_size, f"the arrays of {path}")
        return {key: _values(archive, key) for key in keys}


def npz_header(path: str | Path, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and the type of one array of an .npz file, without reading its values.

    Raises:
      InvalidInputError: as `load_npz`.
    """
    path = Path(os.path.expanduser(path))
    with _reading(path), zipfile.ZipFile(path) as archive:
        _require(path, _keys(archive), [key])
        header = _header(archive, key)
        return header.shape, header.dtype


def npz_rows(
    path: str | Path, key: str, count: int, limit: int | None = None
) -> Iterator[NDArray[Any]]:
    """The rows of one array of an .npz file, `count` at a time, without holding them all.

    Args:
      path: the file.
      key: the name of the array, which has at least one axis.
      count: rows at a time; the last time there may be fewer.
      limit: the number of rows to read, from the first; None reads all.

    Raises:
      InvalidInputError: as `load_npz`, of so many rows.
    """
    path = Path(os.path.expanduser(path))
    with _reading(path), zipfile.ZipFile(path) as archive:
        _require(path, _keys(archive), [key])
        header, stored = _header(archive, key), path.stat().st_size
        rows = header.shape[0] if limit is None else min(limit, header.shape[0])
        row = header._replace(shape=header.shape[1:])
        if header.by_columns:
            check_decoded(header.size, stored, f"{key!r} of {path}")
            whole = _values(archive, key)
            for start in range(0, rows, count):
                yield whole[start:min(start + count, rows)]
            return
        check_decoded(min(count, rows) * row.size, stored, f"rows of {key!r} of {path}")
        with archive.open(key + SUFFIX) as file:
            _read_header(file)
            for start in range(0, rows, count):
                wanted = min(count, rows - start)
                read = np.frombuffer(file.read(wanted * row.size), header.dtype)
                last = start + wanted == header.shape[0]
                if last and file.read(1):  # reading on compares the checksum
                    raise ValueError("more values than the header says")
                yield read.reshape(wanted, *row.shape)


def check_archive(path: str | Path) -> None:
    """Reads a zip archive, such as a .keras file, once through, and compares its checksums.

    Raises:
      InvalidInputError: it is damaged, encrypted, or takes too much memory when it is decoded.
    """
    path = Path(os.path.expanduser(path))
    with _reading(path, "a whole archive", "copy or write it again"):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                _check_member(member)
            size = sum(member.file_size for member in archive.infolist())
            check_decoded(size, path.stat().st_size, str(path))
            for member in archive.infolist():
                with archive.open(member) as file:
                    while file.read(CHUNK):
                        pass


def make_reproducible(path: str | Path) -> None:
    """Writes a .keras file again without times, so that equal models give equal bytes."""
    path = Path(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in sorted(archive.namelist())}
    if METADATA in members:
        metadata = json.loads(members[METADATA])
        metadata.pop("date_saved", None)
        members[METADATA] = json.dumps(metadata).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # of 1980, as in an .npz file


def _keys(archive: zipfile.ZipFile) -> list[str]:
    return [
        name.removesuffix(SUFFIX) for name in archive.namelist() if name.endswith(SUFFIX)
    ]


def _header(archive: zipfile.ZipFile, key: str) -> ArrayHeader:
    member = archive.getinfo(key + SUFFIX)
    _check_member(member)
    with archive.open(member) as file:
        header = _read_header(file)
        if file.tell() + header.size != member.file_size:
            raise ValueError("another size than the header says")
    return header


def _read_header(file: IO[bytes]) -> ArrayHeader:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    header = ArrayHeader(*read(file))
    if header.dtype.hasobject or min(header.shape, default=0) < 0:
        raise ValueError("no plain array")
    return header


def _values(archive: zipfile.ZipFile, key: str) -> NDArray[Any]:
    with archive.open(key + SUFFIX) as file:
        header = _read_header(file)
        values = bytearray(header.size)
        for start in range(0, header.size, CHUNK):
            part = file.read(min(CHUNK, header.size - start))
            values[start:start + CHUNK] = part
        if len(values) != header.size or file.read(1):  # reading on compares the checksum
            raise ValueError("another size than the header says")
    order = header.shape[::-1] if header.by_columns else header.shape
    array = np.frombuffer(values, header.dtype).reshape(order)
    return array.T if header.by_columns else array


def _check_member(member: zipfile.ZipInfo) -> None:
    if member.flag_bits & ENCRYPTED:
        raise ValueError("it is encrypted")
    if member.compress_type not in COMPRESSIONS:
        raise ValueError("its compression is unknown")


@contextmanager
def _reading(
    path: Path,
    what: str = "an .npz file of plain arrays",
    remedy: str = "write it with numpy.savez",
) -> Iterator[None]:
    if not path.is_file():
        raise InvalidInputError(f"expected a file at {path}, got none; check the path")
    try:
        yield
    except InvalidInputError:
        raise
    except Exception as error:  # what a damaged archive raises is of many types
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InvalidInputError(
            f"expected {what}, got {path} which does not load ({reason}); {remedy}"
        ) from error


def _require(path: Path, keys: Iterable[str], required: Iterable[str]) -> None:
    missing = [key for key in required if key not in keys]
    if missing:
        raise InvalidInputError(
            f"expected {path} to hold {' and '.join(repr(key) for key in missing)}, "
            f"got keys {sorted(keys)}; name the arrays so"
        )
