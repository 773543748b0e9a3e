"""What every script shares: quiet start-up, one-line errors and progress on stderr."""

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from absl import app, flags, logging

FLAGS = flags.FLAGS
PLAIN_INTERVAL_S = 10.0  # between two lines where stderr is no terminal


@contextmanager
def _native_stderr_silenced() -> Iterator[None]:
    """TensorFlow greets on the raw stderr while it loads, whatever its log level."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


with _native_stderr_silenced():
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    tf.constant(0)  # starts the devices

from rich.console import Console  # noqa: E402
from rich.progress import (  # noqa: E402
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table  # noqa: E402

from a2d_tf import A2DError, Bounds, Classifier, report  # noqa: E402


def run(main: Callable[[], None]) -> None:
    """Parses the flags and calls `main`; what a user can mend ends in one line and exit 1."""
    logging.set_verbosity(logging.ERROR)  # TensorFlow logs what it saves
    app.run(lambda argv: _guarded(main), flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    try:
        rest = FLAGS(argv)
    except flags.Error as error:
        _fail(error)
    except SystemExit:  # absl leaves with 1 after --help
        sys.exit(0)
    if len(rest) > 1:
        _fail(f"expected flags alone, got {rest[1]!r}; write --name=value")
    return rest


def _guarded(main: Callable[[], None]) -> None:
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("default", UserWarning)
            main()
        for warning in caught:
            print(f"note: {warning.message}", file=sys.stderr)
    except (A2DError, OSError) as error:
        _fail(error)
    except KeyboardInterrupt:
        _fail("stopped")


def _fail(error: object) -> NoReturn:
    line = " ".join(str(error).split())
    sys.exit(f"{os.path.basename(sys.argv[0])}: {line}")


flags.disclaim_key_flags()  # what is defined here belongs to the script, and to its --help


def define_model_flags() -> None:
    """The flags that `load_classifier` reads."""
    flags.DEFINE_string("model", None, "A .keras, .h5 or SavedModel.", required=True)
    flags.DEFINE_string("signature", None, "Of a SavedModel; serving_default, or the only one.")
    flags.DEFINE_string("output", None, "Of the signature: its logits, probabilities or labels.")
    flags.DEFINE_bool("probabilities", None, "Whether the output is probabilities; else looked at.")
    define_bounds()


def define_bounds() -> None:
    """The flag that `bounds` reads."""
    flags.DEFINE_list("bounds", ["0", "1"], "The model's pixel range: lower,upper.")


def define_seed(what: str) -> None:
    """The flag --seed, within what NumPy takes."""
    flags.DEFINE_integer("seed", 0, what, lower_bound=0, upper_bound=2**32 - 1)


def define_out(what: str, *, required: bool = True) -> None:
    """The flag --out, a file; refused at once if a folder is there."""
    flags.DEFINE_string("out", None, what, required=required)
    flags.register_validator(
        "out", lambda path: not path or not os.path.isdir(path), "must be a file, not a folder"
    )
    flags.register_validator("out", _can_be_written, "must be where you may write")


def define_names(name: str, default: list[str], what: str) -> None:
    """A flag that takes different names."""
    flags.DEFINE_list(name, default, what)
    flags.register_validator(
        name, lambda names: len(set(names)) == len(names), "must name each but once"
    )


def _can_be_written(path: str | None) -> bool:
    """Whether the nearest folder above that exists may be written to."""
    folder = os.path.dirname(os.path.abspath(path or "."))
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK)


def bounds() -> Bounds:
    """The pixel range that the flags name."""
    try:
        lower, upper = map(float, FLAGS.bounds)
    except ValueError:
        _fail(f"expected --bounds=lower,upper as two numbers, got {','.join(FLAGS.bounds)!r}")
    return Bounds(lower, upper)


def numbers(flag: str) -> list[int]:
    """The positive whole numbers that a list flag names."""
    try:
        values = [int(value) for value in FLAGS[flag].value]
        if not values or min(values) < 1:
            raise ValueError
    except ValueError:
        _fail(f"expected --{flag}=N,N,... of numbers >= 1, got {','.join(FLAGS[flag].value)!r}")
    return values


def load_classifier() -> Classifier:
    """The classifier that the flags name."""
    return Classifier.load(
        FLAGS.model, bounds(), signature=FLAGS.signature, output=FLAGS.output,
        probabilities=FLAGS.probabilities,
    )


def show(grids: Iterable[report.Grid]) -> None:
    """Prints tables, none of them folded, however narrow the terminal."""
    console = Console()
    for grid in grids:
        table = Table(*grid.header, title=grid.title)
        for row in grid.rows:
            table.add_row(*(cell.replace("**", "") for cell in row))
        console.width = max(console.width, report.width(table))
        console.print(table)


class TerminalProgress:
    """Progress on stderr: bars on a terminal, now and then a line elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        bars = _bars if self._console.is_terminal else _lines
        with bars(self._console, title, total) as advance:
            yield advance


@contextmanager
def _bars(console: Console, title: str, total: int) -> Iterator[Callable[[int], None]]:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.advance(task, done)


@contextmanager
def _lines(console: Console, title: str, total: int) -> Iterator[Callable[[int], None]]:
    start, told, finished = time.monotonic(), 0.0, 0

    def advance(done: int) -> None:
        nonlocal finished, told
        finished += done
        now = time.monotonic()
        # Nothing is said before the first result: until then the input may prove unfit.
        if told == 0 or now - told >= PLAIN_INTERVAL_S:
            told = now
            left = (now - start) * (total - finished) / finished
            print(f"{title}: {finished}/{total}, {left:.0f} s left", file=sys.stderr, flush=True)

    yield advance
    print(f"{title}: done in {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
