"""Figure 7: confident images against A2D with an auto-encoder, or on a robust classifier."""

from functools import partial
from typing import Any

from a2d_tf.evaluation.adaptive import Bypass
from a2d_tf.evaluation.adaptive_attacks import Strengths
from a2d_tf.evaluation.adaptive_judges import NOTHING
from a2d_tf.evaluation.adaptive_report import interval
from a2d_tf.evaluation.published import published
from a2d_tf.reports.axes import Axis
from a2d_tf.reports.measurement_figures import Curve, curves
from a2d_tf.reports.tables import Table
from a2d_tf.reproduction import section6
from a2d_tf.reproduction.runner import ReproductionConfig, ReproductionResult

KAPPAS = (0.0, 5.0, 10.0, 15.0, 20.0)


def run_figure7(config: ReproductionConfig) -> ReproductionResult:
    """Success of C&W by its confidence, within a distance in L2 (section 6.2).

    On MNIST (a) the classifier is the plain one, and an auto-encoder is among the defences. On
    CIFAR-10 (b) the classifier was trained against PGD, with a short schedule. The attack is
    untargeted.
    """
    results: dict[str, Any] = {
        "kappa": list(KAPPAS), "a2d": "bim-search, zscore", "a2d_fpr": section6.A2D_FPR,
        "ae_fpr": section6.AE_FPR, "ae_epochs": section6.AE_EPOCHS,
    }
    tables, panels = [], {}
    for dataset in config.datasets:
        is_robust = dataset == "cifar10"
        one = section6.setup(config, dataset, is_robust=is_robust)
        judges = section6.defences(config, one, encoder=not is_robust)
        found = section6.attacked(config, one, judges, ["cw"], Strengths(kappas=KAPPAS, eps=()))
        paper = published("figure7")[dataset]
        limit = float(paper["max_l2"])
        rows = {name: [_row(item, limit) for item in found if item.detector == name]
                for name in judges}
        results[dataset] = {
            "images": len(one.images), "max_l2": limit, "accuracy": one.accuracy,
            "trained_against_pgd": is_robust, "attack_success": rows,
        }
        header = ["defence", "", *(f"kappa {kappa:g}" for kappa in KAPPAS)]
        cells = []
        for name, row in rows.items():
            cells.append([name, "ours", *(f"{at['rate']:.0%}" for at in row)])
            if name in paper["attack_success"]:
                theirs = paper["attack_success"][name]
                cells.append(["", "paper", *(_published(theirs, kappa) for kappa in KAPPAS)])
        lengths = (f"{item.l2.mean():.2f}" for item in found if item.detector == NOTHING)
        cells.append(["mean L2 of the images", "ours", *lengths])
        accuracy = ", ".join(f"{kind} {value:.3f}" for kind, value in one.accuracy.items())
        title = (
            f"Attack success within L2 {limit:g} on {dataset}: {len(one.images)} images, accuracy "
            f"{accuracy}"
        )
        tables.append(Table(title, header, cells))
        panels[f"{dataset}, L2 at most {limit:g}"] = {
            name: Curve(
                KAPPAS, [at["rate"] for at in row], [at["interval"][0] for at in row],
                [at["interval"][1] for at in row],
            ) for name, row in rows.items()
        }
    axes = {title: Axis("kappa") for title in panels}
    return ReproductionResult(
        results, tables, partial(curves, panels, axes, Axis("attack success"))
    )


def _row(found: Bypass, limit: float) -> dict[str, Any]:
    """The share of images that bypass within the distance, as JSON values."""
    near = found.bypassed & (found.l2 <= limit)
    return {
        "kappa": found.strength, "rate": float(near.mean()),
        "interval": interval(int(near.sum()), len(near)),
        "bypass_at_any_distance": float(found.bypassed.mean()),
    }


def _published(rates: dict[str, str], kappa: float) -> str:
    """What the text says of a confidence; empty where it says nothing."""
    return rates.get(f"{kappa:g}", "")
