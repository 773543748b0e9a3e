"""The tables of the paper in docs/results.md, ours beside the published."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from comparison_tables import THREATS, number
from stored_results import stored

from a2d_tf.evaluation.published import published, with_searches

Rows = list[list[str]]
DATASETS = {"mnist": "MNIST", "cifar10": "CIFAR-10"}
ENV1 = ("fgsm", "bim-a", "jsma", "cw")
TARGETS = {
    "untargeted": "any other class", "top2": "second class", "top5": "fifth class",
    "least_likely": "least likely class",
}
PARAMETERS = {
    "k": "K-NN, neighbours", "ratio_benign_adversarial": "K-NN, benign to adversarial images",
    "zscore_h": "Z-score, threshold of an attack", "zscore_votes_k": "Z-score, votes",
    "classifier": "kind of detector",
}
QUANTITIES = {
    "clever": "CLEVER towards the second class", "iterations": "iterations of BIM", "l2": "L2",
}


def measured(result: Mapping[str, Any]) -> dict[str, str]:
    """The titles of the datasets that a result has."""
    return {dataset: title for dataset, title in DATASETS.items() if dataset in result}


def auroc_rows(dataset: str) -> Rows:
    """Table 2, Env 1, of a stored comparison: AUROC beside the published one.

    A search finds the costs of counting, so that it stands beside the published count.
    """
    result = stored(f"compare_{dataset}")
    cells = {threat: result["cells"][threat] for threat in ENV1}
    paper = {
        threat: with_searches(row) for threat, row in published("table2_env1")[dataset].items()
    }
    names = [name for name in result["columns"] if name in paper[ENV1[0]]]
    return [
        ["detector", *(text for one in ENV1 for text in (THREATS[one], "paper"))], *(
            [f"`{name}`", *(
                text for threat in ENV1 for text in (
                    number(cells[threat][name]["auroc"]), number(paper[threat].get(name))
                )
            )] for name in names
        ),
    ]


def confident_rows() -> Rows:
    """The same AUROC where the classifier is confident of the benign image."""
    rows = [["", *(THREATS[one] for one in ENV1)]]
    for dataset, title in DATASETS.items():
        found = stored(f"compare_{dataset}")["auroc_confident"]
        for name in ("bim-search", "jsma"):
            rows.append([f"{title}, `{name}`", *(
                f"{found[threat][name]['auroc']:.3f}" for threat in ENV1
            )])
    return rows


def conformal_rows() -> Rows:
    """The share of fresh benign images that the conformal detector flags."""
    rows = [["wanted", *DATASETS.values()]]
    rates = [stored(f"compare_{dataset}")["conformal_rate"] for dataset in DATASETS]
    return rows + [
        [f"{float(wanted):.0%}", *(
            f"{one[wanted]['measured']:.1%} ± {one[wanted]['deviation']:.1%}" for one in rates
        )] for wanted in rates[0]
    ]


def confidence_rows() -> Rows:
    """Table 4: ours, then the paper's, by the confidence of C&W."""
    result, paper = stored("table4"), published("table4")
    rows = [["", *(f"kappa {kappa}" for kappa in result["kappa"])]]
    for dataset, title in measured(result).items():
        for quantity, name in QUANTITIES.items():
            pairs = zip(result[dataset][quantity], paper[dataset][quantity], strict=True)
            rows.append([f"{name}, {title}", *(
                f"{ours:.3g}; {theirs:.3g}" for ours, theirs in pairs
            )])
        rows.append([f"share at the limit of 500 iterations, {title}", *(
            f"{share:.0%}" for share in result[dataset]["at_cap"]
        )])
    return rows


def time_rows() -> Rows:
    """Figure 10: the correlation of the time of JSMA with its iterations."""
    result = stored("figure10")
    return [["dataset", "images", "Pearson correlation"], *(
        [title, str(result[dataset]["images"]), f"{result[dataset]['pearson']:.3f}"]
        for dataset, title in measured(result).items()
    )]


def distance_rows() -> Rows:
    """Figure 3: distances between the mean iterations of JSMA on halves of the images."""
    result, paper = stored("figure3"), published("figure3")
    within = max(paper[row][row + 1] for row in range(0, len(paper), 2))
    apart = min(value for row in paper[:2] for value in row[2:])
    rows = [["dataset", "images of each half", "within a kind, at most",
             "from benign to adversarial, at least"]]
    for dataset, title in measured(result).items():
        one = result[dataset]
        rows.append([
            title, f"{min(one['images'])} to {max(one['images'])}", f"{one['same_type_most']:.3f}",
            f"{one['benign_to_adversarial_least']:.3f}",
        ])
    return [*rows, ["MNIST, paper", "", f"{within:.3f}", f"{apart:.3f}"]]


def iteration_rows() -> Rows:
    """Figure 5: median iterations of four attacks."""
    result = stored("figure5")
    kinds = ("benign", *ENV1)
    rows = [["", "benign", *(THREATS[one] for one in ENV1)]]
    for dataset, title in measured(result).items():
        for name, row in result[dataset].items():
            rows.append([
                f"{title}, `{name}`", *(f"{row[kind]['median']:g}" for kind in kinds)
            ])
    first: Mapping[str, Any] = next(iter(result["mnist"].values()))
    return [*rows, ["images", *(str(first[kind]["images"]) for kind in kinds)]]


def search_rows() -> Rows:
    """What a search saves, and the AUROC by search, and by counting in brackets."""
    result = stored("search")
    rows = [["", "benign images", "gradients, times fewer", "forward passes", "Spearman",
             *(THREATS[one] for one in ENV1)]]
    for dataset, title in measured(result).items():
        for attack, (one,) in result[dataset].items():
            rows.append([
                f"{title}, `{attack}-search`", str(one["images"]["benign"]),
                f"{one['fewer_gradients']:.1f}", f"{one['forward_passes']:.1f}",
                f"{one['spearman']:.4f}", *(
                    f"{row['search']:.4f} ({row['counted']:.4f})"
                    for row in (one["auroc"][threat] for threat in ENV1)
                ),
            ])
    return rows


def clever_rows() -> Rows:
    """Table 1: mean CLEVER scores with half of their 90 % intervals; ours, then the paper's."""
    found, paper = stored("table1"), published("table1")
    kinds = ("benign", *ENV1)
    rows = [["target", "benign", *(THREATS[one] for one in ENV1), "average ratio"]]
    for dataset, title in measured(found).items():
        for target, ours in found[dataset].items():
            theirs = paper[dataset][target]
            rows.append([f"{title}, {TARGETS[target]}", *(
                f"{one['mean']:.3g} ± {one['half_interval90']:.2g}"
                for one in (ours["scores"][kind] for kind in kinds)
            ), f"{ours['average_ratio']:.1f}"])
            rows.append(["paper", *(
                f"{theirs[kind][0]:.3g} ± {theirs[kind][1]:.2g}" for kind in kinds
            ), f"{theirs['average_ratio']:.1f}"])
        rows.append(["images", *(
            str(found[dataset]["top2"]["scores"][kind]["images"]) for kind in kinds
        ), ""])
    return rows


def clever_time_rows() -> Rows:
    """Figure 2: CLEVER against the time of JSMA."""
    found = stored("figure2")
    header = ["dataset", "images", "Spearman", "images with CLEVER up to 0.3", "Spearman of these"]
    return [header, *(
        [title, str(one["images"]), f"{one['spearman']:.3f}", str(one["images_up_to_0.3"]),
         f"{one['spearman_up_to_0.3']:.3f}"]
        for dataset, title in measured(found).items() for one in [found[dataset]]
    )]


def attack_time_rows() -> Rows:
    """Figure 4: how much longer eight attacks take on benign images."""
    found = stored("figure4")
    rows = [["dataset", "attack", "images of each kind", "median time, benign to adversarial",
             "AUROC of the time"]]
    for dataset, title in measured(found).items():
        for name, one in found[dataset].items():
            seconds = one["median_seconds"]
            rows.append([
                title, f"`{name}`", str(min(one["images"].values())),
                f"{seconds['benign'] / seconds['adversarial']:.1f}",
                f"{one['auroc_of_time']:.3f}",
            ])
    return rows


def parameter_rows() -> Rows:
    """Table 7: the accuracy of detectors by their parameters."""
    found = stored("table7")
    rows = [["parameter", "value", "benign", "paper", "adversarial", "paper"]]
    for parameter, values in found["accuracy_benign_adversarial"].items():
        for value, ours in values.items():
            pairs = zip(ours, found["published"][parameter][value], strict=True)
            rows.append([
                PARAMETERS[parameter], value, *(f"{one:.3f}" for pair in pairs for one in pair)
            ])
    return rows


TABLES: Mapping[str, Callable[[], Rows]] = {
    **{f"published-{name}": partial(auroc_rows, name) for name in DATASETS},
    "confident": confident_rows,
    "conformal": conformal_rows,
    "confidence": confidence_rows,
    "figure10": time_rows,
    "figure3": distance_rows,
    "figure5": iteration_rows,
    "search": search_rows,
    "clever": clever_rows,
    "figure2": clever_time_rows,
    "figure4": attack_time_rows,
    "table7": parameter_rows,
}
