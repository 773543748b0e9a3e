"""The experiments that can be reproduced, by name."""

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
from a2d_tf.experiments.reproduction import Experiment

BOTH = ("mnist", "cifar10")
# As many images as in the paper, or where an attack takes seconds for each, as fit in an hour.
EXPERIMENTS: dict[str, Experiment] = {
    "table1": Experiment(table1.run, BOTH, limit=100),
    "figure2": Experiment(times.figure2, BOTH, limit=100),
    "figure3": Experiment(iterations.figure3, BOTH, limit=1000),
    "figure4": Experiment(times.figure4, BOTH, limit=25),
    "figure5": Experiment(iterations.figure5, BOTH, limit=50),
    "table2_env1": Experiment(table2.run, BOTH, limit=1000),
    "figure6_env1": Experiment(figure6.run, BOTH, limit=300),
    "table4": Experiment(table4.run, BOTH, limit=100),
    "figure10": Experiment(times.figure10, BOTH, limit=100),
    "search": Experiment(search.run, BOTH, limit=1000),
    "table7": Experiment(table7.run, ("mnist",), limit=300),
}
