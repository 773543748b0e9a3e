"""What the scripts show: tables on stdout; progress and notes on stderr."""

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table as TerminalTable

from a2d_tf.reports.tables import Table, terminal_width

PLAIN_INTERVAL_S = 10.0  # between two lines where stderr is no terminal

Shown = Table | TerminalTable


def show(tables: Iterable[Shown], *lines: str) -> None:
    """Prints tables and lines. No table is folded, however narrow the terminal is."""
    console = Console()
    for table in tables:
        shown = table.to_terminal() if isinstance(table, Table) else table
        console.width = max(console.width, terminal_width(shown))
        console.print(shown)
    for line in lines:
        print(line)


class Notes:
    """Warnings as notes on stderr.

    A note waits for the first result of a stage, or for the end: until then an error may follow,
    which gives one line, with the notes in it.
    """

    def __init__(self) -> None:
        self._caught: list[warnings.WarningMessage] = []

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Keeps the warnings of a block."""
        with warnings.catch_warnings(record=True) as self._caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("default", UserWarning)
            yield

    def take(self) -> list[str]:
        """What has not been printed yet; it counts as printed."""
        texts = [str(one.message) for one in self._caught]
        self._caught.clear()
        return texts

    def print_pending(self) -> None:
        """Prints what has not been printed yet."""
        for text in self.take():
            print(f"note: {text}", file=sys.stderr, flush=True)


NOTES = Notes()  # of the script that runs


class TerminalProgress:
    """Progress on stderr: a bar on a terminal, and elsewhere a line from time to time."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        bars = _bars if self._console.is_terminal else _lines
        with bars(self._console, title, total) as advance:

            def advance_and_note(done: int) -> None:
                NOTES.print_pending()
                advance(done)

            yield advance_and_note
        NOTES.print_pending()


def measuring(features: int, images: int) -> AbstractContextManager[Callable[[int], None]]:
    """The progress of measuring so many features of so many images, whose units are pairs."""
    title = f"measure {features} feature{'s' * (features > 1)} of {images} images"
    return TerminalProgress().stage(title, features * images)


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
