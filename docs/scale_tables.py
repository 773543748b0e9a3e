"""The tables of docs/scale.md, from what measure_scale.py wrote."""

import statistics
from collections.abc import Callable, Mapping

from stored_results import stored

SERVERS = {
    "requests a second": "`serve.py`, full answers",
    "requests a second (classify)": "`serve.py`, verdicts alone",
    "requests a second of the classifier": "the classifier alone, in a server of Ray Serve",
}


def ratio_rows() -> list[list[str]]:
    """Images a second of several processes, as times those of one."""
    runs = stored("scale")["runs"]

    def row(title: str, name: str, other: str) -> list[str]:
        ratios = [run[name] / run[other] for run in runs]
        return [title, *(f"{one:.2f}" for one in (statistics.median(ratios), *ratios))]

    return [
        ["images a second, times", "median", *(f"run {count + 1}" for count in range(len(runs)))],
        row("two actors : one actor", "two", "one"),
        row("four nodes : one actor", "nodes", "one"),
        row("bare SavedModel in a loop : one actor", "bare", "one"),
    ]


def server_rows() -> list[list[str]]:
    """Requests a second, as times those of the classifier alone."""
    found = stored("scale")["serving"]
    alone = found["requests a second of the classifier"]
    return [["server", "requests a second, times the classifier's"], *(
        [title, f"{found[name] / alone:.2f}"] for name, title in SERVERS.items()
    )]


TABLES: Mapping[str, Callable[[], list[list[str]]]] = {
    "scale": ratio_rows, "servers": server_rows,
}
