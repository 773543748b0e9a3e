"""Files on a disk or in a bucket (s3://, gs://, hdfs://), by one name: pyarrow's file systems."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from a2d_tf.errors import InvalidInputError
from a2d_tf.scoring.ray_session import import_ray
from a2d_tf.storage import files
from a2d_tf.storage.places import check_folder_place


class Place(NamedTuple):
    """A folder or a file: where it is, and how it is read there.

    Attributes:
      system: the `pyarrow.fs.FileSystem`.
      path: within it.
      is_local: whether it is on a disk of this machine, or mounted there.
    """

    system: Any
    path: str
    is_local: bool

    def __truediv__(self, name: str) -> "Place":
        return self._replace(path=f"{self.path.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rstrip("/").rpartition("/")[2]

    def exists(self) -> bool:
        """Whether a file is here."""
        return bool(self.system.get_file_info(self.path).is_file)

    def is_folder(self) -> bool:
        """Whether a folder is here."""
        return bool(self.system.get_file_info(self.path).type.name == "Directory")

    def files(self) -> list[tuple[str, int, str]]:
        """All files below this folder: their names in it, sizes in bytes, and times of change."""
        fs = import_ray("pyarrow.fs")
        selector = fs.FileSelector(self.path, recursive=True, allow_not_found=True)
        prefix = self.path.rstrip("/") + "/"
        return sorted(
            (info.path.removeprefix(prefix), info.size, str(info.mtime_ns))
            for info in self.system.get_file_info(selector) if info.is_file
        )

    def read(self) -> bytes:
        """The content of this file."""
        with self.system.open_input_stream(self.path) as file:
            content: bytes = file.read()
        return content

    def write(self, content: bytes) -> None:
        """Writes this file, whole or not at all."""
        if self.is_local:
            with files.replacing(self.path) as scratch:
                scratch.write_bytes(content)
        else:  # a bucket shows an object when it is complete
            with self.system.open_output_stream(self.path) as file:
                file.write(content)

    @contextmanager
    def local_copy(self) -> Iterator[Path]:
        """This file on a disk of this machine; a copy of it if it is in a bucket."""
        if self.is_local:
            yield Path(self.path)
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / self.name
            with self.system.open_input_stream(self.path) as source, open(copy, "wb") as target:
                while part := source.read(2**22):
                    target.write(part)
            yield copy


def place(text: str) -> Place:
    """The place that a path or a URI names; `~` is the home folder.

    Raises:
      InvalidInputError: no such kind of place is known, or its settings are wrong.
    """
    fs = import_ray("pyarrow.fs")
    if "://" not in text:
        return Place(fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(text)), True)
    try:
        system, path = fs.FileSystem.from_uri(text)
        if not path.strip("/"):
            raise ValueError("no bucket")
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"expected a folder, a file, or a bucket as s3://BUCKET/FOLDER or gs://BUCKET/FOLDER, "
            f"got {text!r} ({' '.join(str(error).split())}); check the address"
        ) from error
    return Place(system, path, isinstance(system, fs.LocalFileSystem))


def output_folder(text: str) -> Place:
    """The place of a folder that is to be written into.

    Raises:
      InvalidInputError: as `place`, or nothing can be written there.
    """
    target = place(text)
    if target.is_local:
        check_folder_place(target.path)
    return target
