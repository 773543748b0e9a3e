"""The figures within sentences about Env 2 and the paper's tables; see `page_sentences`."""

import re
from collections.abc import Sequence
from typing import Any

from page_tables import FIGURE, TABLES, auroc, largest, share, up
from stored_results import stored

from a2d_tf.evaluation.published import published, with_searches

DEFAULT = "response"
Sentences = list[tuple[str, Sequence[str]]]


def env2(dataset: str) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """A stored run of Env 2, and the published AUROC by threat and detector."""
    part = stored(f"table2_env2_{dataset}")["datasets"][dataset]
    run, = part["runs"]
    return run, part["published"]


def short_of(dataset: str, threats: Sequence[str], detectors: Sequence[str]) -> list[float]:
    """By how much AUROCs of Env 2 are below the published ones."""
    run, paper = env2(dataset)
    return [
        paper[threat][name] - run["cells"][threat][name]["auroc"]
        for threat in threats for name in detectors
    ]


def below_best(dataset: str, threats: Sequence[str], detector: str, others: Sequence[str]) -> float:
    """By how much a detector's AUROC is below the best one of others, at most."""
    run, _ = env2(dataset)
    return largest(
        max(run["cells"][threat][one]["auroc"] for one in others)
        - run["cells"][threat][detector]["auroc"] for threat in threats
    )


def uncertainty(dataset: str, name: str) -> float:
    """By how much the limits of an AUROC's 95 % interval are away from it, at most."""
    run, _ = env2(dataset)
    return largest(
        abs(bound - row[name]["auroc"])
        for row in run["cells"].values() for bound in row[name]["auroc_ci95"]
    )


def second_environment() -> Sentences:
    """What docs/results.md says of Env 2 on MNIST and CIFAR-10."""
    run, _ = env2("mnist")
    threats = ("fgsm-normalised", "jsma", "deepfool", "bb")
    lcr = largest(map(abs, short_of("mnist", threats, ["lcr"])))
    near = ("jsma", "deepfool", "cw")
    other, _ = env2("cifar10")
    names = list(other["columns"])
    few = [-one for one in short_of("cifar10", ["fgsm", "jsma", "deepfool"], ["lcr"])]
    costs = short_of("cifar10", ["fgsm", "jsma"], ["jsma", "bim", "bim2"])
    on_cw = sorted(
        int(share("env2-cifar10", "C&W", name)) for name in names if name != "ensemble_knn"
    )
    behind = [
        other["cells"][threat]["lcr"]["auroc"] - other["cells"][threat][DEFAULT]["auroc"]
        for threat in ("jsma", "bb")
    ]
    return [
        ("LeNet-5 (test accuracy {}), 300 benign", [f"{run['model']['test_accuracy']:.3f}"]),
        ("is within {} of the published AUROC on \"FGSM, normalised\", JSMA, DeepFool and BB. On "
         "C&W it is {} higher", [
             up(lcr), f"{-short_of('mnist', ['cw'], ['lcr'])[0]:.2f}",
         ]),
        ("is best or within {} of the best on every threat.", [
            up(below_best("mnist", list(run["cells"]), "ensemble_directions",
                          list(set(run["columns"]) - {"dba"})), 3),
        ]),
        ("it finds {} %, {} % and {} % of these.", [
            share("env2-mnist", column, DEFAULT) for column in ("FGSM", "FGSM, normalised", "BB")
        ]),
        ("its AUROC is there up to {} below that of the margin.", [
            f"{below_best('mnist', near, DEFAULT, ['margin']):.3f}",
        ]),
        ("falls {} short of the paper on FGSM in pixels, and {} on normalised FGSM.", [
            f"{short_of('mnist', ['fgsm'], ['jsma'])[0]:.1f}",
            f"{short_of('mnist', ['fgsm-normalised'], ['jsma'])[0]:.3f}",
        ]),
        ("its AUROC is uncertain by up to {}.", [f"{uncertainty('mnist', 'dba'):.2f}"]),
        ("ResNet-20 (test accuracy {}), which stands for", [
            f"{other['model']['test_accuracy']:.3f}",
        ]),
        ("it reaches a test accuracy of {}:", [
            f"{stored('train_resnet20')['test_accuracy']:.3f}",
        ]),
        ("that of the network with {}:", [f"{other['model']['test_accuracy']:.3f}"]),
        ("is {} to {} above the published AUROC on FGSM, JSMA and DeepFool, and {} below it on "
         "C&W.", [
             f"{min(few):.2f}", f"{max(few):.2f}",
             f"{short_of('cifar10', ['cw'], ['lcr'])[0]:.2f}",
         ]),
        ("the entropy of the probabilities is within {} of it on FGSM", [
            up(below_best("cifar10", ["fgsm", "jsma", "deepfool", "bb"], "entropy", ["lcr"])),
        ]),
        ("are {} to {} below the paper's on FGSM and JSMA", [
            f"{min(costs):.2f}", f"{max(costs):.2f}",
        ]),
        ("no detector finds more than {} % of the images, and half of them find no more than {} %. "
         "Dissector is best there ({}), at one pass.", [
             str(on_cw[-1]), str(on_cw[len(on_cw) // 2]), auroc("env2-cifar10", "C&W", "dissector"),
         ]),
        ("is best on FGSM and BB, and within {} of the best on JSMA and DeepFool.", [
            up(below_best("cifar10", ["jsma", "deepfool"], "ensemble_directions", names), 3),
        ]),
        ("on FGSM it has {} where the margin has {}, on JSMA and BB it is at most {} below LCR; on "
         "C&W ({}) only", [
             auroc("env2-cifar10", "FGSM", DEFAULT), auroc("env2-cifar10", "FGSM", "margin"),
             up(max(behind)), auroc("env2-cifar10", "C&W", DEFAULT),
         ]),
    ]


def photographs() -> Sentences:
    """What docs/results.md says of Env 2 on ImageNet."""
    table = "env2-imagenet"
    run, paper = env2("imagenet")
    passes = run["passes"]["jsma"]
    fgsm = [one for name, one in run["cells"]["fgsm"].items() if name != "dba"]
    near = ("JSMA", "DeepFool", "C&W")
    halves = [(high - low) / 2 for one in fgsm for low, high in [one["auroc_ci95"]]]
    return [
        ("the entropy has {} and the energy finds {} % at 5 % false positives, where counted JSMA "
         "has {} ({} %) at {} passes, and searched BIM {} ({} %). The paper has {} for", [
             auroc(table, "FGSM", "entropy"), share(table, "FGSM", "energy"),
             auroc(table, "FGSM", "jsma"), share(table, "FGSM", "jsma"),
             f"{passes['queries'] + passes['gradients']:.0f}",
             auroc(table, "FGSM", "bim-search"), share(table, "FGSM", "bim-search"),
             f"{paper['fgsm']['bim-search']:.3f}",
         ]),
        ("is best on FGSM ({}). The default (`response`) has {} and finds {} %, more", [
            auroc(table, "FGSM", "ensemble_directions"), auroc(table, "FGSM", DEFAULT),
            share(table, "FGSM", DEFAULT),
        ]),
        ("and the costs of JSMA, BIM and BIM2 find {} % of them or more;", [
            str(min(
                int(share(table, threat, one)) for threat in near
                for one in ("margin", "first-order", "jsma", "bim-search", "bim2-search")
            )),
        ]),
        ("The default finds {} %, {} % and {} % at 5 % false positives.", [
            share(table, threat, DEFAULT) for threat in near
        ]),
        ("is the best on C&W ({}), by {} before the margin.", [
            auroc(table, "C&W", "jsma"),
            f"{-below_best('imagenet', ['cw'], 'jsma', ['margin']):.3f}",
        ]),
        ("some {} passes: each AUROC may be off by up to {}, and", [
            f"{run['passes']['dba']['queries']:.0f}", f"{uncertainty('imagenet', 'dba'):.2f}",
        ]),
        ("The other 95 % intervals, up to {} on each side on FGSM,", [up(max(halves))]),
    ]


def rest_of_results() -> Sentences:
    """What docs/results.md says of Table 3, Figure 6 and Env 1 beside the paper."""
    def below(dataset: str, names: Sequence[str]) -> list[float]:
        paper = with_searches(published("table3")[dataset])
        found = stored(f"table3_{dataset}")[dataset]
        return [paper[name][1] - found[name]["accuracy_at_published"] for name in names]

    counted = ("jsma", "bim", "bim2", "dba")
    mnist, cifar10 = below("mnist", counted), below("cifar10", counted)
    photographs = below("imagenet", ("jsma", "bim-search", "bim2-search"))
    lcr = stored("table3_cifar10")["cifar10"]["lcr"]["accuracy_benign"]
    table = {
        row[0].strip("`"): re.findall(FIGURE, row[3]) for row in TABLES["figure6-env2-mnist"]()[1:]
    }
    from_paper = {
        name: abs(float(ours) - float(theirs)) for name, (ours, theirs) in table.items()
    }
    env1 = [
        float(row[at + 1]) - float(row[at]) for row, at in (
            *((row, 1) for row in TABLES["published-mnist"]() if row[0] == "`jsma`"),
            *((row, 3) for row in TABLES["published-cifar10"]() if row[0].strip("`") in (
                "jsma", "bim-search", "bim2-search"
            )),
        )
    ]
    ours, theirs = (one["mnist"]["iterations"] for one in (stored("table4"), published("table4")))
    return [
        ("the costs' accuracies on adversarial ones are {} to {} below the paper's.", [
            f"{min(mnist):.2f}", f"{max(mnist):.2f}",
        ]),
        ("by {} to {}. LCR is right more often than every cost, at {} on benign images.", [
            f"{min(cifar10):.2f}", f"{max(cifar10):.2f}", f"{lcr:.2f}",
        ]),
        ("accuracies on adversarial images are {} to {} lower: FGSM's", [
            f"{min(photographs):.2f}", f"{max(photographs):.2f}",
        ]),
        ("within {} of the paper's, but for DBA, which is {} below it.", [
            up(largest(value for name, value in from_paper.items() if name != "dba")),
            f"{from_paper['dba']:.2f}",
        ]),
        ("on CIFAR-10 BIM-a are {} to {} short of the paper.", [
            f"{min(env1):.2f}", f"{max(env1):.2f}",
        ]),
        ("grow about {} times as fast with", [
            f"{(ours[-1] - ours[0]) / (theirs[-1] - theirs[0]):.1f}",
        ]),
    ]
