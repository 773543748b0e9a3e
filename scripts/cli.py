"""What every script shares: quiet start-up, one-line errors and progress on stderr."""

import importlib
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
_RENAMED: dict[str, str] = {}  # old flags and new ones


@contextmanager
def _native_stderr_silenced() -> Iterator[None]:
    """TensorFlow writes to the raw stderr while it loads, whatever its log level is."""
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
from rich.table import Table as TerminalTable  # noqa: E402

import baselines  # noqa: E402, F401, registers its features
from a2d_tf import A2D, A2DError, Bounds, Classifier, features  # noqa: E402
from a2d_tf.reports.tables import Table, terminal_width  # noqa: E402


def run(main: Callable[[], None]) -> None:
    """Parses the flags and calls `main`; an error of the user gives one line and exit 1."""
    logging.set_verbosity(logging.ERROR)  # TensorFlow logs what it saves
    app.run(lambda argv: _guarded(main), flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    try:
        rest = FLAGS(argv)
    except flags.Error as error:
        _fail(error)
    except SystemExit:  # absl leaves with 1 after --help
        sys.exit(0)
    for old, new in _RENAMED.items():
        if FLAGS[old].present:
            print(f"note: --{old} is deprecated; use --{new}", file=sys.stderr)
            FLAGS[new].value = FLAGS[old].value
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


def define_imports() -> None:
    """The flag that `load_detector` reads."""
    flags.DEFINE_list("import_modules", [], "Python modules with features of your own.")


def define_bounds() -> None:
    """The flag that `bounds` reads."""
    flags.DEFINE_list("bounds", ["0", "1"], "The model's pixel range: lower,upper.")


def define_seed(what: str) -> None:
    """The flag --seed, within NumPy's range."""
    flags.DEFINE_integer("seed", 0, what, lower_bound=0, upper_bound=2**32 - 1)


def define_out(what: str, *, required: bool = True) -> None:
    """The flag --out, a file that can be written."""
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


def define_renamed(old: str, new: str) -> None:
    """Keeps an old spelling of a list or integer flag, with a note that it is deprecated."""
    define = flags.DEFINE_list if isinstance(FLAGS[new].default, list) else flags.DEFINE_integer
    define(old, None, f"Deprecated: --{new}.")
    _RENAMED[old] = new


def _can_be_written(path: str | None) -> bool:
    """Whether the nearest folder above that exists may be written to."""
    folder = os.path.dirname(os.path.abspath(path or "."))
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK)


def bounds() -> Bounds:
    """The pixel range in the flags."""
    try:
        lower, upper = map(float, FLAGS.bounds)
    except ValueError:
        _fail(f"expected --bounds=lower,upper as two numbers, got {','.join(FLAGS.bounds)!r}")
    return Bounds(lower, upper)


def numbers(flag: str) -> list[int]:
    """The positive integers in a list flag."""
    try:
        values = [int(value) for value in FLAGS[flag].value]
        if not values or min(values) < 1:
            raise ValueError
    except ValueError:
        _fail(f"expected --{flag}=N,N,... of numbers >= 1, got {','.join(FLAGS[flag].value)!r}")
    return values


def reals(flag: str) -> list[float]:
    """The numbers in a list flag."""
    try:
        values = [float(value) for value in FLAGS[flag].value]
        if not values:
            raise ValueError
    except ValueError:
        _fail(f"expected --{flag}=X,X,... of numbers, got {','.join(FLAGS[flag].value)!r}")
    return values


def load_classifier() -> Classifier:
    """The classifier in the flags."""
    return Classifier.load(
        FLAGS.model, bounds(), signature=FLAGS.signature, output=FLAGS.output,
        probabilities=FLAGS.probabilities,
    )


def load_detector(folder: str) -> A2D:
    """A saved detector, after the modules of its features have been imported."""
    for module in FLAGS.import_modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            _fail(f"expected a module to import, got {module!r} ({error}); set PYTHONPATH")
    return A2D.load(folder)


def feature_names() -> list[str]:
    """The features that are known by name, besides attacks."""
    return [name for name in features.REGISTRY if name != features.AttackCost.name]


def show(tables: Iterable[Table | TerminalTable], *lines: str) -> None:
    """Prints tables and lines. No table is folded, however narrow the terminal is."""
    console = Console()
    for table in tables:
        shown = table.to_terminal() if isinstance(table, Table) else table
        console.width = max(console.width, terminal_width(shown))
        console.print(shown)
    for line in lines:
        console.print(line, soft_wrap=True)


class TerminalProgress:
    """Progress on stderr: a bar on a terminal, and elsewhere a line from time to time."""

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
    start, last_printed, finished = time.monotonic(), 0.0, 0

    def advance(done: int) -> None:
        nonlocal finished, last_printed
        finished += done
        now = time.monotonic()
        # Nothing is printed before the first result: until then the input may prove unfit.
        if last_printed == 0 or now - last_printed >= PLAIN_INTERVAL_S:
            last_printed = now
            left = (now - start) * (total - finished) / finished
            print(f"{title}: {finished}/{total}, {left:.0f} s left", file=sys.stderr, flush=True)

    yield advance
    print(f"{title}: done in {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
