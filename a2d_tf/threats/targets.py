"""Random target classes that belong to an image, wherever it stands."""

import numpy as np

from a2d_tf.attacks import stateless_random
from a2d_tf.images.spec import Images, Labels


def random_targets(images: Images, labels: Labels, classes: int, seed: int) -> Labels:
    """A random class i64[N] other than the true one for each image; equal images have equal ones.

    Args:
      images: f32[N,H,W,C].
      labels: i64[N], their true classes.
      classes: how many there are.
      seed: seed of the draw.
    """
    drawn = stateless_random.uniform(
        stateless_random.keys(images, np.full(len(images), seed, np.uint32)),
        np.zeros(len(images), np.int32), 1,
    )
    steps = 1 + np.floor(drawn.numpy()[:, 0] * (classes - 1))
    targets: Labels = (labels + steps.astype(np.int64)) % classes
    return targets
