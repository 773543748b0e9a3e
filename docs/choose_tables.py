"""The tables of docs/choose.md, from what reproduce.py, benchmark.py and others wrote."""

from collections.abc import Callable
from functools import partial
from typing import Any

from comparison_tables import price
from stored_results import stored

from a2d_tf.reports.detector_tables import detector_tables

MODELS = {
    "lenet_mnist": "LeNet, MNIST", "convnet_cifar10": "convolutional network, CIFAR-10",
    "resnet20_cifar10": "ResNet-20, CIFAR-10",
    "efficientnet_lite0_imagenet": "EfficientNet-Lite0, photographs",
}
KINDS = ("auroc", "interval", "detected")
Rows = list[list[str]]


def frontier_rows(dataset: str, kind: str) -> Rows:
    """Price and quality on a dataset: the AUROC, its interval, or the shares detected."""
    run, = stored(f"frontier_{dataset}")["datasets"][dataset]
    return _rows(kind, run["cells"], run)


def _rows(kind: str, cells: dict[str, Any], run: dict[str, Any]) -> Rows:
    found = detector_tables("", [cells], run["threats"], run["passes"])[KINDS.index(kind)]
    return [list(found.header), *(list(row) for row in found.rows)]


def price_rows() -> Rows:
    """The default's verdicts beside predictions."""
    rows = [["classifier", "batch", "prediction", "verdict", "ratio of medians", "of means"]]
    return rows + [
        [MODELS[model], str(one["batch_size"]), f"{one['prediction_median_ms']:.4g}",
         f"{one['verdict_median_ms']:.4g}", f"{one['ratio_of_medians']:.2f}",
         f"{one['ratio_of_means']:.2f}"]
        for model, sizes in stored("price").items() for one in sizes
    ]


def feature_cost_rows() -> Rows:
    """Memory and time of features on a large network, beside a prediction in the same run."""
    found = stored("feature_cost")["features"]
    rows = [["feature", "passes", "time, in predictions", "peak memory, MiB"]]
    return rows + [
        [name if name == "prediction" else f"`{name}`",
         price(dict(zip(("queries", "gradients"), one["passes"]))),
         f"{one['seconds'] / found['prediction']['seconds']:.3g}", f"{one['peak_mib']:.0f}"]
        for name, one in found.items()
    ]


def rate_rows() -> Rows:
    """False-positive rates in random partings: mean and standard deviation."""
    rows = [["classifier", "images", "wanted", "mean", "standard deviation", "largest"]]
    return rows + [
        [MODELS[model], str(found["images"]), f"{float(wanted):.0%}", f"{one['mean']:.2%}",
         f"{one['standard_deviation']:.2%}", f"{one['largest']:.2%}"]
        for model, found in stored("false_positives").items()
        for wanted, one in found["rates"].items()
    ]


def class_rate_rows() -> Rows:
    """The least and the largest false-positive rate of a predicted class, by kind of threshold."""
    rows = [["classifier", "threshold", "least", "largest"]]
    for model, found in stored("false_positives").items():
        for name, title in (("one_threshold", "one"), ("by_class", "one for each class")):
            if rates := found.get("within_classes", {}).get(name, {}).values():
                rows.append([MODELS[model], title, f"{min(rates):.1%}", f"{max(rates):.1%}"])
    return rows


TABLES: dict[str, Callable[[], Rows]] = {
    **{f"{dataset} {kind}": partial(frontier_rows, dataset, kind)
       for dataset in ("mnist", "cifar10") for kind in KINDS},
    "verdict price": price_rows,
    "feature cost": feature_cost_rows,
    "false positives": rate_rows,
    "class rates": class_rate_rows,
}
