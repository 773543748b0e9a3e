"""The data sets and the classifiers of the paper, by name, and the training of the latter.

May import: errors, checks, storage, images, classifiers, threats.
"""

from a2d_tf.zoo.architectures import MODELS
from a2d_tf.zoo.datasets import DATASETS, Dataset, load_dataset

__all__ = ["DATASETS", "Dataset", "MODELS", "load_dataset"]
