"""Features of many images, measured by several processes as one process would."""

import contextlib
import importlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from a2d_tf.classifiers import Classifier
from a2d_tf.classifiers.saving import Written, write
from a2d_tf.errors import A2DError, InvalidInputError
from a2d_tf.features import Feature, FeatureTable, Measured, measure
from a2d_tf.features.base import OnFinished
from a2d_tf.images.batching import ImageSource, to_array
from a2d_tf.images.spec import Bounds, Images
from a2d_tf.scoring.exported import limit_threads, pack, unpack
from a2d_tf.scoring.ray_session import session, share

IMAGES_PER_TASK = 256  # few enough that all processes have work until the end
Measure = Callable[..., FeatureTable]


class _Packed(NamedTuple):
    """A classifier as bytes, and how it is read."""

    files: bytes
    written: Written
    bounds: Bounds
    safe_mode: bool
    modules: Sequence[str]
    threads: int | None


class _Measurer:
    """The actor: it reads the classifier once, and measures images."""

    def __init__(self, packed: _Packed):
        for module in packed.modules:
            importlib.import_module(module)
        if packed.threads:
            limit_threads(packed.threads)
        with unpack(packed.files) as folder:
            self._classifier = Classifier.load(
                Path(folder) / packed.written.name, packed.bounds,
                probabilities=packed.written.probabilities, signature=packed.written.signature,
                output=packed.written.output, safe_mode=packed.safe_mode,
            )

    def measure(
        self, features: Mapping[str, Feature], images: Images, settings: Mapping[str, Any]
    ) -> FeatureTable | A2DError:
        """What `features.measure` gives, or its error."""
        try:
            return measure(self._classifier, features, images, **settings)
        except A2DError as error:
            return error


@contextmanager
def distributed_measure(
    classifier: Classifier, address: str | None = None, *, actors: int | None = None,
    safe_mode: bool = True, modules: Sequence[str] = (),
) -> Iterator[Measure]:
    """A function like `features.measure`, whose work is done by Ray's actors while the block runs.

    It takes the same arguments, but no other classifier, and gives the same table. The images of a
    call are held as a whole. An actor that dies is started again, and its images are measured
    again.

    Args:
      classifier: what the features are measured on; no black box.
      address: of a Ray cluster; None or "local" for this machine alone.
      actors: the number of processes; None for one on each GPU, or on each core.
      safe_mode: as for `Classifier.load`.
      modules: of layers and features of one's own, which every process imports.

    Raises:
      InvalidInputError: Ray is missing, there is no cluster, or the classifier cannot be saved.
    """
    with tempfile.TemporaryDirectory(prefix="a2d-") as scratch:
        written = write(classifier, Path(scratch))
        files = pack(scratch)
    with session(address) as ray:
        count, reserved = share(ray, actors)
        threads = None if "num_gpus" in reserved else 1
        packed = _Packed(files, written, classifier.bounds, safe_mode, modules, threads)
        remote = ray.remote(**reserved, max_restarts=-1, max_task_retries=-1)(_Measurer)
        # By reference, so that an actor that starts again finds it.
        shared = ray.put(packed)
        pool = ray.util.ActorPool([remote.remote(shared) for _ in range(count)])

        def measured(
            given: Classifier, features: Mapping[str, Feature], images: ImageSource, *,
            batch_size: int = 128, on_finished: OnFinished | None = None, preflight: bool = True,
            labels: bool = True,
        ) -> FeatureTable:
            if given is not classifier:
                raise InvalidInputError(
                    "expected the classifier that the processes have, got another; call "
                    "distributed_measure with it"
                )
            array = to_array(images, classifier.input_spec)
            tasks = [
                array[start:start + IMAGES_PER_TASK]
                for start in range(0, max(len(array), 1), IMAGES_PER_TASK)
            ]
            settings = {"batch_size": batch_size, "preflight": preflight, "labels": labels}
            tables = []
            for table in pool.map(
                lambda actor, some: actor.measure.remote(dict(features), some, settings), tasks
            ):
                if isinstance(table, A2DError):
                    _drain(pool)
                    raise table
                tables.append(table)
                if on_finished:
                    on_finished(len(table) * len(features))
            return _together(tables)

        yield measured


def _drain(pool: Any) -> None:
    """Waits for the tasks that are left, so that the pool can be used again."""
    while pool.has_next():
        with contextlib.suppress(Exception):
            pool.get_next_unordered()


def _together(tables: Sequence[FeatureTable]) -> FeatureTable:
    """The rows of several tables, in their order."""
    return FeatureTable(
        {
            name: Measured(*[
                np.concatenate([getattr(table.features[name], field) for table in tables])
                for field in Measured._fields
            ])
            for name in tables[0].features
        },
        np.concatenate([table.labels for table in tables]),
    )
