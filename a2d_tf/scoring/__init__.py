"""Images beyond one process: datasets that a pool of Ray's actors scores part by part.

May import: errors, checks, version, storage, reports, images, classifiers, features.
"""

from a2d_tf.scoring.measuring import distributed_measure
from a2d_tf.scoring.run import Options, score_dataset

__all__ = ["Options", "distributed_measure", "score_dataset"]
