"""Arrays, datasets, files and folders as one checked stream of batches of images.

May import: errors, checks, storage.
"""

from a2d_tf.images.batching import Batch, ImageSource, iter_batches, to_array
from a2d_tf.images.bounds import TOLERANCE, Bounds
from a2d_tf.images.image_files import (
    load_adversarial,
    load_images,
    load_sources,
    stream_images,
)
from a2d_tf.images.spec import Images, InputSpec, Labels, Shape

__all__ = [
    "Batch", "Bounds", "ImageSource", "Images", "InputSpec", "Labels", "Shape", "TOLERANCE",
    "iter_batches", "load_adversarial", "load_images", "load_sources", "stream_images", "to_array",
]
