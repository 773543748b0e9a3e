"""The public names, their signatures, and the page that lists them."""

import importlib
import runpy
from pathlib import Path

import pytest

import a2d_tf

ROOT = Path(__file__).parents[1]
WRITER = ROOT / "docs" / "write_api.py"
NAMES = {
    "A2D", "A2DError", "Bounds", "Classifier", "CostTable", "Detection", "DetectorWarning",
    "Feature", "InvalidInputError", "NotFittedError", "UnsuitableClassifierError", "__version__",
    "attack_costs", "attacks", "detectors", "features",
}


def test_the_names_of_the_package() -> None:
    assert set(a2d_tf.__all__) == NAMES
    for name in NAMES:
        assert getattr(a2d_tf, name) is not None


def test_the_page_lists_every_public_name_with_its_signature() -> None:
    expected = runpy.run_path(str(WRITER))["page"]()
    found = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert found == expected, "run python docs/write_api.py, and look at what changed"


@pytest.mark.parametrize("name", runpy.run_path(str(WRITER))["MODULES"])
def test_every_public_name_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    for entry in module.__all__:
        value = getattr(module, entry)
        if callable(value) and getattr(value, "__module__", "builtins").startswith("a2d_tf"):
            assert (value.__doc__ or "").strip(), f"{name}.{entry}"
