"""The tables of README.md and of the pages by name, and single figures of them."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import choose_tables
import comparison_tables
import env2_tables
import paper_tables
import scale_tables
import under_attack_tables
from stored_results import stored

FIGURE = r"\d+(?:\.\d+)?"
TABLES: Mapping[str, Callable[[], list[list[str]]]] = {
    "chosen": partial(comparison_tables.chosen_rows, "compare_mnist"),
    "chosen-cifar10": partial(comparison_tables.chosen_rows, "compare_cifar10"),
    "mnist": partial(comparison_tables.all_rows, "compare_mnist"),
    "digits": partial(comparison_tables.all_rows, "compare_digits"),
    "cifar10": partial(comparison_tables.all_rows, "compare_cifar10"),
    "unseen": partial(comparison_tables.unseen_rows, "compare_mnist"),
    "unseen-cifar10": partial(comparison_tables.unseen_rows, "compare_cifar10"),
    "selection": comparison_tables.selection_rows,
    **choose_tables.TABLES,
    **env2_tables.TABLES,
    **paper_tables.TABLES,
    **scale_tables.TABLES,
    **under_attack_tables.TABLES,
}


def cell(table: str, column: str, *row: str) -> str:
    """The cell in the column of this title, and in the row that begins with these cells."""
    header, *rows = TABLES[table]()
    found, = (one for one in rows if one[:len(row)] == list(row))
    return found[header.index(column)]


def auroc(table: str, column: str, detector: str) -> str:
    """The AUROC of a detector in a table of detectors, where `detector` stands in backquotes."""
    return re.split("[ ,]", cell(table, column, f"`{detector}`"))[0]


def share(table: str, column: str, *row: str) -> str:
    """The last percentage of a cell without its sign; a detector is named as by `auroc`."""
    if len(row) == 1 and not row[0].startswith("`"):
        row = (f"`{row[0]}`",)
    return re.findall(r"([\d.]+)%", cell(table, column, *row))[-1]


def accuracy(name: str) -> str:
    """The test accuracy of the classifier of a stored comparison."""
    return f"{stored(name)['model']['test_accuracy']:.3f}"


def exact(name: str, threat: str, detector: str) -> float:
    """An AUROC of a stored comparison, with all its digits."""
    found: float = stored(name)["cells"][threat][detector]["auroc"]
    return found


def up(value: float, digits: int = 2) -> str:
    """An upper bound of so many decimals."""
    return f"{math.ceil(value * 10**digits - 1e-9) / 10**digits:.{digits}f}"


def largest(values: Iterable[float]) -> float:
    """The largest value that is a number."""
    return max(one for one in values if one == one)
