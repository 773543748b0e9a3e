"""Fills the tables of docs/choose.md from docs/results: python docs/write_choose.py"""

import json
import re
from pathlib import Path
from typing import Any

from a2d_tf.reports.detector_tables import detector_tables
from a2d_tf.reports.tables import to_markdown

DOCS = Path(__file__).parent
PAGE = DOCS / "choose.md"
DATASETS = ("mnist", "cifar10")
MODELS = {
    "lenet_mnist": "LeNet, MNIST", "convnet_cifar10": "convolutional network, CIFAR-10",
    "resnet20_cifar10": "ResNet-20, CIFAR-10",
    "efficientnet_lite0_imagenet": "EfficientNet-Lite0, photographs",
}
Rows = list[list[str]]


def page() -> str:
    """The page with its tables filled."""
    text = PAGE.read_text(encoding="utf-8")
    tables = {"price": price_rows(), "false positives": rate_rows()}
    for dataset in DATASETS:
        run, = stored(f"frontier_{dataset}")["datasets"][dataset]
        found = detector_tables(dataset, [run["cells"]], run["threats"], run["passes"])
        for name, table in zip(("auroc", "interval", "detected"), found, strict=True):
            tables[f"{dataset} {name}"] = [list(table.header), *map(list, table.rows)]
    for name, rows in tables.items():
        mark = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        filled = f"{to_markdown(rows[0], rows[1:])}\n"
        text = mark.sub(lambda found, filled=filled: found[1] + filled + found[2], text)
    return text


def stored(name: str) -> dict[str, Any]:
    """A result under docs/results."""
    found: dict[str, Any] = json.loads((DOCS / "results" / f"{name}.json").read_text())
    return found


def price_rows() -> Rows:
    """The default's verdicts beside predictions."""
    rows = [["classifier", "batch", "prediction", "verdict", "ratio of medians", "of means"]]
    return rows + [
        [MODELS[model], str(one["batch_size"]), f"{one['prediction_median_ms']:.4g}",
         f"{one['verdict_median_ms']:.4g}", f"{one['ratio_of_medians']:.2f}",
         f"{one['ratio_of_means']:.2f}"]
        for model, sizes in stored("price").items() for one in sizes
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


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
