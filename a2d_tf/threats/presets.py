"""The threats of the paper's Table 5, by name."""

from a2d_tf.attacks import BIM, CarliniWagner, DeepFool
from a2d_tf.checks import lookup
from a2d_tf.threats.base import Threat
from a2d_tf.threats.by_attack import AttackThreat
from a2d_tf.threats.fgsm import FGSM
from a2d_tf.threats.jsma import JSMA

# DeepFool has the settings of Foolbox.
_COMMON: dict[str, Threat] = {
    "jsma": JSMA(theta=1.0, gamma=0.1),
    "cw": AttackThreat(attack=CarliniWagner(
        confidence=0.0, initial_const=0.02, step=0.05, binary_search_steps=4, max_iterations=400
    )),
    "deepfool": AttackThreat(attack=DeepFool(max_iterations=100)),
}
PRESETS: dict[str, dict[str, Threat]] = {
    "mnist": {
        "fgsm": FGSM(eps=0.3),
        "bim-a": AttackThreat(attack=BIM(eps=0.3, step=0.01, max_iterations=50)),
        **_COMMON,
    },
    "cifar10": {
        "fgsm": FGSM(eps=0.05),
        "bim-a": AttackThreat(attack=BIM(eps=0.05, step=0.005, max_iterations=50)),
        **_COMMON,
    },
}


def preset(name: str, dataset: str = "mnist") -> Threat:
    """A threat with the settings of the paper's Table 5.

    Args:
      name: "fgsm", "bim-a", "jsma", "cw" or "deepfool".
      dataset: "mnist" or "cifar10": whose settings.

    Raises:
      InvalidInputError: an unknown threat or dataset.
    """
    return lookup(lookup(PRESETS, dataset, "a preset's dataset"), name, "a threat")
