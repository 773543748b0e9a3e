"""Table 7: what the detectors' parameters do, on MNIST and all four attacks (section C)."""

from collections.abc import Callable
from functools import partial

import numpy as np

from a2d_tf import plots
from a2d_tf.detectors import KNN, SVM, Forest, Tree, ZScore
from a2d_tf.experiments.accuracies import Accuracy, accuracy
from a2d_tf.experiments.evidence import Evidence
from a2d_tf.experiments.measurements import published
from a2d_tf.experiments.reproduction import Outcome, Request
from a2d_tf.experiments.table2 import DEFENCES, THREATS
from a2d_tf.report import Grid

Setting = Callable[[str], Accuracy]
CLASSIFIERS = {"knn": KNN, "svm": SVM, "decision_tree": Tree, "random_forest": Forest}


def run(request: Request) -> Outcome:
    """Table 7; DBA counts all images here, since it votes."""
    evidences = request.evidences("mnist", THREATS, DEFENCES)
    paper = published("table7")
    table = {
        sweep: {value: _mean([_settings(e)[sweep](value) for e in evidences])
                for value in paper[sweep]}
        for sweep in _settings(evidences[0])
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
    splits = {name: len(index) for name, index in evidences[0].splits.items()}
    results = {"accuracy_benign_adversarial": table, "published": paper, "splits": splits}
    grid = Grid("Accuracy on MNIST", header, rows)
    return Outcome(results, [grid], partial(plots.side_by_side, panels, "accuracy"))


def _settings(evidence: Evidence) -> dict[str, Setting]:
    """Sweep -> what a value of its parameter, as the paper writes it, gives."""
    def of(detector: KNN | SVM | Tree | Forest | ZScore, ratio: float = 1.0) -> Accuracy:
        return accuracy(evidence, DEFENCES, detector, THREATS, ratio=ratio)

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
