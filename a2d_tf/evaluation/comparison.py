"""A comparison of detectors on the same model, images and threats, as in Table 2 of the paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2d_tf import attacks, threats
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation import artifacts, summary
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.methods import (
    DIRECTIONS,
    Method,
    Scorer,
    Scores,
    baseline,
    cost_methods,
    simplest_methods,
)
from a2d_tf.evaluation.summary import ScoresByThreat
from a2d_tf.features import AttackCost, DirectionCosts, Feature
from a2d_tf.images.spec import Bounds
from a2d_tf.reports.progress import NullProgress, Progress
from a2d_tf.storage import files
from a2d_tf.storage.provenance import versions
from a2d_tf.storage.stages import Stages
from a2d_tf.threats import Threat
from a2d_tf.zoo import training
from a2d_tf.zoo.datasets import Dataset, load_dataset

FittedOn = tuple[str, ...]
AllScores = dict[str, dict[FittedOn, Scores]]  # method -> threats it was fitted on -> scores
# These make thousands of queries per image, where the others make hundreds.
SLOW = ("dba", "lsa", "cw")
# The classifier of each dataset, and the number of epochs to the published accuracy.
DEFAULT_MODELS = {"digits": ("lenet", 15), "mnist": ("lenet", 12), "cifar10": ("convnet", 40)}
# The attacks whose costs are compared: counted, or on the small digits by search, which gives the
# same order in a tenth of the time.
DEFAULT_ATTACKS = {
    "digits": ("bim-search", "bim2-search", "jsma"),
    "mnist": ("bim", "bim2", "jsma"),
    "cifar10": ("bim", "bim2", "jsma"),
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What to compare.

    Attributes:
      dataset: "digits", "mnist" or "cifar10"; the digits take the settings of mnist.
      limit: benign test images, and the largest number of images of each threat.
      threats: names of `threats.preset`, or threats by name.
      attacks: names of `attacks.preset`, whose costs are compared.
      baselines: other features to compare with, by name or by the path of their class.
      bounds: the pixel range of the classifier.
      slow_limit: of how many images per cell the attacks that are too slow for all (`SLOW`) are
        counted; 0 for all.
      shuffle: whether images are drawn at random; otherwise the first ones are taken, as in the
        paper (section 5.1).
      seed: seed of the drawing, the training and the baselines.
    """

    dataset: str
    limit: int
    threats: Sequence[str] | Mapping[str, Threat]
    attacks: Sequence[str]
    baselines: Sequence[str] = ()
    bounds: Bounds = Bounds()
    slow_limit: int = 0
    shuffle: bool = False
    seed: int = 0

    @property
    def preset(self) -> str:
        """Whose settings threats and attacks take."""
        return "cifar10" if self.dataset == "cifar10" else "mnist"


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
        _short_name(name): baseline(name, comparison.seed) for name in comparison.baselines
    }
    data, model = prepare(
        comparison, workdir, baselines, data_dir=data_dir, model=model, progress=progress
    )
    # The simplest come first, and the other baselines last.
    recipes, methods = list(data.threats), simplest_methods() | cost_methods(data) | baselines
    scorers = {
        name: Scorer(name, method, data, comparison.seed, progress)
        for name, method in methods.items()
    }
    scores = _all_scores(scorers, methods, recipes)
    fitted, unseen = _by_fitted_threat(scores, recipes), _by_unseen_threat(scores, recipes)
    results = {
        **_settings(comparison, model, data, methods),
        "columns": {name: method.description for name, method in methods.items()},
        "baselines": list(baselines),
        "benign_only": [name for name, one in methods.items() if not one.learns_from_threats],
        "passes": {
            name: scorer.passes(next(iter(scores[name].values())))
            for name, scorer in scorers.items()
        },
        **summary.summarize(data, fitted, unseen, comparison.dataset),
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
    recipes = comparison.threats
    if not isinstance(recipes, Mapping):
        recipes = {name: threats.preset(name, comparison.preset) for name in recipes}
    costs: dict[str, Feature] = {
        name: AttackCost(attack=attacks.preset(name, comparison.preset))
        for name in comparison.attacks
    }
    if not recipes or not costs:
        raise InvalidInputError("expected at least one threat and one attack, got none")
    dataset = load_dataset(comparison.dataset, data_dir, comparison.bounds)
    measured = [one for method in baselines.values() for one in method.features.values()]
    stages = Stages(Path(workdir) / "stages")
    path = Path(model) if model else _trained(comparison, dataset, stages, progress)
    classifier = Classifier.load(path, comparison.bounds)
    for feature in measured:
        feature.check(classifier)  # before anything is computed
    others = {
        name: feature for method in baselines.values() if not method.needs_images
        for name, feature in method.features.items()
    }
    data = ExperimentData(
        classifier, files.sha256(path), dataset, recipes,
        costs | {DIRECTIONS: DirectionCosts()}, others=others,
        limit=comparison.limit,
        slow_limits={
            name: comparison.slow_limit for name in costs
            if name in SLOW and comparison.slow_limit
        },
        shuffle=comparison.seed if comparison.shuffle else None,
        stages=stages, progress=progress,
    )
    return data, path


def _short_name(name: str) -> str:
    """What a baseline is called in tables: the class alone, if it was given by its path."""
    return name.rpartition(":")[2].lower() if ":" in name else name


def _settings(
    comparison: Comparison, model: Path, data: ExperimentData, methods: Mapping[str, Method]
) -> dict[str, Any]:
    """What a comparison was made with."""
    return {
        "dataset": comparison.dataset,
        "limit": comparison.limit,
        "slow_limits": dict(data.slow_limits),
        "shuffle": comparison.shuffle,
        "seed": comparison.seed,
        "bounds": list(comparison.bounds),
        "model": {
            "name": model.name,
            "sha256": data.cache_key["model"],
            "test_accuracy": data.accuracy,
        },
        "settings": {
            "attacks": {name: repr(attack) for name, attack in data.attacks.items()},
            "threats": {name: repr(threat) for name, threat in data.threats.items()},
            "detectors": {name: method.setting for name, method in methods.items()},
        },
        "versions": versions(),
    }


def _trained(
    comparison: Comparison, dataset: Dataset, stages: Stages, progress: Progress
) -> Path:
    name, epochs = DEFAULT_MODELS[comparison.dataset]
    key = {"dataset": dataset.digest(), "epochs": epochs, "seed": comparison.seed}
    path = stages.path(name, key, ".keras")
    if not path.is_file():
        with progress.stage(f"train {name} for {epochs} epochs", epochs) as advance:
            model = training.train(name, dataset, epochs, seed=comparison.seed, on_epoch=advance)
        training.save(model, path)
    return path


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
