"""The tables of README.md and docs/results.md, from what compare.py and other scripts wrote."""

from collections.abc import Sequence
from typing import Any

from stored_results import stored

THREATS = {
    "fgsm": "FGSM", "bim-a": "BIM-a", "jsma": "JSMA", "cw": "C&W", "pgd": "PGD",
    "deepfool": "DeepFool",
}
# What a user would choose between, the simplest baseline first, and what each is in plain words.
CHOSEN = {
    "margin": "margin of the logits (simplest)",
    "response": "default",
    "bim-search": "cost of one attack",
    "ensemble_conformal": "costs of three attacks",
    "ensemble_directions": "costs and directions, learned",
    "squeezing": "feature squeezing (baseline)",
    "kd": "kernel density (baseline)",
    "lid": "LID (baseline)",
    "mahalanobis": "Mahalanobis (baseline)",
}
RATE = "0.05"
DEFAULT = "response"


def chosen_rows(name: str) -> list[list[str]]:
    """The few detectors of README in a stored comparison."""
    result = stored(name)
    return comparison(result, {
        one: title for one, title in CHOSEN.items() if one in result["columns"]
    })


def all_rows(name: str) -> list[list[str]]:
    """Every detector of a stored comparison."""
    result = stored(name)
    return comparison(result, {one: f"`{one}`" for one in result["columns"]})


def comparison(result: dict[str, Any], titles: dict[str, str]) -> list[list[str]]:
    """A row for each detector: what it learns from, AUROC and share detected, and its price."""
    threats = list(result["cells"])
    rows = [["detector", "learns from", *(THREATS[one] for one in threats), "passes"]]
    for name, title in titles.items():
        cells = [result["cells"][threat][name] for threat in threats]
        rows.append([
            title, "benign" if name in result["benign_only"] else "both kinds",
            *(f"{cell['auroc']:.3f}, {cell['tpr_at_fpr'][RATE]:.0%}" for cell in cells),
            price(result["passes"][name]),
        ])
    return rows


def price(passes: dict[str, float]) -> str:
    """Forward passes and gradients for a benign image."""
    forward, gradients = (f"{passes[key]:.0f}" for key in ("queries", "gradients"))
    return forward if gradients == "0" else f"{forward} + {gradients}"


def unseen_rows(name: str) -> list[list[str]]:
    """AUROC of detectors of a stored comparison on a threat that they did not learn.

    The default, for which every threat is such a one, stands in the last row.
    """
    result = stored(name)
    threats = list(result["unseen"])

    def row(title: str, cells: dict[str, Any], detector: str) -> list[str]:
        return [title, *(f"{cells[threat][detector]['auroc']:.3f}" for threat in threats)]

    return [
        ["detector", *(THREATS[one] for one in threats)],
        *(row(f"`{one}`", result["unseen"], one) for one in result["unseen"][threats[0]]),
        row(f"`{DEFAULT}`, benign images alone", result["cells"], DEFAULT),
    ]


def number(value: float | None) -> str:
    """Four digits, or nothing."""
    return "" if value is None else f"{value:.4f}"


def selection_rows() -> list[list[str]]:
    """What select_attacks.py measured, the best separation per second first."""
    found: Sequence[dict[str, Any]] = stored("select_attacks_mnist")["attacks"]
    rows = [["attack", "AUROC, 95 % interval", "ms per image", "median cost, benign",
             "adversarial"]]
    for one in sorted(found, key=lambda one: one["seconds"]):
        low, high = one["auroc_interval"]
        rows.append([
            f"`{one['attack']}`", f"{one['auroc']:.3f} ({low:.3f} to {high:.3f})",
            f"{1000 * one['seconds']:.0f}", f"{one['benign']:.3g}", f"{one['adversarial']:.3g}",
        ])
    return rows
