"""Ours against Foolbox 3 and ART on the same classifier; needs the extra `peers`."""

import keras
import numpy as np
import pytest

from a2d_tf import Classifier
from a2d_tf.attacks import BIM, CarliniWagner
from a2d_tf.benchmark import peers

foolbox = pytest.importorskip("foolbox", reason="the extra `peers` is not installed")
pytest.importorskip("art", reason="the extra `peers` is not installed")

SEARCHES, STEPS, STEP, CONST = 5, 100, 0.05, 0.1


def l2(images: np.ndarray, others: np.ndarray, succeeded: np.ndarray) -> float:
    return float(np.sqrt(np.square(images - others).sum(axis=(1, 2, 3)))[succeeded].mean())


def of_foolbox(logits: keras.Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    import tensorflow as tf
    attack = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=SEARCHES, steps=STEPS, stepsize=STEP, initial_const=CONST
    )
    model = foolbox.TensorFlowModel(logits, bounds=(0, 1))
    _, found, _ = attack(model, tf.constant(images), tf.constant(labels), epsilons=None)
    return np.asarray(found)


def of_art(logits: keras.Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    from art.attacks.evasion import CarliniL2Method
    from art.estimators.classification import TensorFlowV2Classifier

    classifier = TensorFlowV2Classifier(
        logits, nb_classes=10, input_shape=images.shape[1:], clip_values=(0, 1),
        loss_object=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    attack = CarliniL2Method(
        classifier, binary_search_steps=SEARCHES, max_iter=STEPS, learning_rate=STEP,
        initial_const=CONST, batch_size=len(images), verbose=False,
    )
    found: np.ndarray = attack.generate(images, np.eye(10)[labels])
    return found


def test_carlini_wagner_is_as_near_as_the_better_peer(
    model: keras.Model, classifier: Classifier, benign: np.ndarray
) -> None:
    images = benign[:40]
    labels = classifier.predict(images)
    logits = keras.Sequential([*model.layers[:-1], keras.layers.Dense(10)])
    logits.build((None, 8, 8, 1))
    logits.layers[-1].set_weights(model.layers[-1].get_weights())
    ours = CarliniWagner(
        step=STEP, initial_const=CONST, binary_search_steps=SEARCHES,
        max_iterations=SEARCHES * STEPS,
    ).run(classifier, images).adversarial
    found = [ours, of_foolbox(logits, images, labels), of_art(logits, images, labels)]
    fooled = [classifier.predict(np.clip(one, 0, 1)) != labels for one in found]
    assert fooled[0].all()
    distances = [l2(one, images, success) for one, success in zip(found, fooled)]
    print("mean L2 of ours, Foolbox, ART:", distances, [f.mean() for f in fooled])
    assert distances[0] <= 1.05 * min(distances[1:])


def test_peers_take_the_same_steps(classifier: Classifier, benign: np.ndarray) -> None:
    attack = BIM(eps=0.1, step=0.01, max_iterations=7)
    labels = classifier.predict(benign[:10])
    ours = attack.run(classifier, benign[:10])
    for prepare in (peers._foolbox, peers._art):
        perform = prepare(classifier, classifier, attack, benign[:10], 10)
        found = perform(benign[:10], labels)
        found = np.asarray(found[1] if isinstance(found, tuple) else found)
        moved = np.abs(found - benign[:10]).max(axis=(1, 2, 3))
        np.testing.assert_allclose(moved, 0.07, atol=1e-4)
        # Where ours took every step too, it is at the same point.
        failed = ~ours.success
        np.testing.assert_allclose(found[failed], ours.adversarial[failed], atol=0.03)
    times = peers.time_peers(classifier, attack, benign[:10], 4)
    assert len(times) == 4 and all(time.seconds > 0 for time in times)
