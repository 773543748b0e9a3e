"""The actor that scores parts: it loads the SavedModel once, and writes a file for each part."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2d_tf.scoring.decoding import decode
from a2d_tf.scoring.exported import Judge, unpack
from a2d_tf.scoring.inputs import Part
from a2d_tf.scoring.places import Place
from a2d_tf.scoring.ray_session import import_ray
from a2d_tf.scoring.rows import RowReader
from a2d_tf.storage.limits import set_max_decoded_gib

# What is said of a row that cannot be read: as of an image that cannot be judged, it is flagged.
FAILED = {
    "is_adversarial": True, "score": np.finfo(np.float32).max, "label": -1, "valid": False,
}
NOT_JUDGED = "expected finite outputs and gradients of the classifier, got others"
ERROR = "error"
Table = dict[str, list[NDArray[Any]]]


class ScorePart:
    """Scores a part and writes it.

    Args:
      packed: a reference to the SavedModel, as `exported.pack` gives it.
      column: that holds the images.
      batch_size: images at once.
      output: the folder of the parts.
      threads: of the actor; None leaves that to TensorFlow.
      max_decoded_gib: memory that a picture may take.
    """

    def __init__(
        self, packed: Any, column: str, batch_size: int, output: Place, threads: int | None,
        max_decoded_gib: float,
    ):
        set_max_decoded_gib(max_decoded_gib)
        self._folder = unpack(import_ray().get(packed[0]))
        self._judge = Judge(self._folder.name, threads)
        self._reader = RowReader(column, batch_size)
        self._output = output

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Scores the part of a batch of one; gives its number of rows."""
        part: Part = batch["part"][0]
        write_part(self._output / batch["name"][0], part, self._reader, self._judge)
        return {"rows": np.array([len(part)])}


def write_part(target: Place, part: Part, reader: RowReader, judge: Judge) -> None:
    """Scores the rows of a part and writes them as a Parquet file, whole or not at all."""
    exported, table, errors = judge.exported, Table(), list[str | None]()
    for rows in reader.read(part):
        decoded = decode(rows, exported.spec, exported.shape)
        found = exported.table(judge(decoded.images))
        for name, values in found.items():
            failed = np.asarray(FAILED.get(name, 0)).astype(values.dtype)
            every = np.full(len(rows), failed)
            every[decoded.rows] = values
            table.setdefault(name, []).append(every)
        judged = dict(zip(decoded.rows, found["valid"].tolist()))
        errors += [
            decoded.problems.get(place, None if judged.get(place) else NOT_JUDGED)
            for place in range(len(rows))
        ]
    target.write(_parquet(part, table, errors))


def _parquet(part: Part, table: Table, errors: list[str | None]) -> bytes:
    pyarrow, parquet = import_ray("pyarrow"), import_ray("pyarrow.parquet")
    columns = {
        "id": pyarrow.array(list(part.ids), pyarrow.string()),
        **{name: pyarrow.array(np.concatenate(values)) for name, values in table.items()},
        ERROR: pyarrow.array(errors, pyarrow.string()),
    }
    buffer = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), buffer)
    content: bytes = buffer.getvalue().to_pybytes()
    return content
