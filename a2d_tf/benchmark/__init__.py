"""How fast attacks and verdicts are, against the limit and against other libraries.

May import: errors, images, classifiers, attacks, features, detectors, detection, a2d, reports.
"""

from a2d_tf import deprecated
from a2d_tf.benchmark.suite import Report, run_benchmark, tables
from a2d_tf.benchmark.timing import AttackTiming, time_attack

__all__ = ["AttackTiming", "Report", "run_benchmark", "tables", "time_attack"]

__getattr__ = deprecated.names_of("benchmark")
