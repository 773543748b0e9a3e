"""Writes foolbox_cw.json, Foolbox's figures for C&W: python tests/data/make_foolbox_cw.py

It needs the extra `peers`. A test compares ours with these figures where Foolbox is missing.
"""

import json
from pathlib import Path

import foolbox
import numpy as np
import tensorflow as tf
from prototypes import logits, right

SETTINGS = {"binary_search_steps": 6, "steps": 300, "stepsize": 0.02, "initial_const": 0.05}
CONFIDENCES = (0.0, 2.0)


def main() -> None:
    images, labels = right()
    model = foolbox.TensorFlowModel(logits, bounds=(0, 1))
    found = {}
    for confidence in CONFIDENCES:
        attack = foolbox.attacks.L2CarliniWagnerAttack(
            **SETTINGS, confidence=confidence, abort_early=True
        )
        _, adversarial, success = attack(
            model, tf.constant(images), tf.constant(labels), epsilons=None
        )
        away = (adversarial.numpy() - images).reshape(len(images), -1)
        found[str(confidence)] = {
            "mean_l2": float(np.linalg.norm(away, axis=1).mean()),
            "success": float(np.mean(success)),
        }
    Path(__file__).with_suffix("").with_name("foolbox_cw.json").write_text(json.dumps({
        "foolbox": foolbox.__version__, "images": len(images), "settings": SETTINGS,
        "by_confidence": found,
    }, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
