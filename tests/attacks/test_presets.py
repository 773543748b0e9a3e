"""Presets have the published settings."""

import pytest

from a2d_tf import InvalidInputError, attacks, threats
from a2d_tf.attacks import BIM, BIM2, DBA, FGSM, JSMA, CarliniWagner, DeepFool
from a2d_tf.threats import AttackThreat

# The authors' released settings.
PUBLISHED = {
    ("bim", "mnist"): BIM(eps=0.3, step=0.0006, max_iterations=500),
    ("bim", "cifar10"): BIM(eps=0.03, step=0.00006, max_iterations=500),
    ("bim2", "mnist"): BIM2(eps=0.1, step=0.0002, max_iterations=500),
    ("bim2", "cifar10"): BIM2(eps=0.01, step=0.00002, max_iterations=500),
    ("jsma", "mnist"): JSMA(theta=0.1, max_changes_per_pixel=7, max_iterations=2000),
    ("jsma", "cifar10"): JSMA(theta=0.1, max_changes_per_pixel=7, max_iterations=2000),
    ("dba", "mnist"): DBA(mse_threshold=0.02, max_iterations=5000),
    ("dba", "cifar10"): DBA(mse_threshold=5e-5, max_iterations=5000),
    ("bim-search", "mnist"): BIM(eps=0.3, step=0.0006, max_iterations=500, search=True),
    ("bim2-search", "cifar10"): BIM2(eps=0.01, step=0.00002, max_iterations=500, search=True),
    ("fgsm", "mnist"): FGSM(step=0.001, max_iterations=1000),
}
# The paper's Table 5.
THREATS = {
    ("fgsm", "mnist"): threats.FGSM(eps=0.3),
    ("fgsm", "cifar10"): threats.FGSM(eps=0.05),
    ("bim-a", "mnist"): AttackThreat(attack=BIM(eps=0.3, step=0.01, max_iterations=50)),
    ("bim-a", "cifar10"): AttackThreat(attack=BIM(eps=0.05, step=0.005, max_iterations=50)),
    ("jsma", "mnist"): threats.JSMA(theta=1.0, gamma=0.1),
    ("cw", "cifar10"): AttackThreat(attack=CarliniWagner(
        confidence=0.0, initial_const=0.02, step=0.05, binary_search_steps=4, max_iterations=400
    )),
    ("deepfool", "mnist"): AttackThreat(attack=DeepFool(max_iterations=100)),
}


@pytest.mark.parametrize("name, dataset", PUBLISHED)
def test_attacks(name: str, dataset: str) -> None:
    assert attacks.preset(name, dataset) == PUBLISHED[name, dataset]


@pytest.mark.parametrize("name, dataset", THREATS)
def test_threats(name: str, dataset: str) -> None:
    assert threats.preset(name, dataset) == THREATS[name, dataset]


def test_unknown_presets_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="a preset's dataset out of mnist, cifar10, got"):
        attacks.preset("bim", "svhn")
    with pytest.raises(InvalidInputError, match="a threat out of fgsm, bim-a, .*, got 'bim'"):
        threats.preset("bim")
