"""CLEVER against ART's on the same classifier; needs the extra `peers`."""

from typing import Any

import numpy as np
import pytest

from a2d_tf import Classifier
from a2d_tf.robustness import Sampling, clever_score

pytest.importorskip("art", reason="the extra `peers` is not installed")

SAMPLING = Sampling(batches=100, samples=64, pool=10)  # the pool that ART has, too


def test_scores_are_near_those_of_art(
    for_art: Any, classifier: Classifier, benign: np.ndarray
) -> None:
    from art.metrics import clever_t, clever_u

    np.random.seed(0)
    settings = (SAMPLING.batches, SAMPLING.samples, SAMPLING.radius, SAMPLING.norm)
    ours = clever_score(classifier, benign[:8], "top2", SAMPLING)
    theirs = [
        clever_t(for_art, image, int(target), *settings)
        for image, target in zip(benign, ours.target)
    ]
    print("ours / ART:", ours.score / theirs)
    assert 0.9 < np.median(ours.score / theirs) < 1.1
    nearest = clever_score(classifier, benign[:2], "untargeted", SAMPLING)
    theirs = [clever_u(for_art, image, *settings, verbose=False) for image in benign[:2]]
    print("untargeted:", nearest.score / theirs)
    np.testing.assert_allclose(nearest.score, theirs, rtol=0.3)
