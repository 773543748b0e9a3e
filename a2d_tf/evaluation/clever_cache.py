"""CLEVER scores image by image, each of which is kept, so that runs resume (paper, Table 1)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation.cache_keys import classifier_key
from a2d_tf.images.batching import ImageSource, to_array
from a2d_tf.reports.progress import Progress
from a2d_tf.robustness import Clever, Sampling, clever_table
from a2d_tf.robustness.clever import prepare
from a2d_tf.storage.stages import Arrays, Stages, digest


def cached_clever(
    classifier: Classifier,
    images: ImageSource,
    targets: Sequence[str | int],
    sampling: Sampling,
    workdir: str | Path,
    *,
    batch_size: int,
    progress: Progress,
) -> Clever:
    """The scores of `clever_table`; an image whose scores are in the folder is not done again.

    Args:
      classifier: one that was loaded from a file, whose hash names it in the folder.
      images: f32[N,H,W,C], N >= 1.
      targets: names of targets, or classes, in the order of the columns.
      sampling: where and at how many points gradients are computed.
      workdir: where finished images are kept.
      batch_size: points at once.
      progress: follows the images.

    Raises:
      InvalidInputError, UnsuitableClassifierError: as `clever_table`, or no file or no image.
    """
    checked = to_array(images, classifier.input_spec)
    if not len(checked):
        raise InvalidInputError(
            "expected at least one image, got none; give some"
        )
    stages = Stages(Path(workdir))
    key = classifier_key(classifier) | {"targets": list(targets), "sampling": repr(sampling)}
    prepare(classifier, checked, targets, batch_size)  # errors show before the run starts
    keys = [key | {"image": digest(image)} for image in checked]

    def score(index: int) -> Clever:
        def make() -> Arrays:
            image = checked[index:index + 1]
            return clever_table(
                classifier, image, targets, sampling, batch_size=batch_size
            )._asdict()

        return Clever(**stages.arrays("clever", keys[index], make))

    due = [index for index, one in enumerate(keys) if not stages.holds("clever", one)]
    if due:
        with progress.stage("CLEVER", len(due)) as advance:
            for index in due:
                score(index)
                advance(1)
    rows = map(score, range(len(checked)))
    return Clever._make(np.concatenate(column) for column in zip(*rows))
