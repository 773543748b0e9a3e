"""How fast attacks are, against the limit: the time of nothing but the passes that they make."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from a2d_tf.a2d import A2D
from a2d_tf.attacks import Attack
from a2d_tf.attacks.base import needs
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.batching import Batch, ImageSource
from a2d_tf.images.spec import Images

# A batch of so many keeps a processor busy; its passes, or those of a larger one that the attack
# is given, are the limit.
SATURATED = 128
# Passes before the attack, after it, and after each batch of it: machines change their speed.
PASSES, PASSES_BETWEEN = 5, 2
BATCHES = 20  # the fewest of which a median is taken


class AttackTiming(NamedTuple):
    """The price of one attack on one set of images.

    Attributes:
      images: their number.
      batch_size: examples under attack at once.
      iterations: those that the costs count, and the last, successful ones.
      queries: queries to the classifier.
      gradients: the number of these queries that asked for a gradient too.
      seconds: wall time of the attack, without tracing.
      limit_seconds: what the passes that were made take in full batches, by the median of
        passes made before, during and after the attack.
      counting_seconds: the same, if every iteration made a pass with its gradient.
      peak_megabytes: the most memory that the process (on a GPU: the device) held meanwhile;
        None where the system does not tell.
    """

    images: int
    batch_size: int
    iterations: int
    queries: int
    gradients: int
    seconds: float
    limit_seconds: float
    counting_seconds: float
    peak_megabytes: int | None

    @property
    def ratio(self) -> float:
        """Time taken over the least time that the passes alone would take."""
        return self.seconds / self.limit_seconds

    def summary(self) -> dict[str, float | int | None]:
        """All figures by name, those that follow from others included."""
        return self._asdict() | {
            "seconds_per_image": self.seconds / self.images,
            "iterations_per_second": self.iterations / self.seconds,
            "ratio": self.ratio,
            "ratio_to_counting": self.seconds / self.counting_seconds,
        }


def time_attack(
    classifier: Classifier, attack: Attack, images: ImageSource, batch_size: int = SATURATED
) -> AttackTiming:
    """Times an attack, and the passes it consists of, in one run.

    Args:
      classifier: the classifier under attack.
      attack: the cost attack.
      images: f32[N,H,W,C] with N >= 1, or a dataset of them.
      batch_size: examples under attack at once.

    Raises:
      InvalidInputError: no images, or unfit ones.
    """
    every = _batches(classifier, attack, images, SATURATED)
    sample = next((batch.images for batch in every), None)
    if sample is None:
        raise InvalidInputError(
            "expected at least one image to measure with, got none; give some"
        )
    attack.run(classifier, sample[:2], batch_size=batch_size)  # traces the graph
    passes = _Limit(classifier, attack, sample, max(batch_size, SATURATED))
    passes.repeat(PASSES)
    stream = attack.stream(classifier, batch_size=batch_size)
    memory = _PeakMemory()
    seconds, count = 0.0, 0
    for batch in _batches(classifier, attack, images, batch_size):
        start = time.perf_counter()
        stream.update(batch.images, labels=batch.labels, is_last=batch.is_last)
        seconds += time.perf_counter() - start
        count += len(batch.images)
        passes.repeat(PASSES_BETWEEN)
    peak = memory.peak()
    passes.repeat(PASSES)
    result = stream.result()
    queries, gradients = int(result.queries.sum()), int(result.gradients.sum())
    iterations = queries
    if np.issubdtype(attack.cost_dtype, np.integer):
        iterations = int(result.cost.sum() + result.success.sum())
    return AttackTiming(
        images=count, batch_size=batch_size, iterations=iterations, queries=queries,
        gradients=gradients, seconds=seconds, limit_seconds=passes.seconds(queries, gradients),
        counting_seconds=passes.seconds(iterations, iterations), peak_megabytes=peak,
    )


class ExportTimes(NamedTuple):
    """An exported detector with one attack, on all images at once.

    Attributes:
      seconds: wall time, without tracing.
      limit_seconds: what the passes that were made take in full batches.
      same: the share of the images with the cost that the attack counts in Python.
    """

    seconds: float
    limit_seconds: float
    same: float


def time_export(classifier: Classifier, attack: Attack, images: Images) -> ExportTimes:
    """Times `serving_default` of an exported detector, reloaded, on images f32[N,H,W,C]."""
    counted = attack.run(classifier, images)
    a2d = A2D(classifier, attack, "zscore").fit(images[:SATURATED])
    passes = _Limit(classifier, attack, images[:SATURATED], SATURATED)
    with tempfile.TemporaryDirectory() as folder:
        a2d.export(f"{folder}/served")
        served = tf.saved_model.load(f"{folder}/served")
    judge = served.signatures["serving_default"]
    judge(images=tf.constant(images[:2]))
    passes.repeat(PASSES)
    start = time.perf_counter()
    costs = judge(images=tf.constant(images))["costs"].numpy()[:, 0]
    seconds = time.perf_counter() - start
    passes.repeat(PASSES)
    limit = passes.seconds(int(counted.queries.sum()), int(counted.gradients.sum()))
    return ExportTimes(seconds, limit, float(np.mean(costs == counted.cost)))


class VerdictTimes(NamedTuple):
    """Seconds for the verdict on each image by itself, in one run.

    Attributes:
      bounded: by `A2D.is_adversarial`.
      full: by `A2D.predict`.
      same: the share of the images with the same verdict from both.
    """

    bounded: list[float]
    full: list[float]
    same: float


def time_verdicts(bounded: A2D, full: A2D, images: Images) -> VerdictTimes:
    """Times the verdicts of two detectors on each image by itself, in turn."""
    bounded_times, full_times, same = [], [], []
    bounded.is_adversarial(images[:1]), full.predict(images[:1])  # trace the graphs
    for image in images:
        start = time.perf_counter()
        verdict = bounded.is_adversarial(image[None])
        middle = time.perf_counter()
        same.append(verdict[0] == full.predict(image[None]).is_adversarial[0])
        full_times.append(time.perf_counter() - middle)
        bounded_times.append(middle - start)
    return VerdictTimes(bounded_times, full_times, float(np.mean(same)))


class PriceTimes(NamedTuple):
    """Seconds for each batch, in one run.

    Attributes:
      predictions: of the classifier's labels.
      verdicts: by `A2D.is_adversarial`.
    """

    predictions: list[float]
    verdicts: list[float]

    def summary(self) -> dict[str, float]:
        """Medians, their ratio, and the ratio of the means."""
        return {
            "prediction_median_ms": 1000 * statistics.median(self.predictions),
            "verdict_median_ms": 1000 * statistics.median(self.verdicts),
            "ratio_of_medians":
                statistics.median(self.verdicts) / statistics.median(self.predictions),
            "ratio_of_means": sum(self.verdicts) / sum(self.predictions),
        }


def time_price(a2d: A2D, images: Images, batch_size: int) -> PriceTimes:
    """Times predictions and verdicts of full batches in turn, after one that traces the graphs.

    There are as many batches as the images fill, and at least `BATCHES`; the images then repeat.
    """
    times = PriceTimes([], [])
    for number in range(1 + max(BATCHES, len(images) // batch_size)):
        rows = np.arange(number * batch_size, (number + 1) * batch_size) % len(images)
        start = time.perf_counter()
        a2d.classifier.predict(images[rows], batch_size)
        middle = time.perf_counter()
        a2d.is_adversarial(images[rows])
        end = time.perf_counter()
        if number:
            times.predictions.append(middle - start)
            times.verdicts.append(end - middle)
    return times


def _batches(
    classifier: Classifier, attack: Attack, images: ImageSource, batch_size: int
) -> Iterator[Batch]:
    return classifier.batches(images, batch_size, **needs([attack]))


class _Limit:
    """What the passes of an attack take in full batches, with and without a gradient."""

    def __init__(self, classifier: Classifier, attack: Attack, images: Images, size: int):
        self._forward = _Passes(images, size, classifier.decide)
        self._backward = self._forward
        if attack.needs_gradients:
            self._backward = _Passes(images, size, _backward(classifier))

    def repeat(self, times: int) -> None:
        for passes in {self._forward, self._backward}:
            passes.repeat(times)

    def seconds(self, queries: int, gradients: int) -> float:
        """For so many passes, of which so many with a gradient."""
        forward, backward = self._forward.median(), self._backward.median()
        return (queries - gradients) * forward + gradients * backward


class _Passes:
    """Full batches through the network; images repeat if they do not fill one."""

    def __init__(self, images: Images, size: int, function: Callable[[tf.Tensor], tf.Tensor]):
        self._batch = tf.gather(images, tf.range(size) % len(images))
        self._seconds: list[float] = []
        self._pass = tf.function(function, autograph=False)
        self._pass(self._batch)  # traces the graph

    def repeat(self, times: int) -> None:
        for _ in range(times):
            start = time.perf_counter()
            self._pass(self._batch).numpy()
            self._seconds.append(time.perf_counter() - start)

    def median(self) -> float:
        """Seconds per example."""
        return statistics.median(self._seconds) / len(self._batch)


def _backward(classifier: Classifier) -> Callable[[tf.Tensor], tf.Tensor]:
    def step(images: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits = classifier(images)
            labels = tf.argmax(logits, axis=1)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tape.gradient(loss, images)

    return step


class _PeakMemory:
    """The most memory held since this was made: the GPU's if there is one, else the process's."""

    STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def __init__(self) -> None:
        self._gpu = bool(tf.config.list_logical_devices("GPU"))
        self._known = True
        if self._gpu:
            tf.config.experimental.reset_memory_stats("GPU:0")
            return
        try:
            self.RESET.write_text("5", encoding="ascii")
        except OSError:  # not Linux, or a container that forbids it
            self._known = False

    def peak(self) -> int | None:
        if self._gpu:
            return int(tf.config.experimental.get_memory_info("GPU:0")["peak"]) // 2**20
        if not self._known:
            return None
        lines = self.STATUS.read_text(encoding="ascii").splitlines()
        line = next(one for one in lines if one.startswith("VmHWM"))
        return int(line.split()[1]) // 2**10
