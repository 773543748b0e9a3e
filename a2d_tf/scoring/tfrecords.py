"""TFRecord files: where their records are, and which of them are damaged.

A record is the length of its data (8 bytes), a checksum of the length (4), the data, and a checksum
of the data (4). TensorFlow's reader ends at the first damaged record. These functions go on behind
it as long as its length is right.
"""

import struct
import tempfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import tensorflow as tf

HEADER, FOOTER = 12, 4
POLYNOMIAL = 0x82F63B78  # of CRC-32C
MASK_DELTA = 0xA282EAD8
GZIP = b"\x1f\x8b"


class Slice(NamedTuple):
    """Records that follow each other: their number, and the bytes that they fill."""

    records: int
    start: int
    stop: int


def slices(file: IO[bytes], size: int, records: int) -> Iterator[Slice | str]:
    """A TFRecord file in slices of so many records; a text says why its rest cannot be read.

    Args:
      file: opened at its start.
      size: its bytes.
      records: of a slice; the last one may have fewer.
    """
    start = place = count = 0
    while place < size:
        header = file.read(HEADER)
        if place == 0 and header.startswith(GZIP):
            yield "expected a plain TFRecord file, got a compressed one"
            return
        length, checksum = struct.unpack("<QI", header) if len(header) == HEADER else (0, 0)
        end = place + HEADER + length + FOOTER
        is_whole = len(header) == HEADER and masked_crc(header[:8]) == checksum and end <= size
        if count and (count == records or not is_whole):
            yield Slice(count, start, place)
            start, count = place, 0
        if not is_whole:
            yield f"expected records up to byte {size}, got a damaged or cut off one at {place}"
            return
        _skip(file, length + FOOTER)
        place, count = end, count + 1
    if count:
        yield Slice(count, start, place)


def read(content: bytes) -> list[bytes | None]:
    """The data of the records of a slice; None for a record whose checksum is wrong."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            return list(tf.data.TFRecordDataset(file.name).as_numpy_iterator())
        except tf.errors.DataLossError:
            return list(_one_by_one(content))


def masked_crc(data: bytes) -> int:
    """The checksum of a TFRecord file: CRC-32C, rotated and moved."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF


def _one_by_one(content: bytes) -> Iterator[bytes | None]:
    place = 0
    while place < len(content):
        length = struct.unpack_from("<Q", content, place)[0]
        data = content[place + HEADER:place + HEADER + length]
        checksum = struct.unpack_from("<I", content, place + HEADER + length)[0]
        yield data if masked_crc(data) == checksum else None
        place += HEADER + length + FOOTER


def _skip(file: Any, count: int) -> None:
    if file.seekable():
        file.seek(count, 1)
    else:
        file.read(count)


def _table() -> list[int]:
    values = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        values.append(value)
    return values


_TABLE = _table()
