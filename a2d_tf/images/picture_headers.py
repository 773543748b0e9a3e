"""What the header of a picture says of its kind and size, read before it is decoded."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

PNG, JPEG, GIF, BMP = "PNG", "JPEG", "GIF", "BMP"
STARTS = {b"\x89PNG\r\n\x1a\n": PNG, b"\xff\xd8\xff": JPEG, b"GIF8": GIF, b"BM": BMP}
# Markers of a JPEG: those that start a frame, and those that no length follows.
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
BARE = {0x01, *range(0xD0, 0xD9)}
FILL = 0xFF


class PictureHeader(NamedTuple):
    """A picture's kind, its size in pixels, and its channels; 0 where that is not looked for."""

    kind: str
    height: int
    width: int
    channels: int


def read_header(content: bytes) -> PictureHeader:
    """The header of a PNG, JPEG, GIF or BMP file.

    Raises:
      ValueError: it is none of these, or its header is damaged.
    """
    kind = next((kind for start, kind in STARTS.items() if content.startswith(start)), None)
    try:
        if kind == PNG:
            width, height = struct.unpack_from(">II", content, 16)
            header = PictureHeader(kind, height, width, 0)
        elif kind == GIF:
            header = _gif(content)
        elif kind == BMP:
            header = _bmp(content)
        elif kind == JPEG:
            header = next(_jpeg_frames(content))
        else:
            raise ValueError("none of PNG, JPEG, GIF and BMP")
    except (struct.error, StopIteration, IndexError) as error:
        raise ValueError(f"a {kind} whose header is cut off") from error
    if min(header.height, header.width) < 1:
        raise ValueError(f"a {kind} of {header.height}x{header.width} pixels")
    return header


def _bmp(content: bytes) -> PictureHeader:
    size, width, height, _, bits, compression = struct.unpack_from("<IiiHHI", content, 14)
    if compression or bits not in (8, 24, 32):
        raise ValueError(f"a BMP of {bits} bits and compression {compression}; convert it to PNG")
    if bits == 8:
        start, pixels = 14 + size, struct.unpack_from("<I", content, 10)[0]
        palette = content[start:pixels]
        # TensorFlow takes the numbers of the colours for their brightness.
        if any(palette[4 * grey:4 * grey + 3] != bytes([grey] * 3)
               for grey in range(min(len(palette) // 4, 256))):
            raise ValueError("a BMP of a palette; convert it to PNG")
    return PictureHeader(BMP, abs(height), width, bits // 8)  # upside down if < 0


def _gif(content: bytes) -> PictureHeader:
    """The larger of the canvas and of the first frame, whatever follows."""
    width, height, packed = struct.unpack_from("<HHB", content, 6)
    place = 13 + (3 * 2 ** ((packed & 7) + 1) if packed & 0x80 else 0)
    while content[place] == 0x21:  # extensions: a label, and blocks until an empty one
        place += 2
        while content[place]:
            place += content[place] + 1
        place += 1
    _, _, frame_width, frame_height = struct.unpack_from("<HHHH", content, place + 1)
    return PictureHeader(GIF, max(height, frame_height), max(width, frame_width), 3)


def _jpeg_frames(content: bytes) -> Iterator[PictureHeader]:
    place = 2
    while place < len(content):
        if content[place] != FILL:
            raise ValueError("a JPEG whose header is damaged")
        marker = content[place + 1]
        if marker == FILL:
            place += 1
        elif marker in BARE:
            place += 2
        elif marker in FRAMES:
            height, width, channels = struct.unpack_from(">HHB", content, place + 5)
            yield PictureHeader(JPEG, height, width, channels)
            return
        else:
            place += 2 + struct.unpack_from(">H", content, place + 2)[0]
