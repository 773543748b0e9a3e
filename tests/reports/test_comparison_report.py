"""The report shows the right numbers in the right cells."""

import copy
import json
import re
from typing import Any

import pytest
from rich.console import Console

from a2d_tf.reports import comparison_report, comparison_table, tables

COLUMNS = ["bim", "bim2", "jsma", "dba", "ensemble_knn", "kd", "lid"]


def cell(auroc: float, published: float | None = None) -> dict[str, Any]:
    return {
        "auroc": auroc,
        "auroc_ci95": [auroc - 0.004, auroc + 0.002],
        "tpr_at_fpr": {"0.1": auroc - 0.1, "0.01": auroc - 0.3, "0.05": auroc - 0.2},
        "published": published,
        "invalid": [0, 0],
    }


@pytest.fixture
def results() -> dict[str, Any]:
    values = {
        "dataset": "mnist", "limit": 1000, "shuffle": False, "seed": 7,
        "model": {"name": "lenet.keras", "sha256": "c0ffee", "test_accuracy": 0.9902},
        "settings": {
            "attacks": {"bim": "BIM(eps=0.3)", "bim2": "BIM2()", "jsma": "JSMA()", "dba": "DBA()"},
            "threats": {"fgsm": "FGSM(eps=0.3)", "cw": "a|b"},
            "detectors": {"bim": "ZScore(h=-1.281552, votes=2)"},
        },
        "versions": {"a2d_tf": "0.1.0", "tensorflow": "2.21.0"},
        "splits": {"fit": 500, "calibration": 400, "test": 900},
        "threats": {
            "fgsm": {"crafted": 1000, "success_rate": 0.93, "tested": 930},
            "cw": {"crafted": 800, "success_rate": 1.0, "tested": 800},
        },
        "columns": {name: f"what {name} is" for name in COLUMNS},
        "baselines": ["kd", "lid"],
        "benign_only": ["bim", "bim2", "jsma", "dba"],
        "passes": {
            "bim": {"queries": 231.4, "gradients": 230.4}, "kd": {"queries": 51, "gradients": 0},
            "lid": {"queries": 1, "gradients": 0}, "dba": None,
        },
        "cells": {
            "fgsm": {name: cell(0.99 - 0.01 * i) for i, name in enumerate(COLUMNS)},
            "cw": {name: cell(0.90 + 0.001 * i) for i, name in enumerate(COLUMNS)},
        },
        "unseen": {"cw": {"kd": cell(0.61), "ensemble_knn": cell(0.62)}},
        "costs": {
            "benign": {"bim": {"median": 236.0, "quartiles": [180.0, 290.5], "at_cap": 0.031,
                               "n": 900}},
            "fgsm": {"bim": {"median": 4.0, "quartiles": [1.0, 9.0], "at_cap": 0.0, "n": 930}},
        },
        "false_positive_rate": {"bim": {"0.01": 0.012, "0.05": 0.05, "0.1": 0.113}},
        "seconds": {"train": 12.0, "costs/bim/benign": 33.14},
    }
    values["cells"]["fgsm"]["bim"]["published"] = 0.9922  # type: ignore[index]
    parsed: dict[str, Any] = json.loads(json.dumps(values))
    return parsed


def grid(text: str, heading: str) -> dict[tuple[str, str], str]:
    """The markdown table under a heading, as (row, column) -> cell."""
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    header, _, *rows = lines
    assert all(len(row) == len(header) for row in rows)
    return {(row[0], name): value for row in rows for name, value in zip(header, row)}


def terminal(results: dict[str, Any]) -> str:
    table = comparison_table.table(results)
    width = tables.terminal_width(table)
    console = Console(width=width, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def plain_lines(shown: str) -> list[str]:
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()]


def test_summary(results: dict[str, Any]) -> None:
    head = comparison_report.markdown(results, []).split("## ")[0]
    for fact in ("mnist", "`lenet.keras`", "0.9902", "1000 images", "the first that", "500 fit",
                 "400 calibration", "900 test", "seed 7"):
        assert fact in head


def test_auroc_cells(results: dict[str, Any]) -> None:
    cells = grid(comparison_report.markdown(results, []), "Detection")
    assert cells["bim", "fgsm"] == "**0.9900** [0.986, 0.992] (paper 0.9922)"
    assert cells["bim2", "fgsm"] == "0.9800 [0.976, 0.982]"
    assert cells["bim", "cw"] == "0.9000 [0.896, 0.902]"
    assert cells["lid", "cw"] == "**0.9060** [0.902, 0.908]"
    assert [cells[name, "passes"] for name in ("bim", "kd", "dba")] == ["231 + 230", "51", "–"]
    assert sum("**" in value for value in cells.values()) == 2


def test_verdicts_name_the_best_and_whether_it_is_a_baseline(results: dict[str, Any]) -> None:
    text = comparison_report.markdown(results, [])
    assert ("`fgsm`: highest is `bim` (not a baseline) with 0.9900; "
            "the interval of no other detector overlaps.") in text
    assert ("`cw`: highest is `lid` (a baseline) with 0.9060; the interval overlaps with that of "
            "`bim`, `bim2`, `jsma`, `dba`, `ensemble_knn`, `kd`, so their order is uncertain."
            ) in text


def test_an_ensemble_of_costs_is_no_baseline_and_a_tie_names_both(results: dict[str, Any]) -> None:
    results["cells"] = {"fgsm": {"ensemble_knn": cell(0.9), "kd": cell(0.9)}}
    text = comparison_report.markdown(results, [])
    assert "highest is `ensemble_knn` (not a baseline) and `kd` (a baseline) with 0.9000" in text


def test_true_positive_rates_are_ordered_by_rate(results: dict[str, Any]) -> None:
    text = comparison_report.markdown(results, [])
    cells = grid(text, "Detected at a fixed false-positive rate")
    assert cells["bim", "fgsm"] == "69.0 / 79.0 / 89.0"
    assert "when 1.0 % / 5.0 % / 10.0 % of the benign" in text


def test_unseen_shows_only_its_own_columns(results: dict[str, Any]) -> None:
    cells = grid(comparison_report.markdown(results, []), "Threats not seen in fitting")
    assert {row for row, _ in cells} == {"ensemble_knn", "kd"}
    assert cells["ensemble_knn", "cw"] == "**0.6200** [0.616, 0.622]"
    assert cells["kd", "cw"] == "0.6100 [0.606, 0.612]"


def test_other_tables(results: dict[str, Any]) -> None:
    text = comparison_report.markdown(results, [])
    threats = grid(text, "Threats")
    assert threats["fgsm", "success rate"] == "93.0 %" and threats["fgsm", "tested"] == "930"
    assert threats["cw", "setting"] == r"`a\|b`"
    assert "| bim | benign | 900 | 236 | 180 to 290.5 | 3.1 % |" in text
    assert "| bim | fgsm | 930 | 4 | 1 to 9 | 0.0 % |" in text
    rates = grid(text, "False positives: asked and measured")
    assert rates["bim", "asked 1.0 %"] == "1.2 %" and rates["bim", "asked 10.0 %"] == "11.3 %"
    for row in ("| tensorflow | 2.21.0 |", "| costs/bim/benign | 33.1 |", "`c0ffee`",
                "| bim | `BIM(eps=0.3)` |", "- `kd`: what kd is"):
        assert row in text


def test_pictures(results: dict[str, Any]) -> None:
    text = comparison_report.markdown(results, [("ROC of fgsm", "pictures/roc.png")])
    assert "![ROC of fgsm](<pictures/roc.png>)" in text
    assert "## Pictures" not in comparison_report.markdown(results, [])


@pytest.mark.parametrize("missing", [True, False])
def test_no_unseen_section_without_unseen_results(results: dict[str, Any], missing: bool) -> None:
    results["unseen"] = {}
    if missing:
        del results["unseen"]
    text = comparison_report.markdown(results, [])
    assert "not seen in fitting" not in text and "\n\n\n" not in text


def test_missing_cells_are_dashes(results: dict[str, Any]) -> None:
    del results["cells"]["fgsm"]["kd"]
    results["cells"]["cw"] = {"kd": cell(0.8)}
    results["cells"]["jsma"] = {}
    results["threats"]["jsma"] = {"crafted": 9, "success_rate": 0.0, "tested": 0}
    text = comparison_report.markdown(results, [])
    cells = grid(text, "Detection")
    assert cells["kd", "fgsm"] == cells["bim", "cw"] == cells["kd", "jsma"] == "–"
    assert cells["kd", "cw"] == "**0.8000** [0.796, 0.802]"
    assert "`jsma`: nothing was measured." in text
    kd = next(line for line in plain_lines(terminal(results)) if line.startswith("kd"))
    assert kd.split() == ["kd", "51", "–", "0.8000", "0.796–0.802", "–"]


def test_terminal_table_fits_its_width(results: dict[str, Any]) -> None:
    for threat in ("jsma", "bim-a"):
        results["cells"][threat] = copy.deepcopy(results["cells"]["cw"])
        results["threats"][threat] = results["threats"]["cw"]
    for row in results["cells"].values():
        for value in row.values():
            value["published"] = 0.9922
    lines = plain_lines(terminal(results))
    assert max(map(len, lines)) <= 140
    head = next(i for i, line in enumerate(lines) if line.startswith("detector"))
    assert lines[head - 1].split() == ["fgsm", "cw", "jsma", "bim-a"]
    assert lines[head].split()[:5] == ["detector", "passes", "ASR", "93", "%"]
    bim = next(i for i, line in enumerate(lines) if line.startswith("bim "))
    assert lines[bim].split()[:7] == [
        "bim", "231", "+", "230", "0.9900", "0.986–0.992", "0.9000",
    ]
    assert lines[bim + 1].split()[:3] == ["69/79/89", "paper", "0.9922"]


def test_terminal_table_marks_the_best_and_leaves_out_absent_figures(
    results: dict[str, Any],
) -> None:
    shown = terminal(results)
    assert "\x1b[1m0.9900\x1b[0m" in shown and "\x1b[1m0.9060\x1b[0m" in shown
    assert "\x1b[1m0.9800" not in shown
    assert plain_lines(shown)[-1].count("paper") <= 1 and shown.count("paper 0.9922") == 1


def test_one_line_answers_which_detector_is_worth_its_price(results: dict[str, Any]) -> None:
    results["columns"] = {"margin": "the margin"} | results["columns"]
    results["benign_only"].append("margin")
    results["passes"]["margin"] = {"queries": 1, "gradients": 0}
    for threat, auroc in (("fgsm", 0.80), ("cw", 0.85)):
        results["cells"][threat]["margin"] = cell(auroc)
    # dba, of some images only, does not take part.
    results["cells"]["fgsm"]["dba"] = cell(1.0)
    assert comparison_table.answer(results) == (
        "Best detector: bim, mean AUROC 0.9450 (+0.1200 against the margin), passes per image "
        "231 + 230; it needs benign images alone."
    )
    results["cells"]["fgsm"]["lid"] = cell(0.99)
    assert comparison_table.answer(results) == (
        "Best detector: lid, mean AUROC 0.9480 (+0.1230 against the margin), passes per image 1; "
        "from benign images alone: bim, mean AUROC 0.9450 (+0.1200 against the margin), passes per "
        "image 231 + 230."
    )
    assert comparison_table.answer(results) in comparison_report.markdown(results, [])
    for row in results["cells"].values():
        row["margin"] = cell(0.995)
    assert comparison_table.answer(results) == (
        "Best detector: margin, mean AUROC 0.9950, passes per image 1; it needs benign images "
        "alone."
    )


def test_results_are_left_as_they_were(results: dict[str, Any]) -> None:
    before = copy.deepcopy(results)
    comparison_report.markdown(results, [])
    comparison_table.table(results)
    comparison_table.answer(results)
    assert results == before


def test_images_that_could_not_be_judged_are_counted(results: dict[str, Any]) -> None:
    assert "could not be judged" not in comparison_report.markdown(results, [])
    results["cells"]["cw"]["kd"]["invalid"] = [2, 5]
    assert "count as flagged: 7 by kd." in comparison_report.markdown(results, [])
