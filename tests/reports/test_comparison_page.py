"""The page of a comparison shows the right numbers in the right cells."""

import copy
import json
import re
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from a2d_tf.reports import comparison_page, comparison_table, detector_tables, tables
from a2d_tf.reports.page import DataTable, Page, render
from a2d_tf.reports.svg import Chart

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


ROC = {"fgsm": {"bim": (np.array([0.0, 0.5, 1.0]), np.array([0.2, 0.9, 1.0]))}}
COSTS = {"bim": {"benign": np.array([200, 500, 236]), "fgsm": np.array([1, 4, 9])}}


def made(results: dict[str, Any]) -> Page:
    return comparison_page.page(results, ROC, COSTS, {"bim": 500}, [])


def texts(results: dict[str, Any]) -> str:
    """Everything that the page says, without markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", render(made(results))).split())


def section_tables(results: dict[str, Any], title: str) -> list[DataTable]:
    blocks, = (one.blocks for one in made(results).sections if one.title == title)
    return [block for block in blocks if isinstance(block, DataTable)]


def grid(table: DataTable) -> dict[tuple[str, str], str]:
    """(row, column) -> cell; the best ones stand between asterisks, and notes in brackets."""
    assert all(len(row) == len(table.header) for row in table.rows)
    return {
        (row[0].text, title): ("**{}**" if cell.best else "{}").format(cell.text)
        + (f" [{cell.note}]" if cell.note else "")
        for row in table.rows for title, cell in zip(table.header, row)
    }


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
    page = made(results)
    assert page.answer == comparison_table.answer(results)
    for fact in ("mnist", "lenet.keras", "0.9902", "1000 images", "the first that", "500 fit",
                 "400 calibration", "900 test", "seed 7"):
        assert fact in page.about, fact


def test_main_table(results: dict[str, Any]) -> None:
    table, = section_tables(results, "Detectors")
    cells = grid(table)
    assert cells["bim", "AUROC, fgsm"] == "**0.9900** [0.986 to 0.992]"
    assert cells["bim2", "AUROC, fgsm"] == "0.9800 [0.976 to 0.982]"
    assert cells["lid", "AUROC, cw"] == "**0.9060** [0.902 to 0.908]"
    assert cells["bim", "mean AUROC"] == "**0.9450**"
    assert cells["bim", "detected at 5 % FPR"] == "**74.5 %**"
    assert cells["bim", "detected at 1 % FPR"] == "**64.5 %**"
    assert [cells[name, "passes per image"] for name in ("bim", "kd", "dba")] == [
        "231 + 230", "51", "–",
    ]
    # It is not known what dba costs for all images, so that it takes no part in the means.
    assert cells["dba", "mean AUROC"] == cells["dba", "detected at 5 % FPR"] == "–"
    assert cells["bim", "learns from"] == "benign images"
    assert cells["kd", "learns from"] == "both kinds"


def test_verdicts_name_the_best_and_whether_it_is_a_baseline(results: dict[str, Any]) -> None:
    text = texts(results)
    assert ("fgsm: highest is bim (not a baseline) with 0.9900; "
            "the interval of no other detector overlaps.") in text
    assert ("cw: highest is lid (a baseline) with 0.9060; the interval overlaps with that of "
            "bim, bim2, jsma, dba, ensemble_knn, kd, so their order is uncertain.") in text
    results["cells"]["cw"]["magnet"] = cell(0.901)
    assert ("cw: highest is lid (a baseline) with 0.9060; the intervals of 7 others overlap with "
            "it, so the order is uncertain.") in texts(results)


def test_an_ensemble_of_costs_is_no_baseline_and_a_tie_names_both(results: dict[str, Any]) -> None:
    results["cells"] = {"fgsm": {"ensemble_knn": cell(0.9), "kd": cell(0.9)}}
    assert ("highest is ensemble_knn (not a baseline) and kd (a baseline) with 0.9000"
            in texts(results))


def test_tables_of_threats(results: dict[str, Any]) -> None:
    threats, fgsm, cw = section_tables(results, "Each threat in full")
    assert grid(threats)["fgsm", "success rate"] == "93.0 %"
    assert grid(threats)["cw", "setting"] == "a|b"
    assert [grid(fgsm)["bim", f"at {rate} % FPR"] for rate in ("1.0", "5.0", "10.0")] == [
        "69.0 %", "79.0 %", "89.0 %",
    ]
    assert grid(fgsm)["bim", "paper"] == "0.9922" and grid(cw)["bim", "paper"] == "–"


def test_unseen_shows_those_that_learn_from_benign_images_too(results: dict[str, Any]) -> None:
    table, = section_tables(results, "Threats not seen in fitting")
    cells = grid(table)
    assert [row[0].text for row in table.rows] == [
        "bim", "bim2", "jsma", "dba", "ensemble_knn", "kd",
    ]
    assert cells["ensemble_knn", "cw"] == "0.6200 [0.616 to 0.622; 32.0 % / 42.0 %]"
    assert cells["dba", "cw"] == "**0.9030** [0.899 to 0.905; 60.3 % / 70.3 %]"


def test_a_threat_that_fails_on_most_images_is_called_so(results: dict[str, Any]) -> None:
    results["threats"]["cw"]["success_rate"] = 0.3
    threats = section_tables(results, "Each threat in full")[0]
    assert grid(threats)["cw", "success rate"] == "30.0 %, fails on most"


def test_detectors_are_rows_that_fit_100_columns(results: dict[str, Any]) -> None:
    paper = {"fgsm": {"bim": 0.9922}}
    auroc, intervals, detected = detector_tables.detector_tables(
        "mnist", [results["cells"]], results["threats"], results["passes"], paper
    )
    assert auroc.rows[1:3] == [
        ["bim", "231 + 230", "**0.9900**", "0.9000"], ["", "paper", "0.9922", ""],
    ]
    assert intervals.rows[0] == ["bim", "231 + 230", "0.986 to 0.992", "0.896 to 0.902"]
    assert detected.rows[-1] == ["lid", "1", "63.0 / 73.0", "60.6 / 70.6"]
    assert all(tables.terminal_width(one.to_terminal()) <= 100 for one in (auroc, detected))
    # Of several seeds the means are shown, and no intervals.
    auroc, detected = detector_tables.detector_tables(
        "mnist", [results["cells"], {"fgsm": {"bim": cell(0.97)}, "cw": {"bim": cell(0.92)}}],
        results["threats"], results["passes"],
    )
    assert auroc.rows[1] == ["bim", "231 + 230", "**0.9800**", "0.9100"]
    assert auroc.rows[2] == ["", "± sd", "0.0141", "0.0141"]


def test_other_tables(results: dict[str, Any]) -> None:
    costs, = section_tables(results, "What attacks cost")
    assert [[one.text for one in row] for row in costs.rows] == [
        ["bim", "benign", "900", "236", "180 to 290.5", "3.1 %"],
        ["bim", "fgsm", "930", "4", "1 to 9", "0.0 %"],
    ]
    rates, = section_tables(results, "False positives, asked and measured")
    assert grid(rates)["bim", "asked 1.0 %"] == "1.2 %"
    assert grid(rates)["bim", "asked 10.0 %"] == "11.3 %"
    detectors, attacks, versions, seconds = section_tables(
        results, "Settings, versions and times"
    )
    assert grid(versions)["tensorflow", "version"] == "2.21.0"
    assert grid(seconds)["costs/bim/benign", "seconds"] == "33.1"
    assert grid(attacks)["bim", "setting"] == "BIM(eps=0.3)"
    assert grid(detectors)["kd", "what it is"] == "what kd is" and "c0ffee" in texts(results)


def test_charts_say_what_they_show(results: dict[str, Any]) -> None:
    charts = [
        block for one in made(results).sections for block in one.blocks if isinstance(block, Chart)
    ]
    roc, costs = charts
    assert "at a false-positive rate of 5 %, bim detects 20.0 %" in roc.svg
    assert "medians: benign 236, fgsm 4" in costs.svg


@pytest.mark.parametrize("missing", [True, False])
def test_no_unseen_section_without_unseen_results(results: dict[str, Any], missing: bool) -> None:
    results["unseen"] = {}
    if missing:
        del results["unseen"]
    assert "not seen in fitting" not in texts(results)


def test_missing_cells_are_dashes(results: dict[str, Any]) -> None:
    del results["cells"]["fgsm"]["kd"]
    results["cells"]["cw"] = {"kd": cell(0.8)}
    results["cells"]["jsma"] = {}
    results["threats"]["jsma"] = {"crafted": 9, "success_rate": 0.0, "tested": 0}
    cells = grid(section_tables(results, "Detectors")[0])
    assert cells["kd", "AUROC, fgsm"] == cells["bim", "AUROC, cw"] == "–"
    assert cells["kd", "AUROC, cw"] == "**0.8000** [0.796 to 0.802]"
    assert "jsma: nothing was measured." in texts(results)
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
    assert max(map(len, lines)) <= 100
    head = next(i for i, line in enumerate(lines) if line.startswith("detector"))
    assert lines[head - 1].split() == ["fgsm", "cw", "jsma", "bim-a"]
    assert lines[head].split()[:5] == ["detector", "passes", "ASR", "93", "%"]
    bim = next(i for i, line in enumerate(lines) if line.startswith("bim "))
    assert lines[bim].split()[:6] == ["bim", "231", "+", "230", "0.9900", "0.9000"]
    assert lines[bim + 1].split()[:2] == ["0.986–0.992", "0.896–0.902"]
    assert lines[bim + 2].split()[0] == "69/79/89"
    assert lines[bim + 3].split()[:2] == ["paper", "0.9922"]


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
    certain = {threat: dict(row) for threat, row in results["cells"].items()}
    for threat, auroc in (("fgsm", 0.989), ("cw", 0.899)):
        results["cells"][threat]["margin"] = cell(auroc)
    assert "(+0.0010 against the margin, but their 95 % intervals overlap)" in (
        comparison_table.answer(results)
    )
    results["cells"].update(certain)
    results["cells"]["fgsm"]["lid"] = cell(0.99)
    assert comparison_table.answer(results) == (
        "Best detector: lid, mean AUROC 0.9480 (+0.1230 against the margin), passes per image 1; "
        "from benign images alone: bim, mean AUROC 0.9450 (+0.1200 against the margin), passes per "
        "image 231 + 230."
    )
    for row in results["cells"].values():
        row["margin"] = cell(0.995)
    assert comparison_table.answer(results) == (
        "Best detector: margin, mean AUROC 0.9950, passes per image 1; it needs benign images "
        "alone."
    )


def test_results_are_left_as_they_were(results: dict[str, Any]) -> None:
    before = copy.deepcopy(results)
    made(results)
    comparison_table.table(results)
    comparison_table.answer(results)
    assert results == before


def test_images_that_could_not_be_judged_are_counted(results: dict[str, Any]) -> None:
    assert "could not be judged" not in texts(results)
    results["cells"]["cw"]["kd"]["invalid"] = [2, 5]
    assert "count as flagged: 7 by kd." in texts(results)


def test_titles_of_terminal_tables_are_folded_at_their_words() -> None:
    header = ["attack", "separation per second", "median cost, benign"]
    table = tables.Table("Many", header, [["bim", "**1.5**", "[red]"]])
    console = Console(width=100, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        console.print(table.to_terminal())
    lines = [line.split() for line in plain_lines(capture.get())]
    assert ["separation", "median"] in lines and lines[-1] == ["bim", "1.5", "[red]"]
    assert "\x1b[1m1.5" in capture.get()
