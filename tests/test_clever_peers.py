"""CLEVER against ART's on the same classifier; needs the extra `peers`."""

from typing import Any

import keras
import numpy as np
import pytest

from a2d_tf import Classifier
from a2d_tf.clever import Sampling, clever

pytest.importorskip("art", reason="the extra `peers` is not installed")

SAMPLING = Sampling(batches=100, samples=64, pool=10)  # the pool that ART has, too


def art_classifier(model: keras.Model) -> Any:
    """The model's logits for ART."""
    from art.estimators.classification import TensorFlowV2Classifier

    class Wrapped(TensorFlowV2Classifier):  # type: ignore[misc]
        def class_gradient(self, x: Any, label: Any = None, **others: Any) -> Any:
            # CLEVER asks with a NumPy integer, which it refuses.
            return super().class_gradient(x, label=int(label), **others)

    logits = keras.Sequential([*model.layers[:-1], keras.layers.Dense(10, name="logits")])
    logits.build((None, 8, 8, 1))
    logits.layers[-1].set_weights(model.layers[-1].get_weights())
    return Wrapped(
        logits, nb_classes=10, input_shape=(8, 8, 1), clip_values=(0, 1),
        loss_object=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )


def test_scores_are_near_those_of_art(
    model: keras.Model, classifier: Classifier, benign: np.ndarray
) -> None:
    from art.metrics import clever_t, clever_u

    np.random.seed(0)
    settings = (SAMPLING.batches, SAMPLING.samples, SAMPLING.radius, SAMPLING.norm)
    wrapped = art_classifier(model)
    ours = clever(classifier, benign[:8], "top2", SAMPLING)
    theirs = [
        clever_t(wrapped, image, int(target), *settings)
        for image, target in zip(benign, ours.target)
    ]
    print("ours / ART:", ours.score / theirs)
    assert 0.9 < np.median(ours.score / theirs) < 1.1
    nearest = clever(classifier, benign[:2], "untargeted", SAMPLING)
    theirs = [clever_u(wrapped, image, *settings, verbose=False) for image in benign[:2]]
    print("untargeted:", nearest.score / theirs)
    np.testing.assert_allclose(nearest.score, theirs, rtol=0.3)
