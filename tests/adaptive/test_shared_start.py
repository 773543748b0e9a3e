"""The images at which several attacks begin."""

import numpy as np
import pytest

from a2d_tf import Classifier
from a2d_tf.adaptive import FilteredPGD, SharedStart, Undefended
from a2d_tf.evaluation.adaptive_attacks import KINDS, Strength, Strengths


def test_each_image_is_made_once(
    classifier: Classifier, benign: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = benign[:12], classifier.predict(benign[:12])
    settings = {"eps": 0.2, "steps": 5, "loss": "margin"}
    plain = FilteredPGD(**settings).craft(classifier, images, labels).images
    made: list[int] = []
    perturb = FilteredPGD._perturb_batch

    def counted(
        self: FilteredPGD, classifier: Classifier, images: np.ndarray, labels: np.ndarray
    ) -> np.ndarray:
        made.append(len(images))
        return perturb(self, classifier, images, labels)

    monkeypatch.setattr(FilteredPGD, "_perturb_batch", counted)
    start = SharedStart(**settings)
    again, seeded = (
        SharedStart(**settings, seed=seed, made=start.made) for seed in (0, 1)
    )
    forgetful = SharedStart(**settings, most_bytes=1)
    for threat, some, count in (
        (start, slice(0, 12), 12), (again, slice(4, 9), 0), (again, slice(11, None, -1), 0),
        (seeded, slice(0, 12), 12), (forgetful, slice(0, 12), 12), (forgetful, slice(0, 12), 12),
    ):
        made.clear()
        found = threat.craft(classifier, images[some], labels[some]).images
        assert sum(made) == count
        if threat is not seeded:
            np.testing.assert_allclose(found, plain[some], atol=1e-6)
        else:
            assert (found != plain).any()


def test_attacks_on_scores_share_one(classifier: Classifier) -> None:
    strengths = Strengths(eps=(0.1, 0.2), steps=3)
    some = np.random.default_rng(0).random((9, 8, 8, 1), np.float32)
    goal = KINDS["surrogate"].knowledge(Undefended(classifier), "none", some)
    first, second = (
        KINDS[name].make(Strength(0.1, "linf"), strengths, goal)
        for name in ("selective", "orthogonal")
    )
    assert isinstance(first.start, SharedStart) and first.start.made is second.start.made
    assert repr(first.start) == repr(second.start)
    assert Strengths().start(Strength(0.1, "linf")).made is not first.start.made
