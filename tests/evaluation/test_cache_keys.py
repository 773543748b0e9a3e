"""Results of changed code are never found again."""

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import pytest

import a2d_tf
from a2d_tf import A2D, Bounds, Classifier, InvalidInputError
from a2d_tf.adaptive import SelectivePGD, differentiable_score
from a2d_tf.attacks import BIM
from a2d_tf.evaluation.cache_keys import classifier_key, settings_key
from a2d_tf.features import AttackCost
from a2d_tf.storage import provenance
from a2d_tf.storage.stages import Stages
from a2d_tf.threats import HopSkipJump
from a2d_baselines.kd import KD

OWN_ATTACK = """
from a2d_tf.attacks import BIM
from {helper} import STEPS

class Mine(BIM):
    name = "mine"
    steps = STEPS
"""


@pytest.fixture
def copied_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the library, of which digests are made."""
    root = tmp_path / "a2d_tf"
    shutil.copytree(Path(a2d_tf.__file__).parent, root, ignore=shutil.ignore_patterns("*.pyc"))
    monkeypatch.setattr(provenance, "__file__", str(root / "storage" / "provenance.py"))
    provenance.source_digest.cache_clear()
    yield root
    provenance.source_digest.cache_clear()


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


@pytest.mark.parametrize("change", [
    lambda root: append(root / "attacks" / "basic_iterative_method.py", "\nSTEPS = 3\n"),
    lambda root: append(root / "classifiers" / "classifier.py", "\n# another\n"),
    lambda root: (root / "attacks" / "new.py").write_text(""),
    lambda root: (root / "attacks" / "jsma.py").rename(root / "attacks" / "saliency.py"),
    lambda root: (root / "attacks" / "jsma.py").unlink(),
])
def test_stages_of_changed_code_are_made_again(
    change: Callable[[Path], Any], copied_library: Path, tmp_path: Path
) -> None:
    made: list[int] = []

    def make() -> dict[str, Any]:
        made.append(1)
        return {}

    Stages(tmp_path).arrays("costs", {"attack": "bim"}, make)
    Stages(tmp_path).arrays("costs", {"attack": "bim"}, make)
    assert len(made) == 1
    change(copied_library)
    provenance.source_digest.cache_clear()  # as in another process
    Stages(tmp_path).arrays("costs", {"attack": "bim"}, make)
    assert len(made) == 2


def test_code_outside_the_library_is_part_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mine_of_cache_keys"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("STEPS = 1")
    (package / "attack.py").write_text(OWN_ATTACK.format(helper=f"{package.name}.helper"))
    monkeypatch.syspath_prepend(tmp_path)
    mine = importlib.import_module(f"{package.name}.attack").Mine
    before = settings_key(mine()), settings_key(AttackCost(attack=mine()))
    (package / "helper.py").write_text("STEPS = 2")
    provenance.source_digest.cache_clear()
    after = settings_key(mine()), settings_key(AttackCost(attack=mine()))
    for name in [name for name in sys.modules if name.startswith(package.name)]:
        del sys.modules[name]
    assert before[0] != after[0] and before[1] != after[1]


def test_settings_are_part_of_the_key_and_the_libraries_own_code_is_in_every_key() -> None:
    assert settings_key(BIM()) == settings_key(BIM()) != settings_key(BIM(step=0.5))
    assert "code" not in settings_key(BIM()) and "code" in settings_key(KD())


OWN_LAYER = """
import keras

@keras.saving.register_keras_serializable("{module}")
class Scaled(keras.layers.Layer):
    def call(self, images):
        return images * {factor}
"""


def test_a_classifier_is_known_by_its_bounds_and_the_code_of_its_layers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "a2d_test_scaled"
    (tmp_path / f"{module}.py").write_text(OWN_LAYER.format(module=module, factor=1))
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module(module)
    keras.Sequential([
        keras.Input((4, 4, 1)), own.Scaled(), keras.layers.Flatten(), keras.layers.Dense(3),
    ]).save(tmp_path / "own.keras")
    first = classifier_key(Classifier.load(tmp_path / "own.keras"))
    assert first == classifier_key(Classifier.load(tmp_path / "own.keras"))
    assert first != classifier_key(Classifier.load(tmp_path / "own.keras", Bounds(-1, 1)))
    (tmp_path / f"{module}.py").write_text(OWN_LAYER.format(module=module, factor=2))
    provenance.source_digest.cache_clear()
    assert first != classifier_key(Classifier.load(tmp_path / "own.keras"))


def test_the_code_of_a_notebook_is_part_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = ModuleType("a2d_test_notebook")
    monkeypatch.setitem(sys.modules, notebook.__name__, notebook)

    def key() -> dict[str, Any]:
        exec(OWN_ATTACK.format(helper="math").replace("STEPS", "pi"), vars(notebook))
        return settings_key(notebook.Mine(max_iterations=3))

    # Nothing is known of code that was typed: it equals no other.
    assert key()["text"] != key()["text"]


def test_settings_that_do_not_say_what_they_are_are_refused(benign: Any, model: Any) -> None:
    a2d = A2D(model, "margin", "zscore").fit(benign[:60])
    for threat in (
        HopSkipJump(is_flagged=a2d.is_adversarial),
        SelectivePGD(eps=0.1, goal=differentiable_score(a2d)),
    ):
        with pytest.raises(InvalidInputError, match="expected settings whose text says what"):
            settings_key(threat)
