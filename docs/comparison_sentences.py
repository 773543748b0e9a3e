"""The figures within sentences about the comparisons; see `page_sentences`."""

from collections.abc import Iterable, Sequence

from page_tables import accuracy, auroc, cell, exact, largest, share, up
from stored_results import stored

DEFAULT, MNIST, CIFAR10 = "response", "compare_mnist", "compare_cifar10"
COSTS = ("first-order", "bim-search", "bim2-search", "jsma", "ensemble_zscore",
         "ensemble_conformal")
Sentences = list[tuple[str, Sequence[str]]]


def readme() -> Sentences:
    lower = exact(MNIST, "cw", "margin") - exact(MNIST, "cw", DEFAULT)
    right = stored(CIFAR10)["model"]["test_accuracy"]
    return [
        ("which is right for {} % of its test images", [f"{right:.0%}"[:-1]]),
        ("Of BIM-a, the default finds {} %, and feature squeezing {} %.", [
            share("cifar10", "BIM-a", DEFAULT), share("cifar10", "BIM-a", "squeezing"),
        ]),
        ("The default finds {} % of them on MNIST and {} % on CIFAR-10, feature squeezing {} % "
         "and {} %.", [
             share(table, "PGD", detector) for detector in (DEFAULT, "squeezing")
             for table in ("mnist", "cifar10")
         ]),
        ("but C&W on MNIST ({} lower)", [f"{lower:.4f}"]),
    ]


def comparisons() -> Sentences:
    """What docs/results.md says of the comparisons."""
    cells, unseen = stored(CIFAR10)["cells"], stored(CIFAR10)["unseen"]
    benign_only = stored(CIFAR10)["benign_only"]

    def gains(threats: Sequence[str], names: Sequence[str]) -> Iterable[float]:
        return (exact(CIFAR10, threat, name) - exact(CIFAR10, threat, "margin")
                for threat in threats for name in names)

    kept = largest(cells[one]["kd"]["auroc"] - unseen[one]["kd"]["auroc"] for one in unseen)
    most = max(cells["fgsm"][name]["tpr_at_fpr"]["0.05"] for name in benign_only)
    learned = min(int(share("cifar10", "PGD", one)) for one in ("kd", "lid", "mahalanobis"))
    return [
        ("LeNet (test accuracy {}), 1,000 images", [accuracy(MNIST)]),
        ("12 layers (test accuracy {}), 1,000 images", [accuracy(CIFAR10)]),
        ("alone finds more than {} %. Of BIM-a's, feature squeezing finds {} %, and the default "
         "{} %.", [f"{100 * most:.0f}", share("cifar10", "BIM-a", "squeezing"),
                   share("cifar10", "BIM-a", DEFAULT)]),
        ("no cost is better than the margin by more than {}; on C&W they are, by {} to {}.", [
            up(largest(gains(["fgsm", "bim-a", "jsma"], COSTS))),
            *(f"{pick(gains(['cw'], COSTS)):.3f}" for pick in (min, max)),
        ]),
        ("Of PGD's images it finds only {} %.", [share("cifar10", "PGD", "squeezing")]),
        ("the best on FGSM ({}) if it learned", [auroc("cifar10", "FGSM", "mahalanobis")]),
        ("unlike benign ones, finds {} %, KD, LID and Mahalanobis {} % or more", [
            share("cifar10", "PGD", DEFAULT), str(learned),
        ]),
        ("it fails on PGD ({}). Only KD keeps its AUROC, within {}, on", [
            cell("unseen-cifar10", "PGD", "`ensemble_directions`"), up(kept),
        ]),
        ("MNIST's LeNet has a test accuracy of {}, CIFAR-10's convolutional network of 12 layers "
         "one of {}.", [accuracy(MNIST), accuracy(CIFAR10)]),
    ]


def choose() -> Sentences:
    cells = stored("frontier_cifar10")["datasets"]["cifar10"][0]["cells"]
    near = [threat for threat in cells if threat != "pgd"]
    halves = [
        (high - low) / 2 for dataset in ("mnist", "cifar10")
        for row in stored(f"frontier_{dataset}")["datasets"][dataset][0]["cells"].values()
        for one in row.values() for low, high in [one["auroc_ci95"]]
    ]
    changes = [
        abs(cells[one]["filters, 1 gradient"]["auroc"] - cells[one]["filters"]["auroc"])
        for dataset in ("mnist", "cifar10")
        for cells in [stored(f"frontier_{dataset}")["datasets"][dataset][0]["cells"]]
        for one in near
    ]
    best = max(cells["cw"][one]["auroc"] for one in ("bim-search", "bim"))

    def found(threat: str, name: str) -> str:
        rate: float = cells[threat][name]["tpr_at_fpr"]["0.05"]
        return f"{100 * rate:.0f}"

    costs = [exact(MNIST, "cw", name) for name in ("bim-search", "bim2-search")]
    others = ("BIM-a", "JSMA", "C&W"), ("BIM-a", "JSMA", "PGD")
    behind = [
        max(float(cell(table, threat, f"`{one}`")) for one in stored(result)["unseen"]["fgsm"])
        - float(cell(table, threat, f"`{DEFAULT}`, benign images alone"))
        for result, table, threats in zip(
            (MNIST, CIFAR10), ("unseen", "unseen-cifar10"), others, strict=True
        ) for threat in threats
    ]

    def unseen(table: str, threat: str, name: str) -> str:
        return cell(f"unseen{table}", threat, f"`{name}`")

    return [
        ("with 300 images these are up to {} wide on each side", [up(max(halves))]),
        ("find {} % of BIM-a's images where the logits alone find {} %, and {} % of C&W's where "
         "these find {} %.", [
             found(threat, name) for threat in ("bim-a", "cw")
             for name in ("filters", "0 gradients")
         ]),
        ("finds {} % of the images far across the boundary on CIFAR-10, where the default finds "
         "{} %. It changes the AUROC of the other threats by {} or less", [
             found("pgd", "filters, 1 gradient"), found("pgd", "filters"), up(max(changes), 3),
         ]),
        ("C&W's images on CIFAR-10, by {}, which", [
            f"{best - cells['cw']['filters']['auroc']:.3f}",
        ]),
        ("The default finds {} % at 5 % false positives, as the margin does ({} %). The energy of "
         "the logits and the entropy of the probabilities, at one pass, find {} % and {} % (AUROC "
         "{} and {}, the default {}), and feature squeezing {} % ({}).", [
             *(share("cifar10", "FGSM", one) for one in (DEFAULT, "margin", "energy", "entropy")),
             *(auroc("cifar10", "FGSM", one) for one in ("energy", "entropy", DEFAULT)),
             share("cifar10", "FGSM", "squeezing"), auroc("cifar10", "FGSM", "squeezing"),
         ]),
        ("finds {} %, and the costs and directions that learned from them {} %.", [
            share("cifar10", "FGSM", one) for one in ("mahalanobis", "ensemble_directions")
        ]),
        ("have an AUROC of {} on CIFAR-10, `first-order` at one gradient {}, and the default {}. "
         "On MNIST they have {}, and the default {}.", [
             *(auroc("cifar10", "C&W", one) for one in ("bim-search", "first-order", DEFAULT)),
             f"{max(costs):.4f}", f"{exact(MNIST, 'cw', DEFAULT):.4f}",
         ]),
        ("MNIST's FGSM ({}, the default {}) and PGD ({} and {}), and on CIFAR-10's FGSM and BIM-a "
         "({} and {}).", [
             auroc(table, threat, one) for table, threat in (
                 ("mnist", "FGSM"), ("mnist", "PGD"), ("cifar10", "BIM-a")
             ) for one in ("squeezing", DEFAULT)
         ]),
        ("where squeezing finds {} % and the default {} %.", [
            share("cifar10", "PGD", one) for one in ("squeezing", DEFAULT)
        ]),
        ("The softmax probability and the entropy have {}, the default {}.", [
            auroc("mnist", "JSMA", one) for one in ("msp", DEFAULT)
        ]),
        ("has {} and {} where the default has {} and {}. On CIFAR-10's FGSM KD has {} (the default "
         "{}), and on its C&W `ensemble_logistic` {} ({}). On the other six the default is best, "
         "or within {} of the best.", [
             *(unseen("", threat, "ensemble_directions") for threat in ("FGSM", "PGD")),
             *(auroc("mnist", threat, DEFAULT) for threat in ("FGSM", "PGD")),
             unseen("-cifar10", "FGSM", "kd"), auroc("cifar10", "FGSM", DEFAULT),
             unseen("-cifar10", "C&W", "ensemble_logistic"), auroc("cifar10", "C&W", DEFAULT),
             up(largest(behind), 3),
         ]),
        ("it finds {} % of the BIM-a images", [share("digits", "BIM-a", DEFAULT)]),
    ]
