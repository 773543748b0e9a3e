"""Table 3: queries and accuracy of the costs beside LCR, at equal accuracy on benign images."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.evaluation import feature_fits
from a2d_tf.evaluation.cache_keys import settings_key
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.experiment_images import BENIGN
from a2d_tf.evaluation.published import published, with_searches
from a2d_tf.evaluation.splits import FIT, TEST
from a2d_tf.reports import comparison_figures
from a2d_tf.reports.tables import Table
from a2d_tf.reproduction import env2
from a2d_tf.reproduction.runner import ReproductionConfig, ReproductionResult
from a2d_tf.reproduction.table2 import ATTACKS
from a2d_tf.storage.stages import Arrays

HEADER = ["dataset", "detector", "", "queries, adversarial", "accuracy, adversarial",
          "queries, benign", "threshold", "accuracy, benign",
          "accuracy, adversarial, at the published one on benign"]


class Row(NamedTuple):
    """A row of the table; means over the images, and for adversarial ones over the threats.

    `accuracy_at_published` is that on adversarial images at the published accuracy on benign ones;
    None for LCR, whose test has one threshold.
    """

    queries_adversarial: float
    accuracy_adversarial: float
    queries_benign: float
    threshold: float | None
    accuracy_benign: float
    accuracy_at_published: float | None = None


def run_table3(config: ReproductionConfig) -> ReproductionResult:
    """Table 3 on the classifiers and threats of Env 2; DBA is counted for all images.

    The threshold of a cost is the highest at which its accuracy on benign test images is at least
    that of LCR, or where there is no LCR, at least the published one. The queries of a cost are
    those of the whole attack, as published.
    """
    results: dict[str, Any] = {}
    rows, panels = [], {}
    for dataset in config.datasets:
        every = [_rows(data, dataset) for data in env2.data(config, dataset, ATTACKS)]
        paper = with_searches(published("table3")[dataset])
        means = {name: _mean([rows[name] for rows in every]) for name in every[0]}
        results[dataset] = {name: row._asdict() for name, row in means.items()}
        for name, row in means.items():
            rows.append([dataset, name, "ours", *map(_figure, row)])
            if name in paper:
                rows.append(["", "", "paper", *map(_figure, paper[name]), _figure(paper[name][1])])
        panels[f"{dataset}: accuracy on adversarial images"] = {
            name: (row.accuracy_adversarial, paper.get(name, [None, None])[1])
            for name, row in means.items()
        }
    draw = partial(comparison_figures.side_by_side, panels, "accuracy")
    return ReproductionResult(
        results, [Table("Queries and accuracy at equal benign accuracy", HEADER, rows)], draw
    )


def cost_row(
    benign: NDArray[np.int32], adversarial: list[NDArray[np.int32]], wanted: float
) -> Row:
    """The row of a cost: an image is adversarial if its cost is below the threshold.

    Args:
      benign: costs of benign images.
      adversarial: costs of the images of each threat.
      wanted: the accuracy on benign images.
    """
    ordered = np.sort(benign)
    threshold = int(ordered[min(int((1 - wanted) * len(ordered) + 1e-9), len(ordered) - 1)])
    return Row(
        queries_adversarial=float(np.mean([costs.mean() for costs in adversarial])),
        accuracy_adversarial=float(np.mean([(costs < threshold).mean() for costs in adversarial])),
        queries_benign=float(benign.mean()),
        threshold=threshold,
        accuracy_benign=float((benign >= threshold).mean()),
    )


def _rows(data: ExperimentData, dataset: str) -> dict[str, Row]:
    found: dict[str, Row] = {}
    paper = with_searches(published("table3")[dataset])
    if env2.lcr(dataset) is not None:
        found["lcr"] = _lcr_row(data, dataset)
    for name in data.attacks:
        on_benign: float = paper[name][4]
        wanted = found["lcr"].accuracy_benign if "lcr" in found else on_benign
        benign, *others = (
            data.costs(kind, TEST, [name])[:, 0] for kind in (BENIGN, *data.threats)
        )
        found[name] = cost_row(benign, others, wanted)._replace(
            accuracy_at_published=cost_row(benign, others, on_benign).accuracy_adversarial
        )
    return found


def _lcr_row(data: ExperimentData, dataset: str) -> Row:
    """LCR with the sequential test, whose threshold is that of the benign images of the fit."""
    feature: Any = env2.lcr(dataset)  # a baseline, which the library does not import
    kinds = (BENIGN, *data.threats)
    benign = data.samples(BENIGN, FIT).images
    key = data.cache_key | {"feature": settings_key(feature)}

    fitted: Any = feature_fits.fitted(
        "lcr", feature, data.classifier, benign, data.dataset,
        key=key, stages=data.stages, progress=data.progress,
    )

    def rates() -> Arrays:
        with data.progress.stage("lcr of benign (fit)", len(benign)) as advance:
            found = fitted.measure(data.classifier, benign)
            advance(len(benign))
        return {"rates": found}

    def judge(kind: str) -> Arrays:
        images = data.samples(kind, TEST).images
        with data.progress.stage(f"mutants asked about {kind}", len(images)) as advance:
            judged = fitted.judge(data.classifier, images, test, on_finished=advance)
        return {"asked": judged.asked, "adversarial": judged.is_adversarial}

    test = feature.sequential_test(data.stages.arrays("lcr/rates", key, rates)["rates"])
    found = {
        kind: data.stages.arrays(
            f"lcr/{kind}/sequential", key | data.sample_key(kind, TEST), partial(judge, kind)
        )
        for kind in kinds
    }
    adversarial = [found[threat] for threat in data.threats]
    return Row(
        queries_adversarial=float(np.mean([one["asked"].mean() for one in adversarial])),
        accuracy_adversarial=float(np.mean([one["adversarial"].mean() for one in adversarial])),
        queries_benign=float(found[BENIGN]["asked"].mean()),
        threshold=test.threshold,
        accuracy_benign=float(1 - found[BENIGN]["adversarial"].mean()),
    )


def _mean(rows: list[Row]) -> Row:
    """The mean over the seeds."""
    return Row._make(
        None if None in values else float(np.mean(values)) for values in zip(*rows, strict=True)
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
