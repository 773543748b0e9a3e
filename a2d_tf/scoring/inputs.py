"""What is scored: a folder or bucket of images, Parquet, .npz or TFRecord, planned in fixed parts.

A part is a few rows that follow each other in one file, or a few image files. The same input gives
the same parts and the same row ids, so that a run that was killed goes on where it stopped.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from a2d_tf.errors import InvalidInputError
from a2d_tf.images.image_files import IMAGE_SUFFIXES, OTHER_SUFFIXES
from a2d_tf.scoring import tfrecords
from a2d_tf.scoring.places import Place
from a2d_tf.scoring.ray_session import import_ray
from a2d_tf.storage import files

IMAGES, PARQUET, NPZ, TFRECORD = "images", "Parquet", ".npz", "TFRecord"
HIDDEN = ("_", ".")  # names that other tools write beside the data start so
KINDS = {
    IMAGES: (*IMAGE_SUFFIXES, *OTHER_SUFFIXES), PARQUET: (".parquet", ".pq"), NPZ: (".npz",),
    TFRECORD: (".tfrecord", ".tfrecords", ".tfrec"),
}
NPZ_ARRAY = "images"


@dataclass(frozen=True)
class Part:
    """Rows that are read, scored and written together.

    Attributes:
      kind: one of `KINDS`.
      place: the file that they are in; for images, the folder.
      ids: the names of the rows.
      start: the number of the first row in its file.
      slice: the bytes of a TFRecord file.
      problem: why there is nothing to read: the part then is one row with this reason.
    """

    kind: str
    place: Place
    ids: Sequence[str]
    start: int = 0
    slice: tfrecords.Slice | None = None
    problem: str = ""

    def __len__(self) -> int:
        return len(self.ids)


class Plan(NamedTuple):
    """What is to be scored, in parts, and a digest of the names, sizes and times of its files."""

    parts: list[Part]
    digest: str


@dataclass(frozen=True)
class _Input:
    """Files of one kind below a folder, and how many rows a part has."""

    kind: str
    root: Place
    names: Sequence[str]
    column: str
    rows: int
    problems: list[str] = field(default_factory=list)

    def parts(self) -> Iterator[Part]:
        if self.kind == IMAGES:
            for start in range(0, len(self.names), self.rows):
                yield Part(IMAGES, self.root, self.names[start:start + self.rows], start)
            return
        planned: dict[str, Callable[[str, Place], Iterator[Part]]] = {
            PARQUET: self._parquet, NPZ: self._npz, TFRECORD: self._tfrecord,
        }
        for name in self.names:
            place = self.root / name
            try:
                yield from planned[self.kind](name, place)
            except (InvalidInputError, ValueError) as error:  # among them pyarrow's
                yield self._failed(name, place, " ".join(str(error).split()))
        if len(self.problems) == len(self.names):
            raise InvalidInputError(
                f"expected rows in {self.root.path}, got none, since {self.problems[0]}"
            )

    def _failed(self, name: str, place: Place, problem: str) -> Part:
        self.problems.append(problem)
        return Part(self.kind, place, [name], problem=problem)

    def _parquet(self, name: str, place: Place) -> Iterator[Part]:
        parquet = import_ray("pyarrow.parquet")
        with place.system.open_input_file(place.path) as file:
            opened = parquet.ParquetFile(file)
            count, columns = opened.metadata.num_rows, opened.schema_arrow.names
        if self.column not in columns:
            raise InvalidInputError(
                f"expected a column {self.column!r} in {name}, got {', '.join(columns)}; name it "
                "with --column"
            )
        yield from self._counted(name, place, count)

    def _npz(self, name: str, place: Place) -> Iterator[Part]:
        with place.local_copy() as path:
            shape, _ = files.npz_header(path, NPZ_ARRAY)
        yield from self._counted(name, place, shape[0] if shape else 0)

    def _counted(self, name: str, place: Place, count: int) -> Iterator[Part]:
        if not count:
            self.problems.append(f"no row in {name}")
        for start in range(0, count, self.rows):
            rows = range(start, min(start + self.rows, count))
            yield Part(self.kind, place, [f"{name}#{row}" for row in rows], start)

    def _tfrecord(self, name: str, place: Place) -> Iterator[Part]:
        size = place.system.get_file_info(place.path).size
        opened = open(place.path, "rb") if place.is_local else place.system.open_input_stream(
            place.path, buffer_size=2**20
        )
        first = 0
        with opened as file:
            for found in tfrecords.slices(file, size, self.rows):
                if isinstance(found, str):
                    if not first:
                        self.problems.append(found)
                    yield Part(self.kind, place, [f"{name}#{first}"], first, problem=found)
                    continue
                ids = [f"{name}#{row}" for row in range(first, first + found.records)]
                yield Part(self.kind, place, ids, first, found)
                first += found.records
        if not size:
            self.problems.append(f"no row in {name}")


def plan(source: Place, column: str, rows: int) -> Plan:
    """The parts of an input.

    Args:
      source: a file, or a folder of files of one kind, its subfolders among them.
      column: the column of a Parquet file, or the feature of a TFRecord, that holds the images.
      rows: of a part.

    Raises:
      InvalidInputError: there is nothing of these kinds, several kinds, or not one row.
    """
    if source.is_folder():
        listed, root = source.files(), source
    elif source.exists():
        info = source.system.get_file_info(source.path)
        listed = [(source.name, info.size, str(info.mtime_ns))]
        root = source._replace(path=source.path.rstrip("/").rpartition("/")[0] or "/")
    else:
        raise InvalidInputError(
            f"expected a file or a folder at {source.path}, got none; check the path"
        )
    found = [
        (kind, one) for one in listed
        if not any(part.startswith(HIDDEN) for part in one[0].split("/"))
        for kind in KINDS if _is_of(kind, one[0])
    ]
    kinds = sorted({kind for kind, _ in found})
    wanted = f"expected images, Parquet, .npz or TFRecord files at {source.path}"
    if not kinds:
        raise InvalidInputError(f"{wanted}, got {len(listed)} others; convert them to one of these")
    if len(kinds) > 1:
        raise InvalidInputError(
            f"{wanted}, all of one kind, got {' and '.join(kinds)}; give each kind by itself"
        )
    names = [name for _, (name, _, _) in found]
    parts = list(_Input(kinds[0], root, names, column, rows).parts())
    listing = json.dumps([kinds[0], [one for _, one in found]])
    return Plan(parts, hashlib.sha256(listing.encode(errors="surrogateescape")).hexdigest())


def _is_of(kind: str, name: str) -> bool:
    last = name.rpartition("/")[2].lower()
    return last.endswith(KINDS[kind]) or kind == TFRECORD and ".tfrecord-" in last
