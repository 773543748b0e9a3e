"""The tables of Env 2 in docs/results.md, and Figure 6, from what reproduce.py wrote."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from comparison_tables import RATE, price
from stored_results import stored

from a2d_tf.evaluation.published import published, with_searches

NORMALISED = "fgsm-normalised"
THREATS = {
    "fgsm": "FGSM", NORMALISED: "FGSM, normalised", "jsma": "JSMA", "deepfool": "DeepFool",
    "cw": "C&W", "bb": "BB",
}


def detector_rows(dataset: str) -> list[list[str]]:
    """A row for each detector: AUROC with the paper's, the share detected, and the price."""
    part: dict[str, Any] = stored(f"table2_env2_{dataset}")["datasets"][dataset]
    run, = part["runs"]
    threats = list(run["cells"])
    names = list(run["columns"])
    rows = [["detector", *(THREATS[one] for one in threats), "passes"]]
    for name in names:
        rows.append([f"`{name}`", *(
            _cell(run["cells"][threat].get(name), part["published"].get(threat, {}).get(name))
            for threat in threats
        ), price(run["passes"][name]) if run["passes"][name] else ""])
    return rows


def _cell(cell: Mapping[str, Any] | None, paper: float | None) -> str:
    """AUROC and the share detected, with the published AUROC in brackets."""
    if cell is None:
        return ""
    known = "" if paper is None else f" ({paper:.3f})"
    return f"{cell['auroc']:.3f}{known}, {cell['tpr_at_fpr'][RATE]:.0%}"


def size_rows(dataset: str) -> list[list[str]]:
    """How many benign and adversarial images each cell has."""
    run, = stored(f"table2_env2_{dataset}")["datasets"][dataset]["runs"]
    cells = {threat: row["margin"]["tested"] for threat, row in run["cells"].items()}
    return [
        ["images", *(THREATS[one] for one in cells)],
        ["benign", *(str(benign) for benign, _ in cells.values())],
        ["adversarial", *(str(adversarial) for _, adversarial in cells.values())],
    ]


def query_rows(dataset: str) -> list[list[str]]:
    """Queries and accuracy at equal accuracy on benign images, with the paper's in brackets."""
    rows = [["detector", "queries, adversarial", "accuracy, adversarial", "queries, benign",
             "accuracy, benign", "accuracy, adversarial, at the paper's on benign"]]
    paper = with_searches(published("table3")[dataset])
    for name, one in stored(f"table3_{dataset}")[dataset].items():
        adversarial, accuracy, benign, _, on_benign = paper[name]
        rows.append([
            f"`{name}`", f"{one['queries_adversarial']:.0f} ({adversarial})",
            f"{one['accuracy_adversarial']:.3f} ({accuracy:.3f})",
            f"{one['queries_benign']:.0f} ({benign})",
            f"{one['accuracy_benign']:.3f} ({on_benign:.3f})",
            "" if (known := one["accuracy_at_published"]) is None else f"{known:.3f}",
        ])
    return rows


def accuracy_rows(experiment: str, dataset: str) -> list[list[str]]:
    """Figure 6: accuracies of K-NN and Z-score, with the paper's mean, which is that of Env 2.

    They are means over the paper's threats: the FGSM of normalised pixels is not another one.
    """
    rows = [["detector", *(
        f"{name}, {what}" for name in ("K-NN", "Z-score")
        for what in ("benign", "adversarial", "mean")
    )]]
    paper = with_searches(published("figure6_knn_mean_accuracy")[dataset])
    found = stored(f"{experiment}_{dataset}")[dataset]
    for name in found["knn"]:
        row = [f"`{name}`"]
        for detector in ("knn", "zscore"):
            one = found[detector][name]
            adversarial = [
                value for threat, value in one["by_threat"].items() if threat != NORMALISED
            ]
            mean = (one["benign"] + sum(adversarial)) / (1 + len(adversarial))
            is_published = detector == "knn" and name in paper
            row += [
                f"{one['benign']:.3f}", f"{sum(adversarial) / len(adversarial):.3f}",
                f"{mean:.3f}" + (f" ({paper[name]:.3f})" if is_published else ""),
            ]
        rows.append(row)
    return rows


DATASETS = ("mnist", "cifar10", "imagenet")
TABLES: Mapping[str, Callable[[], list[list[str]]]] = {
    **{f"env2-{name}": partial(detector_rows, name) for name in DATASETS},
    **{f"env2-{name}-sizes": partial(size_rows, name) for name in DATASETS},
    **{f"table3-{name}": partial(query_rows, name) for name in DATASETS},
    **{f"figure6-env2-{name}": partial(accuracy_rows, "figure6_env2", name) for name in DATASETS},
    "figure6-env1-mnist": partial(accuracy_rows, "figure6_env1", "mnist"),
}
