"""Baselines by name, alone and together."""

import pytest

import a2d_baselines  # noqa: F401, registers its features
from a2d_tf import InvalidInputError
from a2d_tf.detectors import Conformal, Profile
from a2d_tf.evaluation.methods import baseline


def test_features_are_judged_together_by_the_detector_of_a2d() -> None:
    views = baseline("response+squeezing", 0)
    assert list(views.features) == ["response", "squeezing"]
    assert isinstance(views.detector, Profile) and not views.learns_from_threats
    assert views.description == (
        "response and squeezing, judged together by profile; benign images only"
    )
    assert isinstance(baseline("margin+squeezing", 0).detector, Conformal)
    seeds = [one.config()["seed"] for one in baseline("kd+lid", 7).features.values()]
    assert seeds == [7, 7]


@pytest.mark.parametrize("name, message", [
    ("margin+margin", "got margin twice in margin.margin"),
    ("margin+", "expected a feature out of"), ("zap+margin", "expected a feature out of"),
])
def test_what_cannot_be_judged_together_is_refused(name: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        baseline(name, 0)
