"""A run over a dataset: planned in parts, scored by actors, resumed after it was killed."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2d_tf import checks
from a2d_tf.errors import InvalidInputError
from a2d_tf.reports import dataset_page
from a2d_tf.reports.page import render
from a2d_tf.scoring.exported import describe, pack
from a2d_tf.scoring.inputs import Part, Plan, plan
from a2d_tf.scoring.places import Place, output_folder, place
from a2d_tf.scoring.ray_session import import_ray, session, share
from a2d_tf.scoring.summary import summarize
from a2d_tf.scoring.worker import ScorePart
from a2d_tf.storage import limits
from a2d_tf.version import __version__

FORMAT = 1
PARTS, RUN_FILE, SUMMARY_FILE, PAGE_FILE = "parts", "run.json", "summary.json", "report.html"
OnPlanned = Callable[[int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True)
class Options:
    """How a dataset is scored.

    Attributes:
      column: the column of Parquet files, or the feature of TFRecords, that holds the images.
      rows_per_part: rows that are written together, and lost together when a run is killed.
      batch_size: images that an actor judges at once; bounds the memory, changes no score.
      actors: the number of processes; None for one on each GPU, or on each core.
      address: of a Ray cluster; None for this machine alone.
      ray: settings of `ray.init`, for one machine.
    """

    column: str = "image"
    rows_per_part: int = 500
    batch_size: int = 128
    actors: int | None = None
    address: str | None = None
    ray: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        checks.integer(self.rows_per_part, "rows of a part")
        checks.integer(self.batch_size, "a batch size")
        if self.actors is not None:
            checks.integer(self.actors, "a number of actors")


@contextmanager
def _unseen(rows: int) -> Iterator[Callable[[int], None]]:
    yield lambda done: None


def score_dataset(
    served: str | Path,
    source: str,
    output: str,
    options: Options = Options(),
    *,
    identity: str | None = None,
    on_planned: OnPlanned = _unseen,
) -> dict[str, Any]:
    """Scores the images of a dataset with an exported detector, by several processes.

    The output folder gets `parts/part-NNNNN.parquet` with the columns id, label, score,
    is_adversarial, valid, cost_ATTACK for each attack, those of other features, and error; and
    `summary.json`, with a page for people, `report.html`. Every row of the input is in exactly one
    part. A row that cannot be read, or that cannot be judged, has its reason in `error`; it is
    flagged, with the label -1 and the largest score.

    Run again with the same arguments after it was killed, it keeps the parts that are whole.

    Args:
      served: the SavedModel that `A2D.export` wrote.
      source: a file, a folder or a bucket of images, Parquet, .npz or TFRecord.
      output: a new folder, or that of an unfinished or finished run over the same input.
      options: see `Options`.
      identity: a digest that tells the detector from others; that of the SavedModel by default.
      on_planned: is given the number of rows that are left, and gives what follows their progress.

    Returns:
      what `summary.json` holds.

    Raises:
      InvalidInputError: Ray is missing, there is no such detector, input or place, or the output
        folder holds another run.
    """
    packed = pack(served)
    exported = describe(served)
    exported.shape  # before anything is planned
    target = output_folder(output)
    planned = plan(place(source), options.column, options.rows_per_part)
    detector = identity or hashlib.sha256(packed).hexdigest()
    _claim(target, planned, detector, source, options)
    done = _finished(target, planned.parts)
    left = [index for index in range(len(planned.parts)) if index not in done]
    rows = sum(len(planned.parts[index]) for index in left)
    if left:
        with on_planned(rows) as advance:
            _score(packed, planned.parts, left, target / PARTS, options, advance)
    summary = {"version": __version__, "input": source} | summarize(
        [target / PARTS / _name(index) for index in range(len(planned.parts))]
    )
    (target / SUMMARY_FILE).write(json.dumps(summary, indent=2).encode() + b"\n")
    settings = {
        "input": source, "detector": str(exported.settings["detector"]), "a2d_tf": __version__,
        "digest of the detector": detector,
    }
    page = dataset_page.page(summary, settings, exported.settings["threshold"])
    (target / PAGE_FILE).write(render(page).encode())
    return summary


def _claim(
    target: Place, planned: Plan, detector: str, source: str, options: Options
) -> None:
    """Writes what the run is made of into its folder, or compares it with what is there."""
    run = {
        "format": FORMAT, "input": source, "input_digest": planned.digest,
        "detector_digest": detector, "column": options.column,
        "rows_per_part": options.rows_per_part, "parts": len(planned.parts),
        "rows": sum(map(len, planned.parts)),
    }
    file = target / RUN_FILE
    if not file.exists():
        if names := [name for name, _, _ in target.files()][:1]:
            raise InvalidInputError(
                f"expected a new folder, or one of an earlier run, at {target.path}, got one with "
                f"{names[0]}; choose another --output"
            )
        file.write(json.dumps(run, indent=2).encode() + b"\n")
        return
    try:
        stored = dict(json.loads(file.read()))
    except (ValueError, TypeError) as error:
        raise InvalidInputError(
            f"expected the settings of a run in {file.path}, got something else; choose another "
            "--output"
        ) from error
    others = [
        name for name in ("format", "detector_digest", "input_digest", "column", "rows_per_part")
        if stored.get(name) != run[name]
    ]
    if others:
        raise InvalidInputError(
            f"expected the run that {target.path} was made by, got another "
            f"{', '.join(name.removesuffix('_digest') for name in others)}; choose another --output"
        )


def _finished(target: Place, parts: list[Part]) -> set[int]:
    """The parts whose files are whole."""
    parquet, pyarrow = import_ray("pyarrow.parquet"), import_ray("pyarrow")
    prefix = f"{PARTS}/"
    there = {name for name, _, _ in target.files() if name.startswith(prefix)}
    done = set()
    for index, part in enumerate(parts):
        if prefix + _name(index) not in there:
            continue
        file = target / PARTS / _name(index)
        try:
            with file.system.open_input_file(file.path) as opened:
                if parquet.ParquetFile(opened).metadata.num_rows == len(part):
                    done.add(index)
        except (pyarrow.ArrowInvalid, OSError):
            continue  # damaged since; it is made again
    return done


def _score(
    packed: bytes, parts: list[Part], left: list[int], folder: Place, options: Options,
    advance: Callable[[int], None],
) -> None:
    """Scores the parts that are left by a pool of Ray Data's actors."""
    with session(options.address, **dict(options.ray)) as ray:
        data = import_ray("ray.data")
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = data.DataContext.get_current()
        context.enable_progress_bars = False  # they count parts; `advance` counts images
        context.print_on_execution_start = False
        actors, reserved = share(ray, options.actors)
        actors = min(actors, len(left))
        threads = None if "num_gpus" in reserved else 1
        model = ray.put(packed)  # held here, so that an actor that starts again finds it
        work = data.from_items(
            [{"name": _name(index), "part": parts[index]} for index in left],
            override_num_blocks=len(left),
        ).map_batches(
            ScorePart, batch_size=1, compute=data.ActorPoolStrategy(size=actors),
            fn_constructor_args=(
                [model], options.column, options.batch_size, folder, threads,
                limits.max_decoded_gib(),
            ),
            **reserved,
        )
        try:
            for row in work.iter_rows():
                advance(int(row["rows"]))
        except (ray.exceptions.RayError, OSError) as error:
            raise InvalidInputError(
                f"expected every part to be scored, got {_cause(error)}; mend that and start "
                "again: what is finished is kept"
            ) from error


def _cause(error: BaseException) -> str:
    """The last line of what an actor raised, without the traceback that Ray puts before it."""
    cause = getattr(error, "cause", None) or error.__cause__ or error
    lines = [line for line in str(cause).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(cause).__name__


def _name(index: int) -> str:
    return f"part-{index:05d}.parquet"
