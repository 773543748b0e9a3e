"""CLEVER scores image by image, each kept once it is there (the paper, Table 1)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from a2d_tf.classifier import Classifier
from a2d_tf.clever import Clever, Sampling, clever_table
from a2d_tf.clever.scores import prepare
from a2d_tf.errors import InvalidInputError
from a2d_tf.experiments.store import Arrays, Store, digest, identity
from a2d_tf.pixels import Images
from a2d_tf.progress import Progress


def run(
    classifier: Classifier,
    images: Images,
    targets: Sequence[str | int],
    sampling: Sampling,
    workdir: str | Path,
    *,
    batch_size: int,
    progress: Progress,
) -> Clever:
    """The scores of `clever_table`; an image that is in the folder already is not done again.

    Args:
      classifier: one that was loaded from a file, whose hash names it in the folder.
      images: f32[N,H,W,C], N >= 1.
      targets: kinds of targets, or classes, in the order of the columns.
      sampling: where and at how many points gradients are looked at.
      workdir: where finished images are kept.
      batch_size: points at once.
      progress: follows the images.

    Raises:
      InvalidInputError, UnsuitableClassifierError: as `clever_table`, or no file or no image.
    """
    checked = classifier.check(images)
    if not len(checked):
        raise InvalidInputError("expected at least one image, got none")
    store = Store(Path(workdir))
    made_from = identity(classifier) | {"targets": list(targets), "sampling": repr(sampling)}
    prepare(classifier, checked, targets, batch_size)  # whatever is unfit shows before it starts
    origins = [made_from | {"image": digest(image)} for image in checked]

    def score(index: int) -> Clever:
        def make() -> Arrays:
            image = checked[index:index + 1]
            return clever_table(
                classifier, image, targets, sampling, batch_size=batch_size
            )._asdict()

        return Clever(**store.arrays("clever", origins[index], make))

    due = [index for index, origin in enumerate(origins) if not store.holds("clever", origin)]
    if due:
        with progress.stage("CLEVER", len(due)) as advance:
            for index in due:
                score(index)
                advance(1)
    rows = map(score, range(len(checked)))
    return Clever._make(np.concatenate(column) for column in zip(*rows))
