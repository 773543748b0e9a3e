"""The experiments that can be reproduced, by name."""

from a2d_tf.experiments import figure6, table2, table7
from a2d_tf.experiments.reproduction import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    "table2_env1": table2.run,
    "table7": table7.run,
    "figure6_env1": figure6.run,
}
