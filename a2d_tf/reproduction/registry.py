"""The experiments that can be reproduced, by name."""

from a2d_tf.reproduction import (
    adaptive_table,
    env2,
    figure6,
    figure7,
    figures_2_4_10,
    figures_3_5,
    frontier,
    search_mode,
    table1,
    table2,
    table3,
    table4,
    table7,
    targeted_images,
)
from a2d_tf.reproduction.runner import Experiment

BOTH = ("mnist", "cifar10")
ALL = (*BOTH, "imagenet")
# As many images as in the paper, or as many as fit in an hour if an attack takes seconds for each.
EXPERIMENTS: dict[str, Experiment] = {
    "table1": Experiment(table1.run_table1, BOTH, limit=100),
    "figure2": Experiment(figures_2_4_10.figure2, BOTH, limit=100),
    "figure3": Experiment(figures_3_5.figure3, BOTH, limit=1000),
    "figure4": Experiment(figures_2_4_10.figure4, BOTH, limit=25),
    "figure5": Experiment(figures_3_5.figure5, BOTH, limit=50),
    "table2_env1": Experiment(table2.run_table2, BOTH, limit=1000, takes_threats=True),
    "table2_env2": Experiment(env2.table2_env2, ALL, limit=300, takes_threats=True),
    "table3": Experiment(table3.run_table3, ALL, limit=100, takes_threats=True),
    "figure6_env1": Experiment(figure6.run_figure6, BOTH, limit=300, takes_threats=True),
    "figure6_env2": Experiment(env2.figure6_env2, ALL, limit=100, takes_threats=True),
    "table4": Experiment(table4.run_table4, BOTH, limit=100),
    "figure10": Experiment(figures_2_4_10.figure10, BOTH, limit=100),
    "figure7": Experiment(figure7.run_figure7, BOTH, limit=100),
    "figure8": Experiment(targeted_images.figure8, ("mnist",), limit=100),
    "figure9": Experiment(targeted_images.figure9, ("cifar10",), limit=100),
    "figure11": Experiment(targeted_images.figure11, ("mnist",), limit=100),
    "figure12": Experiment(targeted_images.figure12, ("cifar10",), limit=100),
    "figure13": Experiment(targeted_images.figure13, ("cifar10",), limit=100),
    "adaptive_table": Experiment(adaptive_table.run_adaptive_table, BOTH, limit=200),
    "frontier": Experiment(frontier.run_frontier, BOTH, limit=1000),
    "search": Experiment(search_mode.run_search, BOTH, limit=1000),
    "table7": Experiment(table7.run_table7, ("mnist",), limit=300),
}
