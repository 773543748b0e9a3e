"""How close an attack comes to the limit: nothing but the passes that it needs."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from a2d_tf.attacks import Attack
from a2d_tf.classifier import Classifier, Images

REPEATS = 15


class Measurement(NamedTuple):
    """One attack on one set of images.

    Attributes:
      images: their number.
      steps: queries made; a gradient attack's are forward-backward passes, others' forward ones.
      seconds: wall time of the attack, tracing left out.
      step_seconds: wall time of one such pass per example in a full batch, the median of passes
        just before and just after the attack.
    """

    images: int
    steps: int
    seconds: float
    step_seconds: float

    @property
    def ratio(self) -> float:
        """Time taken over the least time that the passes alone would take."""
        return self.seconds / (self.steps * self.step_seconds)


def measure(
    classifier: Classifier, attack: Attack, images: Images, batch_size: int = 128
) -> Measurement:
    """Times an attack and the passes it consists of, in one run.

    Args:
      classifier: the classifier under attack.
      attack: the cost attack.
      images: f32[N,H,W,C] with N >= 1.
      batch_size: examples at once, for the attack and for the passes.
    """
    checked = classifier.check(images)
    attack.run(classifier, checked[:2], batch_size=batch_size)  # traces the graph
    one_pass = _one_pass(classifier, checked, batch_size, backward=attack.needs_gradients)
    passes = _timed(one_pass)
    start = time.perf_counter()
    result = attack.run(classifier, checked, batch_size=batch_size)
    seconds = time.perf_counter() - start
    passes += _timed(one_pass)
    return Measurement(
        images=len(checked),
        steps=int(result.queries.sum()),
        seconds=seconds,
        step_seconds=statistics.median(passes) / batch_size,
    )


def _one_pass(
    classifier: Classifier, images: Images, batch_size: int, *, backward: bool
) -> Callable[[], object]:
    """One pass of a full batch; images repeat if they do not fill it."""
    batch = tf.gather(images, tf.range(batch_size) % len(images))

    def forward_backward(batch: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(batch)
            logits = classifier(batch)
            labels = tf.argmax(logits, axis=1)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tape.gradient(loss, batch)

    step = forward_backward if backward else classifier.decide
    one_pass = tf.function(step, autograph=False)
    one_pass(batch)  # traces the graph
    return lambda: one_pass(batch).numpy()


def _timed(call: Callable[[], object]) -> list[float]:
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds
