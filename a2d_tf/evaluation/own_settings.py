"""Attacks and threats for a classifier that has no preset, kept as stages of an experiment."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from a2d_tf import attacks, threats
from a2d_tf.attacks import BIM, DBA, Attack
from a2d_tf.attacks.calibration import MAX_ROUNDS
from a2d_tf.detection.arguments import OWN
from a2d_tf.evaluation.attack_selection import recipes_of
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.splits import FIT
from a2d_tf.storage.stages import Arrays
from a2d_tf.threats import Threat

__all__ = ["OWN", "own_attacks", "own_threats"]

# What is chosen of each attack, and in at most how many rounds.
CHOSEN: dict[type[Attack], tuple[tuple[str, ...], int]] = {
    BIM: (("eps", "step", "max_iterations"), MAX_ROUNDS),
    DBA: (("mse_threshold", "max_iterations"), 1),
}


def own_attacks(data: ExperimentData, names: Sequence[str]) -> dict[str, Attack]:
    """Attacks by name, whose settings suit the benign images of the fit: `attacks.calibrate`.

    Raises:
      InvalidInputError: images that keep their label, or that have the label of noise.
    """
    return {name: _calibrated(data, name) for name in names}


def own_threats(data: ExperimentData, names: Sequence[str]) -> dict[str, Threat]:
    """Threats by name: FGSM and BIM-a with the radius of the BIM that suits the classifier.

    The settings of the others suit every classifier, and are those of MNIST.

    Raises:
      InvalidInputError: an unknown name, or images that keep their label.
    """
    found = {name: threats.preset(name) for name in names}
    if {"fgsm", "bim-a"} & found.keys():
        bim = _calibrated(data, "bim-search")
        assert isinstance(bim, BIM)
        fgsm, bim_a = recipes_of(bim)
        found |= {n: t for n, t in (("fgsm", fgsm), ("bim-a", bim_a)) if n in found}
    return found


def _calibrated(data: ExperimentData, name: str) -> Attack:
    template = attacks.preset(name)
    benign = data.dataset.x_test[data.splits[FIT]]
    kind = next((kind for kind in CHOSEN if isinstance(template, kind)), None)
    if kind is None:
        return attacks.calibrate(name, data.classifier, benign)
    fields, rounds = CHOSEN[kind]

    def make() -> Arrays:
        with data.progress.stage(f"choose the settings of {name}", rounds) as advance:
            attack = attacks.calibrate(name, data.classifier, benign, on_finished=advance)
        return {field: np.array(getattr(attack, field)) for field in fields}

    key = data.cache_key | {"own": name}
    stored = data.stages.arrays(f"own/{name}", key, make)
    return replace(template, **{field: stored[field].item() for field in fields})
