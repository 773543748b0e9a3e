"""Table 7: the effect of the detectors' parameters, on MNIST and all four attacks (section C)."""

from collections.abc import Callable
from functools import partial

import numpy as np

from a2d_tf.reports import comparison_figures
from a2d_tf.detectors import KNN, SVM, Forest, Tree, ZScore
from a2d_tf.reproduction.accuracy import Accuracy, accuracy
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.published import published
from a2d_tf.reproduction.runner import ReproductionConfig, ReproductionResult
from a2d_tf.reproduction.table2 import ATTACKS, THREATS
from a2d_tf.reports.tables import Table

Setting = Callable[[str], Accuracy]
CLASSIFIERS = {"knn": KNN, "svm": SVM, "decision_tree": Tree, "random_forest": Forest}


def run_table7(config: ReproductionConfig) -> ReproductionResult:
    """Table 7; DBA is counted for all images, since it votes."""
    every = config.data("mnist", THREATS, ATTACKS)
    paper = published("table7")
    table = {
        sweep: {value: _mean([_settings(one)[sweep](value) for one in every])
                for value in paper[sweep]}
        for sweep in _settings(every[0])
    }
    rows = [
        [sweep, value, f"{ours[0]:.4f}", f"{theirs[0]:.4f}", f"{ours[1]:.4f}", f"{theirs[1]:.4f}"]
        for sweep, values in table.items()
        for value, ours in values.items() for theirs in [paper[sweep][value]]
    ]
    header = ["parameter", "value", "benign", "paper", "adversarial", "paper"]
    panels = {
        f"{sweep}, {kind}": {
            value: (ours[column], paper[sweep][value][column]) for value, ours in values.items()
        }
        for sweep, values in table.items() for column, kind in enumerate(("benign", "adversarial"))
    }
    splits = {name: len(index) for name, index in every[0].splits.items()}
    results = {"accuracy_benign_adversarial": table, "published": paper, "splits": splits}
    draw = partial(comparison_figures.side_by_side, panels, "accuracy")
    return ReproductionResult(results, [Table("Accuracy on MNIST", header, rows)], draw)


def _settings(data: ExperimentData) -> dict[str, Setting]:
    """Sweep -> the accuracy with a value of its parameter, as the paper writes it."""
    def of(detector: KNN | SVM | Tree | Forest | ZScore, ratio: float = 1.0) -> Accuracy:
        return accuracy(data, ATTACKS, detector, THREATS, ratio=ratio)

    return {
        "k": lambda value: of(KNN(k=int(value))),
        "ratio_benign_adversarial": lambda value: of(KNN(), float(value.split(":")[1])),
        "zscore_h": lambda value: of(ZScore(h=float(value))),
        "zscore_votes_k": lambda value: of(ZScore(votes=int(value))),
        "classifier": lambda value: of(CLASSIFIERS[value]()),
    }


def _mean(accuracies: list[Accuracy]) -> tuple[float, float]:
    """Benign and adversarial accuracy, the mean over the seeds."""
    return (
        float(np.mean([one.benign for one in accuracies])),
        float(np.mean([one.adversarial for one in accuracies])),
    )
