"""Files that are written whole or not at all, and that are read with one-line errors."""

import csv
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from a2d_tf.errors import InvalidInputError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block succeeds.

    It serves for a file and for a folder; it keeps the suffix, which some writers look at.

    Raises:
      InvalidInputError: a file was to take the place of a folder.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=path.parent))
    try:
        yield scratch / path.name
        if path.is_dir():
            if not (scratch / path.name).is_dir():
                raise InvalidInputError(f"expected a file name to write to, got the folder {path}")
            os.rename(path, scratch / f"old-{path.name}")
        os.replace(scratch / path.name, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def save_npz(path: str | Path, **arrays: Any) -> None:
    """Writes named arrays to a compressed .npz file."""
    with replacing(path) as scratch, open(scratch, "wb") as file:
        np.savez_compressed(file, **arrays)


def save_json(path: str | Path, value: Any) -> None:
    """Writes a value as indented JSON."""
    save_text(path, json.dumps(value, indent=2) + "\n")


def save_text(path: str | Path, text: str) -> None:
    """Writes a text file."""
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def save_csv(path: str | Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Writes a table with a header line."""
    with replacing(path) as scratch, open(scratch, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def load_npz(path: str | Path, *required: str) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file.

    Raises:
      InvalidInputError: no such file, no .npz file, or a required key is missing.
    """
    path = Path(path)
    with _reading_npz(path), np.load(path, allow_pickle=False) as data:
        arrays = dict(data)
    _require(path, arrays, required)
    return arrays


def npz_header(path: str | Path, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and the type of one array of an .npz file, without reading its values.

    Raises:
      InvalidInputError: no such file, no .npz file, or the key is missing.
    """
    path = Path(path)
    with _reading_npz(path), zipfile.ZipFile(path) as archive, _member(archive, path, key) as file:
        shape, _, dtype = _read_header(file)
        return shape, dtype


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
      InvalidInputError: no such file, no .npz file, or the key is missing.
    """
    path = Path(path)
    with _reading_npz(path), zipfile.ZipFile(path) as archive, _member(archive, path, key) as file:
        shape, by_columns, dtype = _read_header(file)
        rows = shape[0] if limit is None else min(limit, shape[0])
        size = dtype.itemsize * int(np.prod(shape[1:]))
        whole = load_npz(path)[key] if by_columns or dtype.hasobject else None
        for start in range(0, rows, count):
            wanted = min(count, rows - start)
            if whole is None:
                read = np.frombuffer(file.read(wanted * size), dtype)
                yield read.reshape(wanted, *shape[1:])
            else:
                yield whole[start:start + wanted]


def _member(archive: zipfile.ZipFile, path: Path, key: str) -> IO[bytes]:
    """An array's file within an .npz file."""
    _require(path, [name.removesuffix(".npy") for name in archive.namelist()], [key])
    return archive.open(f"{key}.npy")


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape, whether columns come first, and the type of the array that follows."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = read(file)
    return header


@contextmanager
def _reading_npz(path: Path) -> Iterator[None]:
    if not path.is_file():
        raise InvalidInputError(f"expected a file at {path}, got none; check the path")
    try:
        yield
    except InvalidInputError:
        raise
    except (OSError, ValueError, TypeError, AttributeError, EOFError, KeyError,
            zipfile.BadZipFile) as error:
        raise InvalidInputError(
            f"expected an .npz file of plain arrays, got {path} which does not load; "
            "write it with numpy.savez"
        ) from error


def _require(path: Path, keys: Iterable[str], required: Iterable[str]) -> None:
    missing = [key for key in required if key not in keys]
    if missing:
        raise InvalidInputError(
            f"expected {path} to hold {' and '.join(repr(key) for key in missing)}, "
            f"got keys {sorted(keys)}; name the arrays so"
        )


def sha256(path: str | Path) -> str:
    """The hash of a file, or of all files below a folder with their names."""
    path = Path(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            digest.update(f"{file.relative_to(path)}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
