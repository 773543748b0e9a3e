"""Foolbox 3 and ART on the same classifier and images; needs the extra `peers`."""

import importlib.util
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from a2d_tf.attacks import BIM, Attack
from a2d_tf.attacks.runner import OnFinished
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Images, Labels

PEERS = 4  # two libraries, each in two ways
Perform = Callable[[Images, Labels], Any]


class PeerTime(NamedTuple):
    """A peer's time for an attack that this library has too.

    Attributes:
      name: the peer, and how it was given the classifier.
      seconds: wall time for all images, without the first calls, which prepare it.
    """

    name: str
    seconds: float


def has_peers(attack: Attack) -> bool:
    """Whether the peers have the attack: `BIM`, step by step."""
    return type(attack) is BIM and not attack.search


def check_peers(shared: Sequence[str]) -> None:
    """Raises InvalidInputError unless there is an attack to share, and the peers are installed."""
    if not shared:
        raise InvalidInputError("expected --attacks with bim for --peers, got none; add it")
    if missing := [name for name in ("foolbox", "art") if importlib.util.find_spec(name) is None]:
        raise InvalidInputError(
            f"expected Foolbox and ART to be installed for --peers, got no {', '.join(missing)}; "
            "pip install --use-pep517 -e '.[peers]'"
        )


def time_peers(
    classifier: Classifier, attack: Attack, images: Images, batch_size: int,
    on_finished: OnFinished = lambda done: None,
) -> list[PeerTime]:
    """Times the peers' basic iterative method with the steps and lengths of ours.

    Each peer is timed twice: with the classifier's logits as a function that TensorFlow runs
    eagerly, as in its documentation, and as one compiled by `tf.function`.

    Args:
      classifier: the classifier under attack.
      attack: one that `has_peers`; they take every step for every image.
      images: f32[N,H,W,C], checked, N >= 1.
      batch_size: images at once.
      on_finished: called with 1 for each of the `PEERS` that was timed.
    """
    labels = classifier.predict(images, batch_size)
    compiled = tf.function(classifier.__call__, autograph=False, reduce_retracing=True)
    times = []
    for model, how in ((classifier, "eager"), (compiled, "tf.function")):
        for name, prepare in (("foolbox", _foolbox), ("art", _art)):
            perform = prepare(model, classifier, attack, images, batch_size)
            for count in (batch_size, len(images) % batch_size or batch_size):
                perform(images[:count], labels[:count])  # traces for batches of this size
            start = time.perf_counter()
            for first in range(0, len(images), batch_size):
                part = slice(first, first + batch_size)
                perform(images[part], labels[part])
            times.append(PeerTime(f"{name}, {how}", time.perf_counter() - start))
            on_finished(1)
    return times


def _foolbox(
    model: Any, classifier: Classifier, attack: Any, images: Images, batch_size: int
) -> Perform:
    import foolbox

    bounds = classifier.bounds
    wrapped = foolbox.TensorFlowModel(model, bounds=tuple(bounds))
    method = foolbox.attacks.LinfBasicIterativeAttack(
        abs_stepsize=attack.step * bounds.range, steps=attack.max_iterations
    )
    return lambda images, labels: method(
        wrapped, tf.constant(images), tf.constant(labels), epsilons=attack.eps * bounds.range
    )


def _art(
    model: Any, classifier: Classifier, attack: Any, images: Images, batch_size: int
) -> Perform:
    from art.attacks.evasion import BasicIterativeMethod
    from art.estimators.classification import TensorFlowV2Classifier

    bounds = classifier.bounds
    classes = classifier.logits(images[:1]).shape[1]
    wrapped = TensorFlowV2Classifier(
        lambda images, training=False: model(images),
        nb_classes=classes, input_shape=images.shape[1:], clip_values=tuple(bounds),
        loss_object=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    method = BasicIterativeMethod(
        wrapped, eps=attack.eps * bounds.range, eps_step=attack.step * bounds.range,
        max_iter=attack.max_iterations, batch_size=batch_size, verbose=False,
    )
    return lambda images, labels: method.generate(images, np.eye(classes)[labels])
