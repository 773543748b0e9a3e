"""Report pages in a real browser: no errors, tables that sort, nothing wider than a phone."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a2d_tf.reports import adaptive_page, dataset_page, page, selection_page
from a2d_tf.reports.charts import Line, curves, histograms
from a2d_tf.reports.axes import Axis
from a2d_tf.reports.gallery import Pair
from a2d_tf.reports.page import Cell, DataTable, Gallery, Page, Section, Thumbnail
from a2d_tf.reports.svg import Chart
from a2d_tf.reports.tables import Table
from a2d_tf.reports.thumbnails import data_uri

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
HOSTILE = "<script>document.title = 'run'</script> \"quoted\" & 'more'"
PROVENANCE = json.dumps({
    "model": HOSTILE, "model_sha256": "c0ffee", "settings": {"attack": "BIM()"},
    "versions": {"a2d_tf": "1"},
})
IMAGE = np.linspace(0, 1, 192).reshape(8, 8, 3)
# What is asked of a page: how it sorts, how wide it is, and what was run in it.
PROBE = """
<script>
for (const folded of document.querySelectorAll("details")) folded.open = true;
const head = [...document.querySelectorAll("thead th")];
const column = (i) => [...document.querySelector("tbody").rows].map((r) => r.cells[i].textContent);
const states = () => head.slice(0, 2).map((one) => one.getAttribute("aria-sort"));
const steps = [];
for (const index of [1, 1, 0, 0]) {
  head[index].querySelector("button").click();
  steps.push({names: column(0).map((one) => one.trim()), states: states()});
}
const found = {
  steps, title: document.title,
  focusable: head.every((one) => { const b = one.querySelector("button"); b.focus();
    return document.activeElement === b; }),
  width: document.documentElement.scrollWidth, window: innerWidth,
  heads: head.every((one) => one.scope === "col"),
  rows: [...document.querySelectorAll("tbody tr")].every((r) => r.cells[0].scope === "row"),
  captions: [...document.querySelectorAll("table")].every((t) => t.caption.textContent),
  alts: [...document.images].every((one) => one.alt && one.complete && one.naturalWidth),
  charts: [...document.querySelectorAll("svg")].every((one) => one.getAttribute("aria-label")),
  outside: performance.getEntriesByType("resource")
    .filter((e) => !e.name.startsWith("data:")).length,
};
parent.postMessage(JSON.stringify(found), "*");
</script>
"""
FRAME = """<!DOCTYPE html><body><pre></pre><script>
addEventListener("message", (e) => { document.querySelector("pre").textContent = e.data; });
</script><iframe src="probed.html" width="WIDTH" height="800"></iframe></body>"""


def small_page() -> Page:
    """A page with everything that a page can hold."""
    rows = [
        [Cell("b", None), Cell("9", 9.0)], [Cell("a"), Cell("10", 10.0, True, "9 to 11")],
        [Cell(HOSTILE), Cell("–")],
    ]
    line = Line([0.001, 0.1, 1], [0.2, 0.8, 1], [0.1, 0.7, 1], [0.3, 0.9, 1])
    return Page(HOSTILE, "The answer.", HOSTILE, [
        Section("Table", [HOSTILE, DataTable("What it shows.", ["name", "number"], rows)]),
        Section("Charts", [
            curves({"a": line, HOSTILE: line}, Axis("x", log=True), Axis("y"), HOSTILE, "caption"),
            histograms({"benign": [0, 3, 500], HOSTILE: []}, 500, HOSTILE, HOSTILE),
        ]),
        Section("Images", [Gallery("Shown", [Thumbnail(data_uri(IMAGE), HOSTILE, ["1", HOSTILE])]),
                           Gallery("None", [])]),
        Section("Folded", ["text"], folded=True),
    ])


def chromium(path: Path) -> tuple[str, str]:
    """The page after its scripts have run, and what the browser said."""
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         "--virtual-time-budget=3000", f"--user-data-dir={path.parent / 'profile'}", "--dump-dom",
         path.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )
    return done.stdout, done.stderr


def probe(shown: Page, folder: Path, width: int = 400) -> dict[str, Any]:
    """What the browser finds in a page of some width in pixels; it must say nothing itself."""
    page.write(shown, folder / "page.html")
    text = (folder / "page.html").read_text()
    (folder / "probed.html").write_text(text.replace("</body>", PROBE + "</body>"))
    (folder / "frame.html").write_text(FRAME.replace("WIDTH", str(width)))
    dom, said = chromium(folder / "frame.html")
    assert "CONSOLE" not in said, said
    found: dict[str, Any] = json.loads(html.unescape(re.findall("<pre>(.*?)</pre>", dom)[0]))
    return found


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


def test_text_is_escaped_and_nothing_lies_outside(tmp_path: Path) -> None:
    page.write(small_page(), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert text.count("<script>") == 1 and "&lt;script&gt;" in text
    assert not re.search(r"(?:src|href)=\"(?!data:)", text) and "url(" not in text
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text
    assert "@media print" in text and '<html lang="en">' in text


@pytest.mark.long
@needs_chromium
@pytest.mark.parametrize("width", [400, 1400])
def test_a_page_sorts_and_fits(width: int, tmp_path: Path) -> None:
    found = probe(small_page(), tmp_path, width)
    assert found["title"] == HOSTILE, "a script in a text was run"
    steps = found["steps"]
    # Numbers begin with the largest, words with the first; texts stand below all numbers.
    assert [one["names"] for one in steps] == [
        ["a", "b", HOSTILE], [HOSTILE, "b", "a"], [HOSTILE, "a", "b"], ["b", "a", HOSTILE],
    ]
    assert [one["states"] for one in steps] == [
        ["none", "descending"], ["none", "ascending"], ["ascending", "none"],
        ["descending", "none"],
    ]
    assert found["window"] == width and found["width"] <= width
    for good in ("focusable", "heads", "rows", "captions", "alts", "charts"):
        assert found[good], good
    assert found["outside"] == 0


ROWS = [
    {"detector": name, "attack": "pgd", "strength": strength, "norm": "linf", "images": 9,
     "bypass_rate": strength, "interval": (0.0, 0.9), "misclassified": 1.0, "mean_l2": 1.0}
    for name in ("bim", "margin") for strength in (0.1, 0.3)
]
WORST = [
    {"detector": name, "images": 9, "false_positive_rate": 0.05, "bypass_rate": rate,
     "attacks": ["pgd"], "interval": (0.1, 0.9)}
    for name, rate in (("bim", 5 / 9), ("no defence", 1.0))
]
SCORES = [
    {"attack": name, "auroc": auroc, "auroc_interval": (0.8, 0.99), "seconds": seconds,
     "per_second": 2 / seconds, "benign": 100.0, "adversarial": 4.0, "at_cap": 0.0,
     "images": (30, 40), "pareto_optimal": auroc > 0.9}
    for name, auroc, seconds in (("bim", 0.95, 0.01), ("jsma", 0.97, 0.2), ("dba", 0.6, 3.0))
]
SUMMARY = {
    "rows": 1003, "flagged": 54, "judged": 1000, "judged_flagged": 51,
    "classes": {"0": {"rows": 400, "flagged": 1, "share": 0.0025},
                "1": {"rows": 600, "flagged": 50, "share": 1 / 12}},
    "failed": 3, "scores": {"edges": [0.0, 1.0, 2.0, 3.0], "counts": [900, 60, 40]},
    "reasons": {"expected an image": {"rows": 3, "examples": [{"id": "a.png", "error": HOSTILE}]}},
}


def adaptive() -> Page:
    tables = [Table("By attack", ["detector", "attack"], [["bim", "pgd"]]),
              Table("Worst", ["detector"], [["bim"]]), Table("Price", ["detector"], [["bim"]])]
    pairs = {"bim: nearest": [Pair(IMAGE, IMAGE, "pgd 0.1\nL2 0.5")], "margin: none": []}
    return adaptive_page.page("Half bypass.", ROWS, WORST, tables, pairs, PROVENANCE)


PAGES = {
    "adaptive": adaptive,
    "selection": lambda: selection_page.page(SCORES, PROVENANCE),
    "dataset": lambda: dataset_page.page(SUMMARY, {"detector": HOSTILE}, 2.0),
}
ANSWERS = {
    "adaptive": "Half bypass.",
    "selection": "bim separates most per second: AUROC 0.9500 in 0.01 s per image; jsma separates "
    "best: AUROC 0.9700 in 0.2 s.",
    "dataset": "51 of 1,000 rows are flagged as adversarial (5.10%); 3 more could not be judged.",
}


def test_charts_of_many_defences_keep_the_baselines() -> None:
    names = [*(f"detector {place}" for place in range(6)), "margin", "none"]
    rows = [
        ROWS[0] | {"detector": name, "strength": eps, "bypass_rate": eps}
        for name in names for eps in (0.1, 0.3)
    ]
    page = adaptive_page.page("", rows, WORST, [Table("By attack", [], [])] * 2, {}, PROVENANCE,
                              ("margin", "none"))
    chart = page.sections[1].blocks[0]
    assert isinstance(chart, Chart)
    for name in (*names[:4], "margin", "none"):
        assert f"{name} 30%" in chart.svg, chart.svg
    assert chart.caption.endswith("Not drawn: detector 4, detector 5.")


@pytest.mark.parametrize("name", PAGES)
def test_the_answer_is_one_sentence(name: str) -> None:
    assert PAGES[name]().answer == ANSWERS[name]


def test_a_dataset_without_scores_or_failures() -> None:
    empty = SUMMARY | {"rows": 0, "judged": 0, "judged_flagged": 0, "failed": 0, "classes": {},
                       "reasons": {}, "scores": {"edges": [], "counts": []}}
    shown = dataset_page.page(empty, {})
    assert shown.answer == "0 of 0 rows are flagged as adversarial."
    assert [one.title for one in shown.sections] == ["Settings"]


@pytest.mark.long
@needs_chromium
@pytest.mark.parametrize("name", PAGES)
def test_every_page_in_a_browser(name: str, tmp_path: Path) -> None:
    found = probe(PAGES[name](), tmp_path)
    assert found["width"] <= 400 and found["title"] != "run"
    for good in ("focusable", "heads", "rows", "captions", "alts", "charts"):
        assert found[good], good
