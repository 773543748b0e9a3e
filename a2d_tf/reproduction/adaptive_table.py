"""Detectors against attacks of rising knowledge, on plain and on PGD-trained classifiers."""

from functools import partial
from typing import Any

import numpy as np

from a2d_tf import threats
from a2d_tf.evaluation import adaptive_price, adaptive_report
from a2d_tf.evaluation.adaptive import Bypass
from a2d_tf.evaluation.adaptive_attacks import Strengths
from a2d_tf.evaluation.adaptive_judges import Judge, load_judges
from a2d_tf.evaluation.methods import DEFAULT
from a2d_tf.images.spec import Images
from a2d_tf.reports.tables import Table
from a2d_tf.reproduction import section6
from a2d_tf.reproduction.runner import ReproductionConfig, ReproductionResult
from a2d_tf.reproduction.section6 import Setup
from a2d_tf.storage.stages import Arrays

STRENGTHS = {
    "mnist": Strengths(kappas=(0.0, 5.0, 10.0, 20.0), eps=(0.1, 0.2, 0.3), steps=40),
    "cifar10": Strengths(kappas=(0.0, 2.0, 5.0, 10.0), eps=(0.0125, 0.025, 0.05), steps=40),
}
# hopskipjump asks thousands of verdicts for each image, which takes hours if iterations are
# counted; `adaptive.py` runs it.
ATTACKS = (
    "cw", "pgd", "pgd-margin", "filters", "surrogate", "matching", "selective", "orthogonal",
)
# title: features, detector
BENIGN_ONLY = {
    "default": ([DEFAULT], "profile"),
    "bim-search": (["bim-search"], "zscore"),
    "directions, profile": (["directions"], "profile"),
}
LEARNED = {
    "directions, logistic": (["directions"], "logistic"),
    "kd": (["kd"], "logistic"),
    "lid": (["lid"], "logistic"),
}
LEARNED_FROM = ("fgsm", "bim-a", "cw")  # threats
MOST_CRAFTED = 100  # images of each of them
FPR = 0.05


def run_adaptive_table(config: ReproductionConfig) -> ReproductionResult:
    """The share of images that bypass each detector, by attack, and by the best attack on each."""
    results: dict[str, Any] = {"fpr": FPR, "learned_from": list(LEARNED_FROM)}
    tables, curves = [], []
    for dataset in config.datasets:
        for kind in ("plain", "trained against PGD"):
            one = section6.setup(config, dataset, is_robust=kind != "plain")
            judges = _judges(config, one, dataset)
            found = section6.attacked(config, one, judges, ATTACKS, STRENGTHS[dataset])
            rows = adaptive_report.rates(found)
            worst = adaptive_report.worst_cases(found, judges, one.benign)
            prices = adaptive_price.prices(found)
            title = f"{dataset}, {kind}"
            results[title] = {
                "accuracy": one.accuracy, "strengths": repr(STRENGTHS[dataset]),
                "attacks": rows, "worst_case": worst, "price": prices,
            }
            tables.append(_table(title, one, found, worst))
            tables.append(adaptive_price.table(prices)._replace(title=f"{title}: price"))
            curves += [row | {"attack": f"{title}: {row['attack']}"} for row in rows]
    return ReproductionResult(results, tables, partial(adaptive_report.draw, curves))


def _judges(config: ReproductionConfig, one: Setup, dataset: str) -> dict[str, Judge]:
    adversarial = _adversarial(config, one, dataset)
    parts = {
        title: [section6.fitted(config, one, title, features, detector, FPR, learns_from)]
        for kinds, learns_from in ((BENIGN_ONLY, None), (LEARNED, adversarial))
        for title, (features, detector) in kinds.items()
    }
    return load_judges(one.classifier, one.benign, parts, FPR)


def _adversarial(config: ReproductionConfig, one: Setup, dataset: str) -> Images:
    """Misclassified images of known threats, for detectors that learn from them."""
    images = one.benign[:MOST_CRAFTED]
    labels = one.classifier.predict(images)
    parts = []
    for name in LEARNED_FROM:
        threat = threats.preset(name, dataset)

        def make() -> Arrays:
            with config.progress.stage(f"craft {name}", len(images)) as advance:
                crafted = threat.craft(one.classifier, images, labels, advance)
            return {"images": crafted.images[crafted.success]}

        key = section6.key_of(one) | {"threat": repr(threat), "crafted": len(images)}
        parts.append(one.stages.arrays(f"known/{name}", key, make)["images"])
    return np.concatenate(parts)


def _table(
    title: str, one: Setup, found: list[Bypass], worst: list[dict[str, Any]]
) -> Table:
    """Bypass rates: a row for each detector, the strongest setting of each attack."""
    columns = list(dict.fromkeys(item.attack for item in found))
    rows = []
    for row in worst:
        its = [item for item in found if item.detector == row["detector"]]
        best = (
            max((item.bypassed.mean() for item in its if item.attack == column), default=None)
            for column in columns
        )
        low, high = row["interval"]
        rows.append([
            row["detector"], *("" if rate is None else f"{rate:.0%}" for rate in best),
            f"{row['bypass_rate']:.0%} ({low:.0%} to {high:.0%})",
        ])
    accuracy = ", ".join(f"{kind} {value:.3f}" for kind, value in one.accuracy.items())
    return Table(
        f"{title}: share of {len(one.images)} images that bypass, by the best strength; accuracy "
        f"{accuracy}",
        ["detector", *columns, "best attack for each image"], rows,
    )
