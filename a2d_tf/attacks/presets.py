"""The papers' settings, by name."""

import dataclasses

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


def preset(name: str, dataset: str, *, search: bool = False) -> Attack:
    """A cost attack with the published settings.

    Args:
      name: "bim", "bim2", "jsma" or "dba".
      dataset: "mnist" or "cifar10".
      search: whether an attack that can finds its cost in long strides (`attacks.search`).

    Raises:
      InvalidInputError: an unknown attack or dataset.
    """
    attack = pick(pick(PRESETS, dataset, "a preset"), name, "an attack")
    return dataclasses.replace(attack, search=search) if isinstance(attack, BIM) else attack
