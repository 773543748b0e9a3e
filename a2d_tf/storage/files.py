"""Files that are written whole or not at all, and that are read with one-line errors."""

import csv
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from a2d_tf.storage.archives import (
    check_archive,
    load_npz,
    make_reproducible,
    npz_header,
    npz_rows,
)
from a2d_tf.storage.replacing import replacing

__all__ = [
    "check_archive", "load_npz", "make_reproducible", "npz_header", "npz_rows", "replacing",
    "save_csv", "save_json", "save_npz", "save_text", "sha256",
]

CHUNK = 2**20
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def save_npz(path: str | Path, **arrays: Any) -> None:
    """Writes named arrays to a compressed .npz file; equal arrays give equal bytes."""
    with replacing(path) as scratch, open(scratch, "wb") as file:
        np.savez_compressed(file, **arrays)


def save_json(path: str | Path, value: Any) -> None:
    """Writes a value as indented JSON."""
    save_text(path, json.dumps(value, indent=2) + "\n")


def save_text(path: str | Path, text: str) -> None:
    """Writes a text file in UTF-8. Parts of file names that are none are written as `\\udc..`."""
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8", errors="backslashreplace")


def save_csv(path: str | Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Writes a table with a header line, in UTF-8.

    A text that a spreadsheet would run as a formula gets an apostrophe in front of it, which shows
    it as text. Bytes of file names that are no UTF-8 are written as `\\udc..`.
    """
    with replacing(path) as scratch, open(
        scratch, "w", newline="", encoding="utf-8", errors="backslashreplace"
    ) as file:
        writer = csv.writer(file)
        writer.writerow(map(_as_text, header))
        writer.writerows([_as_text(cell) for cell in row] for row in rows)


def sha256(path: str | Path) -> str:
    """The hash of a file, or of all files below a folder with their names."""
    path = Path(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            digest.update(f"{file.relative_to(path)}\0".encode(errors="surrogateescape"))
        with open(file, "rb") as opened:
            while chunk := opened.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _as_text(cell: Any) -> Any:
    """A cell that no spreadsheet runs; numbers stay as they are."""
    if isinstance(cell, str) and cell.startswith(FORMULA_STARTS):
        return f"'{cell}"
    return cell
