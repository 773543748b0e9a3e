"""How fast attacks and verdicts are, against the limit and against other libraries.

May import: errors, images, classifiers, attacks, features, detectors, detection, a2d, reports,
scoring, serving.
"""

from a2d_tf import deprecated
from a2d_tf.benchmark.scale import measure_scale, scale_table
from a2d_tf.benchmark.suite import Report, run_benchmark, tables
from a2d_tf.benchmark.timing import AttackTiming, time_attack

__all__ = [
    "AttackTiming", "Report", "measure_scale", "run_benchmark", "scale_table", "tables",
    "time_attack",
]

__getattr__ = deprecated.names_of("benchmark")
