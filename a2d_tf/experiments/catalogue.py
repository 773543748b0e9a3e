"""The experiments that can be reproduced, by name."""

from a2d_tf.experiments import figure6, search, table2, table7
from a2d_tf.experiments.reproduction import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    "table2_env1": Experiment(table2.run, ("mnist", "cifar10")),
    "table7": Experiment(table7.run, ("mnist",)),
    "search": Experiment(search.run, ("mnist", "cifar10")),
    "figure6_env1": Experiment(figure6.run, ("mnist", "cifar10")),
}
