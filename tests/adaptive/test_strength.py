"""The strength of attacks, on a small classifier that is the same on all machines."""

import dataclasses
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tensorflow as tf

from a2d_baselines import FeatureSqueezing
from a2d_tf import A2D, Classifier
from a2d_tf.adaptive import FilteredPGD, OrthogonalPGD, SelectivePGD, differentiable_score
from a2d_tf.attacks import CarliniWagner, DeepFool
from a2d_tf.features import squeezers
from a2d_tf.threats import FGSM, PGD, AttackThreat, HopSkipJump, Threat

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def prototypes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prototypes", DATA / "prototypes.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def smooth(prototypes: ModuleType) -> Classifier:
    return Classifier(prototypes.logits, input_shape=(8, 8, 1))


@pytest.fixture(scope="module")
def images(prototypes: ModuleType) -> np.ndarray:
    return prototypes.right()[0]


@pytest.fixture(scope="module")
def labels(prototypes: ModuleType) -> np.ndarray:
    return prototypes.right()[1]


@pytest.fixture(scope="module")
def detector(smooth: Classifier, prototypes: ModuleType) -> A2D:
    return A2D(smooth, "margin", "zscore").fit(prototypes.digits()[0][:600], fpr=0.1)


def distances(crafted: np.ndarray, images: np.ndarray) -> np.ndarray:
    return np.linalg.norm((crafted - images).reshape(len(images), -1), axis=1)


def bypass_rate(a2d: A2D, threat: Threat, images: np.ndarray, labels: np.ndarray) -> float:
    found = a2d.predict(threat.craft(a2d.classifier, images, labels).images)
    return float(((found.label != labels) & ~found.is_adversarial).mean())


@pytest.mark.long
@pytest.mark.parametrize("confidence", [0.0, 2.0])
def test_carlini_wagner_is_as_near_as_foolbox(
    confidence: float, smooth: Classifier, images: np.ndarray, labels: np.ndarray
) -> None:
    stored = json.loads((DATA / "foolbox_cw.json").read_text(encoding="utf-8"))
    of_foolbox, settings = stored["by_confidence"][str(confidence)], stored["settings"]
    steps = settings["binary_search_steps"]
    found = CarliniWagner(
        confidence=confidence, step=settings["stepsize"], initial_const=settings["initial_const"],
        binary_search_steps=steps, max_iterations=steps * settings["steps"],
    ).run(smooth, images, labels)
    assert len(images) == stored["images"] and found.success.mean() == of_foolbox["success"]
    ours = distances(found.adversarial, images).mean()
    assert ours == pytest.approx(of_foolbox["mean_l2"], rel=0.05)


def test_each_attack_in_a_ball_beats_the_weaker_one(
    smooth: Classifier, images: np.ndarray, labels: np.ndarray
) -> None:
    ladder = [
        FGSM(eps=0.08), PGD(eps=0.08, steps=40), PGD(eps=0.08, steps=40, restarts=3),
    ]
    margins = []
    for threat in ladder:
        logits = smooth.logits(threat.craft(smooth, images, labels).images)
        own = logits[np.arange(len(labels)), labels]
        logits[np.arange(len(labels)), labels] = -np.inf
        margins.append(float((logits.max(axis=1) - own).mean()))
    # Rounding aside, more work never gives less; many steps give more than one.
    assert all(after >= before - 1e-3 for before, after in zip(margins, margins[1:])), margins
    assert margins[-1] > margins[0]


@pytest.mark.long
def test_each_attack_on_the_distance_beats_the_weaker_one(
    smooth: Classifier, images: np.ndarray, labels: np.ndarray
) -> None:
    means = []
    for threat in (
        AttackThreat(attack=CarliniWagner(
            step=0.02, initial_const=0.05, binary_search_steps=6, max_iterations=1800
        )),
        AttackThreat(attack=DeepFool(max_iterations=50)),
        HopSkipJump(iterations=15),
        HopSkipJump(iterations=1),
    ):
        crafted = threat.craft(smooth, images, labels)
        assert crafted.success.all(), threat
        means.append(distances(crafted.images, images).mean())
    assert means[0] < 1.02 * means[1] and means[0] < means[2] < 1.3 * means[0]
    assert means[2] < 0.8 * means[3], means


@pytest.mark.parametrize("attack", [SelectivePGD, OrthogonalPGD])
def test_the_goal_falls_with_the_steps(
    attack: type[SelectivePGD], detector: A2D, smooth: Classifier, images: np.ndarray,
    labels: np.ndarray,
) -> None:
    score = differentiable_score(detector)
    threat = attack(eps=0.15, step=0.01, random_start=False, goal=score)
    values = []
    for steps in (8, 15, 30, 60):
        crafted = dataclasses.replace(threat, steps=steps).craft(smooth, images, labels).images
        wrong = smooth.predict(crafted) != labels
        values.append(float(np.where(wrong, score(tf.constant(crafted)), 10.0).mean()))
    assert all(after <= before + 1e-3 for before, after in zip(values, values[1:])), values
    assert values[-1] < values[0]


@pytest.mark.parametrize("attack", [SelectivePGD, OrthogonalPGD])
@pytest.mark.parametrize("norm, radii", [("linf", (0.03, 0.1, 0.2, 1.0)), ("l2", (0.3, 1, 8))])
def test_a_stronger_budget_bypasses_no_less_and_no_limit_nearly_always(
    norm: str, radii: tuple[float, ...], attack: type[SelectivePGD], detector: A2D,
    images: np.ndarray, labels: np.ndarray,
) -> None:
    goal = differentiable_score(detector)
    rates = [
        bypass_rate(detector, attack(
            eps=eps, norm=norm, steps=50, step=min(eps, 0.3) / 10, random_start=False, goal=goal
        ), images, labels) for eps in radii
    ]
    assert all(after >= before - 0.05 for before, after in zip(rates, rates[1:])), rates
    assert rates[0] < 0.5 and rates[-1] >= 0.95, rates


def test_decisions_alone_bypass_nearly_always_without_a_limit(
    detector: A2D, prototypes: ModuleType, images: np.ndarray, labels: np.ndarray
) -> None:
    threat = HopSkipJump(
        iterations=2, first_queries=20, start_images=prototypes.digits()[0][:300],
        is_flagged=detector.is_adversarial,
    )
    assert bypass_rate(detector, threat, images, labels) >= 0.95


def test_an_attack_on_filters_moves_the_filtered_images_too(
    classifier: Classifier, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = digits[0][1200:1300], digits[1][1200:1300]
    right = classifier.predict(images) == labels
    images, labels = images[right], labels[right]

    def joint_lead(crafted: np.ndarray) -> np.ndarray:
        versions = [crafted, *squeezers.squeezed(tf.constant(crafted), classifier.bounds)]
        logits = np.mean([classifier.logits(np.asarray(one)) for one in versions], axis=0)
        true = logits[np.arange(len(labels)), labels]
        logits[np.arange(len(labels)), labels] = -np.inf
        return logits.max(axis=1) - true

    settings = {"eps": 0.2, "steps": 20, "loss": "margin"}
    plain, filtered = (
        kind(**settings).craft(classifier, images, labels) for kind in (PGD, FilteredPGD)
    )
    assert np.abs(filtered.images - images).max() <= 0.2 + 1e-6
    assert filtered.success.mean() > 0.8
    higher = joint_lead(filtered.images) > joint_lead(plain.images)
    assert higher.mean() > 0.8
    change = [
        FeatureSqueezing().measure(classifier, one.images).mean() for one in (plain, filtered)
    ]
    assert change[1] < change[0]


@pytest.mark.long
def test_a_start_at_the_images_of_another_attack_bypasses_more_than_either(
    classifier: Classifier, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = digits[0][1200:1300], digits[1][1200:1300]
    right = classifier.predict(images) == labels
    images, labels = images[right], labels[right]
    a2d = A2D(classifier).fit(digits[0][:600], fpr=0.1)
    goal = differentiable_score(a2d)
    start = FilteredPGD(eps=0.2, steps=20, loss="margin")
    joint = SelectivePGD(eps=0.2, steps=20, goal=goal)
    alone = [bypass_rate(a2d, threat, images, labels) for threat in (start, joint)]
    started = dataclasses.replace(joint, start=start)
    assert bypass_rate(a2d, started, images, labels) > max(alone)
