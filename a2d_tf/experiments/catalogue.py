"""The experiments that can be reproduced, by name."""

from collections.abc import Callable

from a2d_tf.experiments import (
    figure6,
    iterations,
    search,
    table1,
    table2,
    table4,
    table7,
    times,
)
from a2d_tf.experiments.reproduction import Experiment, Outcome, Request

_ON_BOTH: dict[str, Callable[[Request], Outcome]] = {
    "table1": table1.run,
    "figure2": times.figure2,
    "figure3": iterations.figure3,
    "figure4": times.figure4,
    "figure5": iterations.figure5,
    "table2_env1": table2.run,
    "figure6_env1": figure6.run,
    "table4": table4.run,
    "figure10": times.figure10,
    "search": search.run,
}
EXPERIMENTS: dict[str, Experiment] = {
    name: Experiment(run, ("mnist", "cifar10")) for name, run in _ON_BOTH.items()
} | {"table7": Experiment(table7.run, ("mnist",))}
