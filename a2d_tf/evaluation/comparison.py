"""A comparison of detectors on the same model, images and threats, as in Table 2 of the paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from a2d_tf import attacks, checks, threats
from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation import artifacts, summary
from a2d_tf.evaluation.cache_keys import classifier_key
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.methods import (
    DIRECTIONS,
    TOGETHER,
    Method,
    Scorer,
    Scores,
    baseline,
    cost_methods,
    default_methods,
    simplest_methods,
)
from a2d_tf.evaluation.model_and_dataset import DEFAULT_MODELS, model_and_dataset
from a2d_tf.evaluation.own_settings import OWN, own_attacks, own_threats
from a2d_tf.evaluation.splits import check_mixed
from a2d_tf.evaluation.summary import ScoresByThreat
from a2d_tf.features import AttackCost, DirectionCosts, Feature
from a2d_tf.images.spec import Bounds
from a2d_tf.reports.progress import NullProgress, Progress
from a2d_tf.storage import files
from a2d_tf.storage.provenance import versions
from a2d_tf.storage.stages import Stages
from a2d_tf.threats import Threat

__all__ = ["Comparison", "DEFAULT_MODELS", "prepare", "run_comparison"]

FittedOn = tuple[str, ...]
AllScores = dict[str, dict[FittedOn, Scores]]  # method -> threats it was fitted on -> scores
# These make thousands of queries per image, where the others make hundreds.
SLOW = ("dba", "lsa", "cw")
# The attacks whose costs are compared: counted, or on the small digits by search, which gives the
# same order in a tenth of the time.
DEFAULT_ATTACKS = {
    "digits": ("bim-search", "bim2-search", "jsma"),
    "mnist": ("bim", "bim2", "jsma"),
    "cifar10": ("bim", "bim2", "jsma"),
}
OWN_ATTACKS = ("bim-search", "bim2-search")  # of other datasets


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What to compare.

    Attributes:
      dataset: "digits", "mnist", "cifar10", or a file or folder; see `zoo.load_dataset`.
      limit: benign test images, and the largest number of images of each threat.
      threats: names of `threats.preset`, or threats by name.
      attacks: names of `attacks.preset`, whose costs are compared.
      baselines: other features to compare with, by name, by the path of their class, or as they
        are; names with "+" between them are judged together.
      preset: whose settings threats and attacks take: "mnist", "cifar10", or "own", which chooses
        steps and radii for the classifier on its benign images (`own_settings`). If it is empty,
        "cifar10" for that dataset, "mnist" for that and the digits, and "own" for others.
      bounds: the pixel range of the classifier.
      loading: other arguments of `Classifier.load`.
      slow_limits: of how many images per cell the attacks are counted that are too slow for all,
        by name. They take no part in ensembles.
      shuffle: whether images are drawn at random; otherwise the first ones are taken, as in the
        paper (section 5.1).
      seed: seed of the drawing, the training and the baselines.
    """

    dataset: str
    limit: int
    threats: Sequence[str] | Mapping[str, Threat]
    attacks: Sequence[str]
    baselines: Sequence[str | Feature] = ()
    preset: str = ""
    bounds: Bounds = Bounds()
    loading: Mapping[str, Any] = field(default_factory=dict)
    slow_limits: Mapping[str, int] = field(default_factory=dict)
    shuffle: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        given = {"digits": "mnist", "mnist": "mnist", "cifar10": "cifar10"}
        preset = self.preset or given.get(self.dataset, OWN)
        checks.lookup(dict.fromkeys([*attacks.PRESETS, OWN]), preset, "a preset")
        object.__setattr__(self, "preset", preset)


def run_comparison(
    comparison: Comparison,
    workdir: str | Path,
    *,
    data_dir: str | Path | None = None,
    model: str | Path | None = None,
    progress: Progress = NullProgress(),
) -> dict[str, Any]:
    """Runs, or resumes, a comparison and writes its results, report and figures.

    Args:
      comparison: what to compare.
      workdir: where finished stages and the results are kept.
      data_dir: see `zoo.datasets.load_dataset`.
      model: a trained classifier; None trains the paper's.
      progress: follows the stages.

    Returns:
      The results, as in `results.json`.

    Raises:
      InvalidInputError: unknown names, or too few images or adversarial inputs.
      UnsuitableClassifierError: the classifier cannot be attacked.
    """
    baselines = simplest_methods() | {
        _short_name(one): baseline(one, comparison.seed) for one in comparison.baselines
    }
    data, model = prepare(
        comparison, workdir, baselines | default_methods(), data_dir=data_dir, model=model,
        progress=progress,
    )
    # The simplest come first, and the other baselines last.
    recipes = list(data.threats)
    methods = simplest_methods() | default_methods() | cost_methods(data) | baselines
    scorers = {name: Scorer(method, data) for name, method in methods.items()}
    scores = _all_scores(scorers, methods, recipes)
    fitted, unseen = _by_fitted_threat(scores, recipes), _by_unseen_threat(scores, recipes)
    results = {
        **_settings(comparison, model, data, methods),
        "columns": {name: method.description for name, method in methods.items()},
        "baselines": list(baselines),
        "benign_only": [name for name, one in methods.items() if not one.learns_from_threats],
        "passes": {name: scorer.passes() for name, scorer in scorers.items()},
        # Threats that are given as they are have no published figures.
        **summary.summarize(
            data, fitted, unseen,
            "" if isinstance(comparison.threats, Mapping) else comparison.dataset,
        ),
        "seconds": dict(data.stages.seconds),
    }
    artifacts.write(Path(workdir), results, data, fitted)
    return results


def prepare(
    comparison: Comparison,
    workdir: str | Path,
    baselines: Mapping[str, Method] = {},
    *,
    data_dir: str | Path | None = None,
    model: str | Path | None = None,
    progress: Progress = NullProgress(),
) -> tuple[ExperimentData, Path]:
    """The data of an experiment, not yet computed, and its model.

    Args and raises are those of `run_comparison`; `baselines` are methods to compare with.
    """
    own = comparison.preset == OWN
    recipes = comparison.threats
    names = () if isinstance(recipes, Mapping) else tuple(recipes)
    for name in names:  # before anything is computed
        threats.preset(name, "mnist" if own else comparison.preset)
    for name in comparison.attacks:
        attacks.preset(name, "mnist" if own else comparison.preset)
    if not recipes or not comparison.attacks:
        raise InvalidInputError(
            "expected at least one threat and one attack, got none; name some"
        )
    stages = Stages(Path(workdir) / "stages")
    classifier, path, dataset = model_and_dataset(
        comparison.dataset, model, stages, bounds=comparison.bounds, loading=comparison.loading,
        data_dir=data_dir, seed=comparison.seed, progress=progress,
    )
    if not comparison.shuffle:
        check_mixed(dataset.y_test)
    for feature in (one for method in baselines.values() for one in method.features.values()):
        feature.check(classifier)  # before anything is computed
    data = ExperimentData(
        classifier, classifier_key(classifier), dataset, {}, {},
        limit=comparison.limit,
        slow_limits={
            name: comparison.slow_limits[name] for name in comparison.attacks
            if name in comparison.slow_limits
        },
        shuffle=comparison.seed if comparison.shuffle else None, noise_seed=comparison.seed,
        stages=stages, progress=progress,
    )
    if isinstance(recipes, Mapping):
        data.threats = dict(recipes)
    elif own:
        data.threats = own_threats(data, names)
    else:
        data.threats = {name: threats.preset(name, comparison.preset) for name in names}
    costs = own_attacks(data, comparison.attacks) if own else {
        name: attacks.preset(name, comparison.preset) for name in comparison.attacks
    }
    compared: dict[str, Feature] = {
        name: AttackCost(attack=attack) for name, attack in costs.items()
    }
    others = {
        name: feature for method in baselines.values()
        for name, feature in method.features.items()
    }
    data.set_features(compared | {DIRECTIONS: DirectionCosts()}, others)
    return data, path


def _short_name(name: str | Feature) -> str:
    """What a baseline is called in tables: the class alone, if it was given by its path."""
    if isinstance(name, Feature):
        return name.name
    return TOGETHER.join(
        part.rpartition(":")[2].lower() if ":" in part else part for part in name.split(TOGETHER)
    )


def _settings(
    comparison: Comparison, model: Path, data: ExperimentData, methods: Mapping[str, Method]
) -> dict[str, Any]:
    """What a comparison was made with."""
    return {
        "dataset": comparison.dataset,
        "preset": comparison.preset,
        "limit": comparison.limit,
        "slow_limits": dict(data.slow_limits),
        "shuffle": comparison.shuffle,
        "seed": comparison.seed,
        "bounds": list(comparison.bounds),
        "model": {
            "name": model.name,
            "sha256": files.sha256(model),
            "loading": dict(comparison.loading),
            "test_accuracy": data.accuracy,
        },
        "settings": {
            "attacks": {name: repr(attack) for name, attack in data.attacks.items()},
            "threats": {name: repr(threat) for name, threat in data.threats.items()},
            "detectors": {name: method.setting for name, method in methods.items()},
        },
        "versions": versions(),
    }


def _all_scores(
    scorers: Mapping[str, Scorer], methods: Mapping[str, Method], threat_names: list[str]
) -> AllScores:
    """The scores of every method, fitted on each threat alone and on all the others."""
    return {
        name: {
            fitted_on: scorer.scores(fitted_on)
            for fitted_on in (_fits(threat_names) if methods[name].learns_from_threats else [()])
        }
        for name, scorer in scorers.items()
    }


def _fits(threat_names: list[str]) -> list[FittedOn]:
    alone = [(threat,) for threat in threat_names]
    others = [_others(threat, threat_names) for threat in threat_names]
    return list(dict.fromkeys(fit for fit in (*alone, *others) if fit))


def _others(threat: str, threat_names: list[str]) -> FittedOn:
    return tuple(other for other in threat_names if other != threat)


def _by_fitted_threat(scores: AllScores, threat_names: list[str]) -> ScoresByThreat:
    """Threat -> method -> scores, of methods that could learn from that threat."""
    return {
        threat: {
            name: fits[()] if () in fits else fits[(threat,)] for name, fits in scores.items()
        }
        for threat in threat_names
    }


def _by_unseen_threat(scores: AllScores, threat_names: list[str]) -> ScoresByThreat:
    """Threat -> method -> scores, of methods that learned from all other threats."""
    return {
        threat: {
            name: fits[others] for name, fits in scores.items()
            if (others := _others(threat, threat_names)) in fits
        }
        for threat in threat_names if len(threat_names) > 1
    }
