"""How fast attacks and verdicts are, against the limit and against other libraries."""

from a2d_tf.benchmark.run import run, tables
from a2d_tf.benchmark.timing import Measurement, measure

__all__ = ["Measurement", "measure", "run", "tables"]
