"""Ours against Foolbox 3 and ART on the same classifier; needs the extra `peers`."""

import keras
import numpy as np
import pytest

from a2d_tf import Classifier
from a2d_tf.attacks import CarliniWagner

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
