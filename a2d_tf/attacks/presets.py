"""The published settings of the attacks, by name."""

from dataclasses import replace

from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.basic_iterative_method import BIM, BIM2
from a2d_tf.attacks.boundary_attack import DBA
from a2d_tf.attacks.carlini_wagner import CarliniWagner
from a2d_tf.attacks.deepfool import DeepFool
from a2d_tf.attacks.fast_gradient_method import FGSM
from a2d_tf.attacks.first_order import FirstOrder
from a2d_tf.attacks.jsma import JSMA
from a2d_tf.attacks.lbfgs import LBFGS
from a2d_tf.attacks.local_search import LocalSearch
from a2d_tf.checks import lookup

_JSMA = JSMA(theta=0.1, max_changes_per_pixel=7, max_iterations=2000)

# The authors' released settings of cost attacks.
PRESETS: dict[str, dict[str, Attack]] = {
    "mnist": {
        "bim": BIM(eps=0.3, step=0.0006, max_iterations=500),
        "bim2": BIM2(eps=0.1, step=0.0002, max_iterations=500),
        "jsma": _JSMA,
        "dba": DBA(mse_threshold=0.02, max_iterations=5000),
    },
    "cifar10": {
        "bim": BIM(eps=0.03, step=0.00006, max_iterations=500),
        "bim2": BIM2(eps=0.01, step=0.00002, max_iterations=500),
        "jsma": _JSMA,
        "dba": DBA(mse_threshold=5e-5, max_iterations=5000),
    },
}
# The other attacks that the paper compares (section 5.1), and DeepFool: Foolbox 1.8's defaults.
# The first-order cost has nothing to set.
_OTHERS: dict[str, Attack] = {
    "fgsm": FGSM(step=0.001, max_iterations=1000),
    "deepfool": DeepFool(max_iterations=100),
    "lbfgs": LBFGS(initial_const=2e-5, steps_per_constant=150, max_iterations=4500),
    "lsa": LocalSearch(
        factor=1.5, extreme=10.0, reach=5, chosen=5, first=0.1, max_iterations=150
    ),
    "cw": CarliniWagner(
        initial_const=0.01, step=0.005, binary_search_steps=5, max_iterations=5000
    ),
    "first-order": FirstOrder(),
}
for _attacks in PRESETS.values():
    _attacks |= _OTHERS
# Searches with the same settings.
for _attacks in PRESETS.values():
    _attacks |= {
        f"{name}-search": replace(attack, search=True)
        for name, attack in _attacks.items() if isinstance(attack, BIM)
    }


def preset(name: str, dataset: str = "mnist") -> Attack:
    """A cost attack with the published settings.

    Args:
      name: "bim", "bim2", "jsma", "dba", "fgsm", "deepfool", "lbfgs", "lsa", "cw" or "first-order";
        "bim-search" or "bim2-search" for the same cost by search (`attacks.boundary_search`).
      dataset: "mnist" or "cifar10": whose settings.

    Raises:
      InvalidInputError: an unknown attack or dataset.
    """
    return lookup(lookup(PRESETS, dataset, "a preset's dataset"), name, "an attack")
