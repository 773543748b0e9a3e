"""The tables of docs/under-attack.md, from what adaptive.py and reproduce.py wrote."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from stored_results import stored

from a2d_tf.evaluation.adaptive_price import NORMS, Half, limits, ratio, times

Models = Mapping[str, str]  # name of a result -> what its classifier is
LENETS: Models = {
    "adaptive_lenet": "ordinary", "adaptive_lenet_penalty": "gradient penalty",
    "adaptive_lenet_pgd": "PGD-trained", "adaptive_lenet_pgd015": "PGD-trained, 0.15",
}
BY_VERDICTS: Models = {"adaptive_lenet": "ordinary", "adaptive_lenet_pgd": "PGD-trained"}
CIFAR10: Models = {"adaptive_convnet": "convnet", "adaptive_resnet20": "ResNet-20"}
OTHERS: Models = {"adaptive_lenet_others": "ordinary"}
NOISE: Models = {"adaptive_lenet_noise": "ordinary"}
JOINT: Models = {"adaptive_lenet_joint": "ordinary"}
TRAINED: Models = {
    "train_lenet_penalty": "gradient penalty", "train_lenet_pgd": "PGD-trained",
    "train_lenet_pgd015": "PGD-trained, 0.15",
}
CIFAR10_PGD: Models = {"adaptive_convnet_pgd": "PGD-trained"}
RESNET_PGD: Models = {"adaptive_resnet20_pgd": "PGD-trained"}
CLOSE = 3  # so many images more than in the paper still confirm a claim


def bypass_rows(models: Models) -> list[list[str]]:
    """The share of images that bypass, by the strongest setting of each attack."""
    attacks = list(dict.fromkeys(
        row["attack"] for name in models for row in stored(name)["attacks"]
    ))
    rows = [["classifier", "defence", "false positives", *attacks, "best of all"]]
    for name, title in models.items():
        result = stored(name)
        for worst in result["worst_case"]:
            best = {
                row["attack"]: max(
                    one["bypass_rate"] for one in result["attacks"]
                    if (one["detector"], one["attack"]) == (worst["detector"], row["attack"])
                ) for row in result["attacks"] if row["detector"] == worst["detector"]
            }
            low, high = worst["interval"]
            rows.append([
                title, short(worst["detector"]), f"{worst['false_positive_rate']:.1%}",
                *(f"{best[attack]:.0%}" if attack in best else "" for attack in attacks),
                f"{worst['bypass_rate']:.0%} ({low:.0%} to {high:.0%})",
            ])
    return rows


def radius_rows(models: Models) -> list[list[str]]:
    """The share of images that bypass by the strongest single attack of no larger radius."""
    rows = []
    for name, title in models.items():
        result = stored(name)
        radii = sorted(
            {(row["norm"], row["strength"]) for row in result["attacks"] if row["norm"]},
            key=lambda one: (one[0] != "linf", one[1]),
        )
        if not rows:
            norms = {"linf": "L-infinity", "l2": "L2"}
            rows.append(["classifier", "defence", *(
                f"{norms[norm]} {radius:g}" for norm, radius in radii
            )])
        for worst in result["worst_case"]:
            best = (
                max(row["bypass_rate"] for row in result["attacks"] if (
                    row["detector"], row["norm"]
                ) == (worst["detector"], norm) and row["strength"] <= radius)
                for norm, radius in radii
            )
            rows.append([title, short(worst["detector"]), *(f"{rate:.0%}" for rate in best)])
    return rows


def price_rows(models: Models) -> list[list[str]]:
    """The distance at which half of the images bypass."""
    rows = [["classifier", "defence", "L-infinity", "L2"]]
    for name, title in models.items():
        rows += [
            [title, short(row["detector"]), priced(row["linf"]), priced(row["l2"])]
            for row in stored(name)["price"]
        ]
    return rows


RESNET = "ResNet-20"
# The defences that are set side by side: the training, what detects, its result and its detector,
# and the result of the ordinary network without a defence, which was attacked in the same way.
RANKED = {
    "MNIST": (
        ("ordinary", "margin", "adaptive_lenet", "margin (baseline)", "adaptive_lenet"),
        ("ordinary", "default", "adaptive_lenet", "default", "adaptive_lenet"),
        ("ordinary", "cost of BIM", "adaptive_lenet", "bim", "adaptive_lenet"),
        ("ordinary", "default, and a second network", "adaptive_lenet_joint", "default + second",
         "adaptive_lenet_joint"),
        ("gradient penalty", "default", "adaptive_lenet_penalty", "default", "adaptive_lenet"),
        ("PGD within 0.15", "none", "adaptive_lenet_pgd015", "no defence", "adaptive_lenet"),
        ("PGD within 0.15", "cost of BIM", "adaptive_lenet_pgd015", "bim", "adaptive_lenet"),
        ("PGD", "none", "adaptive_lenet_pgd", "no defence", "adaptive_lenet"),
        ("PGD", "cost of BIM", "adaptive_lenet_pgd", "bim", "adaptive_lenet"),
    ),
    "CIFAR-10": (
        ("ordinary", "default", "adaptive_convnet", "default", "adaptive_convnet"),
        ("PGD", "none", "adaptive_convnet_pgd", "no defence", "adaptive_convnet"),
        ("PGD", "default", "adaptive_convnet_pgd", "default", "adaptive_convnet"),
        (RESNET, "default", "adaptive_resnet20", "default", "adaptive_resnet20"),
        (f"{RESNET}, PGD", "none", "adaptive_resnet20_pgd", "no defence", "adaptive_resnet20"),
        (f"{RESNET}, PGD", "default", "adaptive_resnet20_pgd", "default", "adaptive_resnet20"),
    ),
}


def ranked_rows() -> list[list[str]]:
    """How many times the price of the ordinary network without a defence each defence has."""
    run, = stored("table2_env2_cifar10")["datasets"]["cifar10"]["runs"]
    accuracies = {
        ("MNIST", "ordinary"): stored("figure7")["mnist"]["accuracy"]["clean"],
        ("MNIST", "gradient penalty"): stored("train_lenet_penalty")["test_accuracy"],
        ("MNIST", "PGD"): stored("train_lenet_pgd")["test_accuracy"],
        ("CIFAR-10", "ordinary"): stored("figure9")["accuracy"]["plain"]["clean"],
        ("MNIST", "PGD within 0.15"): stored("train_lenet_pgd015")["test_accuracy"],
        ("CIFAR-10", "PGD"): stored("train_convnet_pgd")["test_accuracy"],
        ("CIFAR-10", RESNET): run["model"]["test_accuracy"],
        ("CIFAR-10", f"{RESNET}, PGD"): stored("train_resnet20_pgd")["test_accuracy"],
    }
    rows = [["data", "training", "test accuracy", "detector", "L-infinity", "L2"]]
    for data, defences in RANKED.items():
        for training, what, result, detector, undefended in defences:
            price, base = (
                next(row for row in stored(name)["price"] if short(row["detector"]) == wanted)
                for name, wanted in ((result, detector), (undefended, "no defence"))
            )
            rows.append([
                data, training, f"{accuracies[data, training]:.3f}", what,
                *(times(ratio(half_of(price[norm]), half_of(base[norm]))) for norm in NORMS),
            ])
    return rows


def verdict_rows(models: Models) -> list[list[str]]:
    """The share of images that bypass by verdicts alone, at each radius."""
    rows = []
    for name, title in models.items():
        result = stored(f"{name}_verdicts")
        if not rows:
            radii = dict.fromkeys(row["strength"] for row in result["attacks"])
            rows.append(["classifier", "defence", *(f"within {eps:g}" for eps in radii),
                         "half bypass at"])
        for price in result["price"]:
            its = [row for row in result["attacks"] if row["detector"] == price["detector"]]
            rows.append([
                title, short(price["detector"]), *(f"{row['bypass_rate']:.0%}" for row in its),
                distance(price["linf"]),
            ])
    return rows


def figure7_rows(name: str, dataset: str) -> list[list[str]]:
    """The success of C&W by its confidence."""
    result = stored(name)
    rows = [["defence", *(f"kappa {kappa:g}" for kappa in result["kappa"])]]
    return rows + [
        [defence, *(f"{at['rate']:.0%}" for at in row)]
        for defence, row in result[dataset]["attack_success"].items()
    ]


def kappa_rows(models: Models) -> list[list[str]]:
    """The share of images that bypass with C&W alone, by its confidence."""
    rows = []
    for name, title in models.items():
        result = stored(name)
        found = {
            (row["detector"], row["strength"]): row
            for row in result["attacks"] if row["attack"] == "cw"
        }
        kappas = sorted({kappa for _, kappa in found})
        if not rows:
            rows.append(["classifier", "defence", *(f"kappa {kappa:g}" for kappa in kappas)])
        for detector in dict.fromkeys(detector for detector, _ in found):
            rates = (found[detector, kappa]["bypass_rate"] for kappa in kappas)
            rows.append([title, short(detector), *(f"{rate:.0%}" for rate in rates)])
    return rows


def claim_rows() -> list[list[str]]:
    """The claims of section 6, and what was found."""
    plain, robust = stored("figure7")["mnist"], stored("figure7_cifar10")["cifar10"]
    claims = [
        ("A2D, MNIST, kappa 15", "6.2.1", 0.0, plain, ("A2D", 15)),
        ("A2D, MNIST, kappa 20", "6.2.1", 0.03, plain, ("A2D", 20)),
        ("auto-encoder, MNIST, kappa 0", "6.2.1", 0.21, plain, ("AE", 0)),
        ("auto-encoder, MNIST, kappa 20", "6.2.1", 0.0, plain, ("AE", 20)),
        ("A2D and auto-encoder, MNIST, the worst kappa", "6.2.1", 0.0, plain, ("A2D + AE", None)),
        ("adversarial training, CIFAR-10, kappa 0", "6.2.2", 0.72, robust, ("no defence", 0)),
        ("adversarial training, CIFAR-10, kappa 10", "6.2.2", 0.21, robust, ("no defence", 10)),
        ("A2D and adversarial training, CIFAR-10, kappa 0", "6.2.2", 0.0, robust, ("A2D", 0)),
        ("A2D and adversarial training, CIFAR-10, the worst kappa", "6.2.2", 0.03, robust,
         ("A2D", None)),
    ]
    rows = [["what bypasses", "section", "paper", "here", "the claim holds"]]
    for what, section, paper, result, (defence, kappa) in claims:
        ours = max(
            at["rate"] for at in result["attack_success"][defence] if kappa in (None, at["kappa"])
        )
        holds = "yes" if ours <= paper + CLOSE / result["images"] else "no"
        rows.append([what, section, f"{paper:.0%}", f"{ours:.0%}", holds])
    return rows


# Every pair of classes: the figure, its dataset, what flags, and what the paper found.
PAIRS = {
    "figure11": ("mnist", "MNIST, A2D and auto-encoder", "all"),
    "figure12": ("cifar10", "CIFAR-10, PGD-trained, A2D", "all"),
    "figure13": ("cifar10", "CIFAR-10, PGD-trained, A2D", "all but 3"),
}


def pair_rows() -> list[list[str]]:
    """Figures 11 to 13: targeted images of every pair of classes."""
    rows = [["figure", "defence", "kappa", "pairs", "target reached", "flagged", "flagged, paper",
             "mean L2"]]
    for name, (dataset, defence, paper) in PAIRS.items():
        found = stored(name)[dataset]
        mean = found["mean_l2"]
        rows.append([
            name.removeprefix("figure"), defence, f"{found['kappa']:g}", str(found["pairs"]),
            str(found["reached"]), str(found["flagged"]), paper,
            "" if mean is None else f"{mean:.2f}",
        ])
    return rows


def digit_rows() -> list[list[str]]:
    """Figure 8: a four that becomes a zero."""
    return [["kappa", "target reached", "L2", "A2D and auto-encoder"], *(
        [f"{at['kappa']:g}", "yes" if at["reached"] else "no",
         f"{at['l2']:.2f}" if at["reached"] else "",
         ("flagged" if at["flagged"] else "passes") if at["reached"] else ""]
        for at in stored("figure8")["mnist"]
    )]


def accuracy_rows(trained: Models) -> list[list[str]]:
    """What train.py said of each training that makes a classifier robust."""
    rows = [["training", "test accuracy", "images tested", "right", "L-infinity radius",
             "right under PGD"]]
    for name, title in trained.items():
        found = stored(name)
        tested = found["adversarial"]
        rows.append([title, f"{found['test_accuracy']:.3f}", str(tested["images"]),
                     f"{tested['clean']:.3f}", f"{tested['eps']:.2g}", f"{tested['robust']:.3f}"])
    return rows


def short(name: str) -> str:
    """The names of the folders alone."""
    return " + ".join(Path(one).name for one in name.split("+"))


def distance(half: dict[str, Any]) -> str:
    """A distance, or a bound of it."""
    return half_of(half).text()


def priced(half: dict[str, Any]) -> str:
    """A distance with its 95 % interval, where it is not a bound."""
    interval = limits(half)
    return distance(half) + (f" ({interval})" if interval else "")


def half_of(stored_half: Mapping[str, Any]) -> Half:
    """A distance as it was before it was written."""
    return Half(stored_half["distance"], stored_half["bound"])


TABLES: Mapping[str, Callable[[], list[list[str]]]] = {
    **{name: partial(rows, LENETS) for name, rows in (
        ("bypass", bypass_rows), ("radius", radius_rows), ("price", price_rows),
        ("kappa", kappa_rows),
    )},
    "verdicts": partial(verdict_rows, BY_VERDICTS),
    **{f"{name}-cifar10": partial(rows, CIFAR10) for name, rows in (
        ("bypass", bypass_rows), ("radius", radius_rows), ("price", price_rows),
        ("kappa", kappa_rows),
    )},
    **{f"{name}-others": partial(rows, OTHERS) for name, rows in (
        ("bypass", bypass_rows), ("radius", radius_rows), ("price", price_rows),
    )},
    **{f"{name}-cifar10-pgd": partial(rows, CIFAR10_PGD) for name, rows in (
        ("bypass", bypass_rows), ("radius", radius_rows), ("price", price_rows),
        ("kappa", kappa_rows),
    )},
    "trainings": partial(accuracy_rows, TRAINED),
    **{f"{name}-resnet20-pgd": partial(rows, RESNET_PGD) for name, rows in (
        ("bypass", bypass_rows), ("radius", radius_rows), ("price", price_rows),
        ("kappa", kappa_rows),
    )},
    "trained-cifar10": partial(accuracy_rows, {"train_convnet_pgd": "PGD-trained"}),
    "trained-resnet20": partial(accuracy_rows, {
        "train_resnet20_pgd": "PGD-trained", "train_resnet20_pgd_016": "PGD-trained, 0.016",
    }),
    **{f"{name}-joint": partial(rows, JOINT) for name, rows in (
        ("bypass", bypass_rows), ("radius", radius_rows), ("price", price_rows),
    )},
    **{f"{name}-noise": partial(rows, NOISE) for name, rows in (
        ("radius", radius_rows), ("price", price_rows),
    )},
    "figure7": partial(figure7_rows, "figure7", "mnist"),
    "figure7-cifar10": partial(figure7_rows, "figure7_cifar10", "cifar10"),
    "ranked": ranked_rows, "claims": claim_rows, "pairs": pair_rows, "figure8": digit_rows,
}
