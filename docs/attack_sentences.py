"""The figures within sentences of docs/under-attack.md; see `page_sentences`."""

from collections.abc import Sequence

from page_tables import cell, share, up
from stored_results import stored
from under_attack_tables import RANKED, short

PLAIN, ROBUST, CONVNET, RESNET = "ordinary", "PGD-trained", "convnet", "ResNet-20"
NONE, MARGIN = "no defence", "margin (baseline)"
PENALTY, HALF = "gradient penalty", "PGD-trained, 0.15"


def price(table: str, norm: str, *row: str) -> float:
    """A distance at which half bypass, of a table of prices; a bound as a number."""
    return float(shown_price(table, norm, *row).split()[-1])


def shown_price(table: str, norm: str, *row: str) -> str:
    """The same as it stands there, without its interval."""
    return cell(table, norm, *row).split(" (")[0]


def attacked_rate(
    name: str, attack: str, norm: str, radius: float, detector: str = "default"
) -> str:
    """The share of images, in per cent, that an attack of a radius gets past a detector."""
    row, = (
        row for row in stored(name)["attacks"]
        if (row["attack"], row["norm"], row["strength"]) == (attack, norm, radius)
        and short(row["detector"]) == detector
    )
    return f"{100 * row['bypass_rate']:.0f}"


def row_of(table: str, column: str, classifier: str, defences: Sequence[str]) -> list[str]:
    """The shares of several defences of a classifier."""
    return [share(table, column, classifier, one) for one in defences]


def on_mnist() -> list[tuple[str, Sequence[str]]]:
    """What the page says of the LeNets."""
    defences = ("default", "bim", "directions", "magnet", "bim + magnet", MARGIN, NONE)
    trained = ("default", "bim")
    clean = stored("figure7")["mnist"]["accuracy"]["clean"]
    penalised = stored("train_lenet_penalty")["test_accuracy"]
    half = stored("train_lenet_pgd015")
    passes = stored("compare_mnist")["passes"]["bim-search"]
    return [
        ("the ordinary one (test accuracy {}), and three", [f"{clean:.3f}"]),
        ("Within L2 3, {} % of the images and more bypass every defence", [
            str(min(int(one) for one in row_of("radius", "L2 3", PLAIN, defences))),
        ]),
        ("more than {} % past it, and within 0.3 no more than {} %, where the cost of BIM lets "
         "{} % pass.", [
             share("radius", "L-infinity 0.2", PLAIN, "default"),
             *row_of("radius", "L-infinity 0.3", PLAIN, trained),
         ]),
        ("half bypass grows from {} without a defence to more than {}. In L2 it grows from {} to "
         "{} only. The margin has {} there, and the cost of BIM {}.", [
             f"{price('price', 'L-infinity', PLAIN, NONE):.2f}",
             f"{price('price', 'L-infinity', PLAIN, 'default'):.1f}",
             *(shown_price("price", "L2", PLAIN, one) for one in (NONE, "default", MARGIN, "bim")),
         ]),
        ("Within L2 2, PGD gets {} % of the images past the default, `filters` {} %, and "
         "`selective`, which goes on from there along the score, {} %.", [
             attacked_rate("adaptive_lenet", attack, "l2", 2.0)
             for attack in ("pgd", "filters", "selective")
         ]),
        ("Within L2 2, PGD gets {} % of the images past it, and `selective` {} %. Its price is {} "
         "there, with", [
             *(attacked_rate("adaptive_lenet", attack, "l2", 2.0, "bim")
               for attack in ("pgd", "selective")), shown_price("price", "L2", PLAIN, "bim"),
         ]),
        ("It takes {} forward passes and {} gradients for a benign image,", [
            f"{passes['queries']:.0f}", f"{passes['gradients']:.0f}",
        ]),
        ("of `cw` with kappa 10, {} % do.", [share("kappa", "kappa 10", PLAIN, "default")]),
        ("{} % of the images fool it alone. The margin lets {} % pass, the default {} %, and the "
         "cost of BIM {} %. Within L2 2 these are {} %, {} %, {} % and {} %:", [
             share for column in ("L-infinity 0.3", "L2 2") for share in
             row_of("radius", column, ROBUST, (NONE, MARGIN, *trained))
         ]),
        ("within {} the test accuracy is {}, and the price of the network alone in L2 is {} ({} "
         "within 0.3, and {} for the ordinary network). With the cost of BIM it is {}.", [
             f"{half['adversarial']['eps']:g}", f"{half['test_accuracy']:.3f}",
             *(shown_price("price", "L2", training, NONE) for training in (HALF, ROBUST, PLAIN)),
             shown_price("price", "L2", HALF, "bim"),
         ]),
        ("Within L2 3 the cost of BIM lets {} % pass, and the default {} %.",
         row_of("radius", "L2 3", ROBUST, ("bim", "default"))),
        ("(in L2 from {} to {}). With the default it is {}, with the margin {} and with the cost "
         "of BIM {}, at a test accuracy that is {} lower. The price of PGD training with the cost "
         "of BIM is more than {}.", [
             *(shown_price("price", "L2", training, NONE) for training in (PLAIN, PENALTY)),
             *(shown_price("price", "L2", PENALTY, one) for one in ("default", MARGIN, "bim")),
             f"{clean - penalised:.3f}",
             shown_price("price", "L2", ROBUST, "bim").removeprefix("more than "),
         ]),
    ]


def on_cifar10() -> list[tuple[str, Sequence[str]]]:
    """What the page says of the ordinary networks of CIFAR-10."""
    found = stored("compare_cifar10")["model"]["test_accuracy"]
    resnet = stored("table2_env2_cifar10")["datasets"]["cifar10"]["runs"][0]["model"]
    three = ("default", "bim", MARGIN)
    far = max(price("price-cifar10", "L-infinity", CONVNET, one) for one in (*three, NONE))
    by_kappa = {name: row_of("kappa-cifar10", "kappa 0", name, three) for name in (CONVNET, RESNET)}
    return [
        ("network (test accuracy {}) and ResNet-20 ({}), trained", [
            f"{found:.3f}", f"{resnet['test_accuracy']:.3f}",
        ]),
        ("an L-infinity of {}, little more than one of 255 grey levels, and at an L2 of {} ({} "
         "without a defence).", [
             f"{far:.3f}", *(
                 f"{pick:.2f}" for pick in (
                     max(price("price-cifar10", "L2", CONVNET, one) for one in three),
                     price("price-cifar10", "L2", CONVNET, NONE),
                 )
             ),
         ]),
        ("raises the price in L-infinity from {} to {}; the cost", [
            shown_price("price-cifar10", "L-infinity", RESNET, one) for one in (NONE, "default")
        ]),
        ("of `cw` with kappa 5, {} % get past the default on the convolutional network, and {} % "
         "on ResNet-20, where all get past the margin and the cost of BIM. With kappa 10, {} % "
         "get past the default on ResNet-20.", [
             share("kappa-cifar10", "kappa 5", CONVNET, "default"),
             share("kappa-cifar10", "kappa 5", RESNET, "default"),
             share("kappa-cifar10", "kappa 10", RESNET, "default"),
         ]),
        ("just across the boundary, {} % bypass the default on the convolutional network and {} % "
         "on ResNet-20. For the cost of BIM these are {} % and {} %, and for the margin {} % and "
         "{} %.", [
             by_kappa[name][place] for place in range(3) for name in (CONVNET, RESNET)
         ]),
    ]


def trained_on_cifar10() -> list[tuple[str, Sequence[str]]]:
    """What the page says of the PGD-trained network of CIFAR-10."""
    before = stored("compare_cifar10")["model"]["test_accuracy"]
    after = stored("train_convnet_pgd")["test_accuracy"]
    alone = {norm: price("price-cifar10-pgd", norm, ROBUST, NONE) for norm in ("L-infinity", "L2")}
    exact = {
        short(row["detector"]): row for row in stored("adaptive_convnet_pgd")["price"]
    }
    gain = max(
        exact[name][norm]["distance"] / exact[NONE][norm]["distance"] - 1
        for norm in ("linf", "l2") for name in ("default", "bim")
    )
    both = {share("radius-cifar10-pgd", "L2 1.6", ROBUST, one) for one in ("default", "bim")}
    near, far = (
        row_of("kappa-cifar10-pgd", f"kappa {kappa}", ROBUST, (NONE, MARGIN, "bim", "default"))
        for kappa in (0, 5)
    )
    beyond = share("radius-cifar10-pgd", "L2 1.6", ROBUST, "bim")
    costs = stored("bim_costs_convnet_pgd")
    return [
        ("lower than that of the ordinary one ({}):", [f"{before:.3f}"]),
        ("in L-infinity from {} to {}, and in L2 from {} to {}. It costs {} percentage points of "
         "accuracy ({} to {}).", [
             f"{price('price-cifar10', 'L-infinity', CONVNET, NONE):.3f}",
             f"{alone['L-infinity']:.3f}",
             f"{price('price-cifar10', 'L2', CONVNET, NONE):.2f}", f"{alone['L2']:.1f}",
             f"{100 * (before - after):.0f}", f"{before:.3f}", f"{after:.3f}",
         ]),
        ("raise the price by at most {} %, which", [up(100 * gain, 0)]),
        ("Within L2 1.6, {} % of the images bypass each of the two, and {} % fool", [
            *both, share("radius-cifar10-pgd", "L2 1.6", ROBUST, NONE),
        ]),
        ("{} % of its images fool the classifier, {} % bypass the margin, {} % the cost of BIM and "
         "{} % the default. With kappa 5, C&W fools the classifier on {} % of the images.", [
             *near, far[0],
         ]),
        ("the cost of BIM and the margin, and {} % the default.", [far[3]]),
        ("With kappa 0, {} % of the images bypass A2D, which", [
            cell("figure7-cifar10", "kappa 0", "A2D").rstrip("%"),
        ]),
        ("gets {} % of 40 other images past the cost of BIM. In that section {} % of C&W's", [
            beyond, near[2],
        ]),
        ("BIM fails on {} % of the first {} test images of this network within", [
            f"{100 * (1 - costs['within_cap']):.0f}", str(costs["images"]),
        ]),
    ]


def trained_further() -> list[tuple[str, Sequence[str]]]:
    """What the page says of ResNet-20 after two epochs against PGD."""
    before = stored("table2_env2_cifar10")["datasets"]["cifar10"]["runs"][0]["model"]
    after = stored("train_resnet20_pgd")["test_accuracy"]
    return [
        ("Before, its test accuracy was {}:", [f"{before['test_accuracy']:.3f}"]),
        ("in L-infinity from {} to {}, and in L2 from at most {} to {}, for {} percentage points", [
            shown_price("price-cifar10", "L-infinity", RESNET, NONE),
            shown_price("price-resnet20-pgd", "L-infinity", ROBUST, NONE),
            shown_price("price-cifar10", "L2", RESNET, NONE).removeprefix("at most "),
            shown_price("price-resnet20-pgd", "L2", ROBUST, NONE),
            f"{100 * (before['test_accuracy'] - after):.1f}",
        ]),
        ("Of C&W's images with kappa 0, {} % bypass the default, {} % the cost of BIM and {} % the "
         "margin.", row_of("kappa-resnet20-pgd", "kappa 0", ROBUST, ("default", "bim", MARGIN))),
    ]


def second_networks() -> list[tuple[str, Sequence[str]]]:
    """What the page says of noise and of a second network."""
    joint, rates = "default + second", ("default + second", "default")
    return [
        ("in L2 to {}, where the default alone has {} on these images", [
            shown_price("price-joint", "L2", PLAIN, joint),
            shown_price("price-noise", "L2", PLAIN, "default"),
        ]),
        ("and the network without a defence {}. An attacker who does not follow the gradients of "
         "both networks needs more than {}. It", [
             shown_price("price-joint", "L2", PLAIN, NONE),
             shown_price("price-others", "L2", PLAIN, joint).removeprefix("more than "),
         ]),
        ("bypass the default at {} with noise, and at {} without it; for the margin these are {} "
         "and {}. In L-infinity, {} % and {} % get past the default within", [
             *(shown_price("price-noise", "L2", PLAIN, f"{one}{noise}")
               for one in ("default", MARGIN) for noise in (", noise 0.1", "")),
             *(share("radius-noise", "L-infinity 0.3", PLAIN, f"default{noise}")
               for noise in (", noise 0.1", "")),
         ]),
        ("flags {} % of benign images in place of {} %.", [
            share("bypass-others", "false positives", PLAIN, one) for one in rates
        ]),
        ("little for the margin ({} in place of {}).", [
            f"{price('price-others', 'L-infinity', PLAIN, one):.2f}"
            for one in (f"{MARGIN}, noise 0.1", MARGIN)
        ]),
    ]


def summary() -> list[tuple[str, Sequence[str]]]:
    """What the page says of all defences together."""
    found = dict(zip(("before", "after"), (
        stored("compare_cifar10")["model"]["test_accuracy"],
        stored("train_convnet_pgd")["test_accuracy"],
    ), strict=True))
    resnet = stored("table2_env2_cifar10")["datasets"]["cifar10"]["runs"][0]["model"]
    further = stored("train_resnet20_pgd")["test_accuracy"]
    rates = [
        worst["false_positive_rate"] for defences in RANKED.values()
        for _, _, result, detector, _ in defences for worst in stored(result)["worst_case"]
        if short(worst["detector"]) == detector not in (NONE, "default + second")
    ]
    return [
        ("Detectors flag {} % to {} % of the benign images here,", [
            f"{100 * min(rates):.0f}", f"{100 * max(rates):.0f}",
        ]),
        ("with a second network {} %. On MNIST", [
            f"{float(share('bypass-joint', 'false positives', PLAIN, 'default + second')):.0f}",
        ]),
        ("and costs {} percentage points of accuracy; two", [
            f"{100 * (found['before'] - found['after']):.0f}",
        ]),
        ("raise the price in L-infinity {} times, and cost {} points.", [
            cell("ranked", "L-infinity", "CIFAR-10", "ResNet-20, PGD", f"{further:.3f}", "none"),
            f"{100 * (resnet['test_accuracy'] - further):.1f}",
        ]),
    ]


def under_attack() -> list[tuple[str, Sequence[str]]]:
    """Every sentence of the page."""
    return [
        *summary(), *on_mnist(), *on_cifar10(), *trained_on_cifar10(),
        *trained_further(), *second_networks(),
    ]
