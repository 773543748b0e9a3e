"""README and the pages: their examples run, their flags and links exist, their tables are true."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import metadata
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import keras
import numpy as np
import pytest
import tensorflow as tf

RunScript = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
NOTEBOOKS = sorted(DOCS.glob("*.ipynb"))
COMMAND = re.compile(
    r"(?:scripts/(\w+)\.py|\ba2d-([a-z-]+)|(?<!scripts/)\b(\w+)\.py(?= --))((?:.*\\\n)*.*)"
)
WIDTH = 100
# What the examples take for granted: a model, images, a service that gives labels, and a server.
NAMES = '''
import io, json, urllib.request
import keras, numpy, numpy as np, tensorflow as tf

model = keras.models.load_model("model.keras")
given = np.load("given.npz")
benign, other_benign, images, adversarial = (
    given[name] for name in ("benign", "other_benign", "images", "adversarial"))
dataset = tf.data.Dataset.from_tensor_slices(images)


def ask_the_service(images):
    return model.predict_on_batch(images).argmax(axis=1)


def serve(url, body):
    question = json.loads(body)
    signature = tf.saved_model.load("served/1").signatures[question["signature_name"]]
    found = signature(images=tf.constant(question["instances"], tf.float32))
    rows = zip(*(found[name].numpy().tolist() for name in sorted(found)))
    answers = [dict(zip(sorted(found), row)) for row in rows]
    return io.BytesIO(json.dumps({"predictions": answers}).encode())


urllib.request.urlopen = serve
labels = ask_the_service(images)
'''


def snippets(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands() -> Iterator[tuple[str, list[str]]]:
    for page in PAGES:
        for *names, flags in COMMAND.findall(page.read_text()):
            script = "".join(names).replace("-", "_")
            if (ROOT / "scripts" / f"{script}.py").exists():
                yield script, re.findall(r"--(\w+)", re.split(r"[`|;]| && ", flags)[0])


@cache
def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).strip().replace(" ", "-") for one in headings}


@pytest.fixture
def folder(model: keras.Model, benign: np.ndarray, tmp_path: Path) -> Path:
    """A folder with the files that the examples read."""
    model.save(tmp_path / "model.keras")

    class Scores(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1))])
        def predict(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"scores": model(images)}

    module = Scores()
    module.model = model
    tf.saved_model.save(module, tmp_path / "saved_model", signatures={"predict": module.predict})
    random = np.random.default_rng(0)
    noise = 0.5 * np.sign(random.standard_normal(benign[:40].shape))
    np.savez(
        tmp_path / "given.npz", benign=benign[:100], other_benign=benign[100:200],
        images=benign[200:204], adversarial=np.clip(benign[:40] + noise, 0, 1).astype(np.float32),
    )
    return tmp_path


@pytest.mark.long
@pytest.mark.parametrize("page", [one for one in PAGES if snippets(one)], ids=lambda one: one.stem)
def test_examples_run(page: Path, folder: Path, run_script: RunScript) -> None:
    (folder / "example.py").write_text("\n".join([NAMES, *snippets(page)]))
    done = run_script(str(folder / "example"), cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.long
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda one: one.stem)
def test_notebooks_run(notebook: Path, tmp_path: Path, run_script: RunScript) -> None:
    cells = json.loads(notebook.read_text())["cells"]
    code = ["import matplotlib", "matplotlib.use('agg')"]
    code += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    (tmp_path / "notebook.py").write_text("\n".join(code))
    done = run_script(str(tmp_path / "notebook"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda one: one.stem)
def test_notebooks_are_stored_without_results(notebook: Path) -> None:
    for cell in json.loads(notebook.read_text())["cells"]:
        assert not cell.get("outputs") and not cell.get("execution_count")


@pytest.mark.long
@pytest.mark.parametrize("script", sorted({script for script, _ in commands()}))
def test_flags_exist(script: str, run_script: RunScript, tmp_path: Path) -> None:
    text = run_script(script, "--helpfull", cwd=tmp_path).stdout
    known = set(re.findall(r"^ +--(?:\[no\])?(\w+)", text, re.MULTILINE))
    used = {flag for one, flags in commands() if one == script for flag in flags}
    assert used <= known | {"help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda one: one.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"\w+:", link):
            name, _, anchor = unquote(link).partition("#")
            target = page.parent / name if name else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.fixture(scope="module")
def collector() -> Iterator[ModuleType]:
    sys.path.insert(0, str(DOCS))
    import collect_figures

    yield collect_figures
    sys.path.remove(str(DOCS))


@pytest.mark.parametrize("page", PAGES, ids=lambda one: one.stem)
def test_tables_are_those_of_the_results(page: Path, collector: ModuleType) -> None:
    text = page.read_text(encoding="utf-8")
    assert collector.filled(text, page.name) == text, "run python docs/collect_figures.py"
    assert text.count("<!-- table: ") == text.count("<!-- end -->")


def test_tables_are_made_from_the_stored_numbers(
    collector: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = {"auroc": 0.98765, "tpr_at_fpr": {"0.05": 0.5}}
    stored = {
        "columns": {"margin": "the margin"}, "benign_only": ["margin"],
        "cells": {"pgd": {"margin": cell}}, "passes": {"margin": {"queries": 1, "gradients": 2}},
    }
    monkeypatch.setattr("comparison_tables.stored", lambda name: stored)
    page = "before\n<!-- table: digits -->\nold\n<!-- end -->\nafter\n"
    assert collector.filled(page) == (
        "before\n<!-- table: digits -->\n| detector | learns from | PGD | passes |\n"
        "| --- | --- | --- | --- |\n| `margin` | benign | 0.988, 50% | 1 + 2 |\n"
        "<!-- end -->\nafter\n"
    )


def test_sentences_get_their_figures(collector: ModuleType) -> None:
    page = "It finds 1 % of\n  these, and 0.5 of those."
    words = "It finds {} % of these, and {} of those."
    assert collector.with_figures(page, words, ["30", "0.75"]) == (
        "It finds 30 % of\n  these, and 0.75 of those."
    )
    for other in (page.replace("finds", "misses"), page + page):
        with pytest.raises(ValueError, match="expected these words once"):
            collector.with_figures(other, words, ["30", "0.75"])


def test_examples_of_additions_are_short() -> None:
    assert all(len(one.splitlines()) < 40 for one in snippets(DOCS / "design.md"))


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_changelog_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert all(len(line) <= WIDTH for line in text.splitlines())
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    for heading in re.findall(r"^#{2,} .*$", text, re.MULTILINE):
        assert re.fullmatch(r"## \[(Unreleased|\d+\.\d+\.\d+)\].*", heading) or (
            heading.removeprefix("### ") in kinds
        ), heading


def test_a_package_index_gets_no_link_that_it_cannot_follow() -> None:
    told = metadata("a2d_tf")
    text = str(told.get_payload() or told["Description"])
    assert "## Try it" in text and "Choose a detector (`docs/choose.md`)" in text
    assert not re.search(r"\]\((?!https?://)", text) and "The picture" not in text
