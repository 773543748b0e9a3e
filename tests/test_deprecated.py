"""What version 0.5 called otherwise works, with a warning."""

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import a2d_tf
from a2d_tf import A2D, Classifier, attacks, deprecated

# The names that the modules of version 0.5 gave to others, by module.
NAMES = {
    line.split(": ")[0]: line.split(": ")[1].split()
    for line in (Path(__file__).parent / "data" / "names_0.5.txt").read_text().splitlines()
}


@pytest.mark.parametrize("module", sorted(NAMES))
def test_names_of_old_modules_are_found_with_a_warning(module: str) -> None:
    found = importlib.import_module(f"a2d_tf.{module}" if module else "a2d_tf")
    for name in NAMES[module]:
        with pytest.warns(DeprecationWarning, match=f"{name} is deprecated"):
            assert getattr(found, name) is not None


def test_old_modules_are_attributes_of_the_package() -> None:
    with pytest.warns(DeprecationWarning, match="use a2d_tf.images.spec.Bounds"):
        assert a2d_tf.pixels.Bounds is a2d_tf.Bounds
    with pytest.warns(DeprecationWarning, match="use a2d_tf.robustness.clever.clever_score"):
        from a2d_tf.clever import clever
    assert clever is importlib.import_module("a2d_tf.robustness").clever_score
    with pytest.raises(AttributeError, match="module 'a2d_tf' has no attribute 'nothing'"):
        a2d_tf.nothing
    with pytest.raises(AttributeError, match="module 'a2d_tf.pixels' has no attribute 'nothing'"):
        a2d_tf.pixels.nothing
    with pytest.raises(ImportError):
        importlib.import_module("a2d_tf.nothing")


def test_every_new_place_is_there() -> None:
    for place in deprecated.RENAMED.values():
        module, _, name = place.rpartition(".")
        assert hasattr(importlib.import_module(f"a2d_tf.{module}"), name), place
    for places in deprecated.MOVED.values():
        for place in places:
            importlib.import_module(f"a2d_tf.{place}")


def test_nothing_warns_where_no_old_name_is_used(classifier: Classifier) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        A2D(classifier, [attacks.BIM(), "directions"], "logistic")
        assert "detectors" in dir(a2d_tf)


def test_old_spellings_of_a2d(classifier: Classifier, benign: np.ndarray) -> None:
    bim = attacks.BIM(eps=0.3, step=0.004, max_iterations=60)
    with pytest.warns(DeprecationWarning, match='add the feature "directions"'):
        assert list(A2D(classifier, [bim], a2d_tf.detectors.Logistic(), directions=True).features
                    ) == ["bim", "directions"]
    a2d = A2D(classifier, [bim], a2d_tf.detectors.ZScore())
    with pytest.warns(DeprecationWarning, match="fit_and_calibrate is deprecated"):
        a2d.fit_and_calibrate(benign[:60], None, 0.1)
    with pytest.warns(DeprecationWarning, match="use measure"):
        np.testing.assert_array_equal(
            a2d.fingerprints(benign[:9]), a2d.measure(benign[:9]).values
        )
    with pytest.warns(DeprecationWarning, match="use Attack.stream"):
        run = bim.begin(classifier)
    with pytest.warns(DeprecationWarning, match="use AttackStream.update"):
        run.feed(benign[:5], last=True)
    np.testing.assert_array_equal(run.result().cost, bim.run(classifier, benign[:5]).cost)


@pytest.mark.parametrize("make, expected", [
    (lambda threats: threats.BIMa(eps=0.3, step=0.01),
     attacks.BIM(eps=0.3, step=0.01, max_iterations=50)),
    (lambda threats: threats.CW(kappa=1.0, c=0.02, constants=3, iterations=10),
     attacks.CarliniWagner(
         confidence=1.0, initial_const=0.02, binary_search_steps=3, max_iterations=30)),
    (lambda threats: threats.DeepFool(), attacks.DeepFool(max_iterations=100)),
], ids=["bim-a", "cw", "deepfool"])
def test_old_threats(make: Callable[[Any], Any], expected: attacks.Attack) -> None:
    with pytest.warns(DeprecationWarning):
        threat = make(importlib.import_module("a2d_tf.threats"))
    assert threat.attack.max_iterations == expected.max_iterations
    assert type(threat.attack) is type(expected)


def test_first_order_costs_by_their_old_name(classifier: Classifier, benign: np.ndarray) -> None:
    with pytest.warns(DeprecationWarning):
        from a2d_tf.directions import direction_costs
    costs = direction_costs(classifier, benign[:3])
    np.testing.assert_array_equal(
        costs, a2d_tf.features.DirectionCosts().measure(classifier, benign[:3])
    )
