"""The papers' settings, by name."""

from dataclasses import replace

from a2d_tf.attacks.base import Attack
from a2d_tf.attacks.boundary import DBA
from a2d_tf.attacks.gradient import BIM, BIM2
from a2d_tf.attacks.saliency import JSMA
from a2d_tf.errors import pick

_JSMA = JSMA(theta=0.1, max_changes_per_pixel=7, max_iterations=2000)

# The authors' released settings for attacks that serve as defence.
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
# Searches with the same settings.
for _attacks in PRESETS.values():
    _attacks |= {
        f"{name}-search": replace(attack, search=True)
        for name, attack in _attacks.items() if isinstance(attack, BIM)
    }


def preset(name: str, dataset: str) -> Attack:
    """A cost attack with the published settings.

    Args:
      name: "bim", "bim2", "jsma" or "dba"; "bim-search" or "bim2-search" for the same cost in
        long strides (`attacks.search`).
      dataset: "mnist" or "cifar10".

    Raises:
      InvalidInputError: an unknown attack or dataset.
    """
    return pick(pick(PRESETS, dataset, "a preset"), name, "an attack")
