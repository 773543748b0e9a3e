"""Table 2 of the paper: which detector tells which threat's inputs from benign ones, how well."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2d_tf import attacks, files, models, threats
from a2d_tf.classifier import Classifier
from a2d_tf.data import Dataset, load_dataset
from a2d_tf.errors import InvalidInputError
from a2d_tf.experiments import measurements, outputs
from a2d_tf.experiments.columns import (
    BaselineColumn,
    Column,
    ImageDetector,
    Scores,
    cost_columns,
)
from a2d_tf.experiments.evidence import Evidence
from a2d_tf.experiments.measurements import ScoresByThreat
from a2d_tf.experiments.store import Store
from a2d_tf.pixels import Bounds
from a2d_tf.progress import Progress, Silent

BaselineFactory = Callable[[Classifier, Dataset, int], ImageDetector]
FittedOn = tuple[str, ...]
AllScores = dict[str, dict[FittedOn, Scores]]  # column -> threats it was fitted on -> scores
# Thousands of queries per image, where the others make hundreds.
SLOW = ("dba", "lsa", "cw")
# What each dataset's classifier is and how long it trains to the published accuracy.
DEFAULT_MODELS = {"digits": ("lenet", 15), "mnist": ("lenet", 12), "cifar10": ("convnet", 40)}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What to compare.

    Attributes:
      dataset: "digits", "mnist" or "cifar10"; digits take the settings of mnist.
      limit: benign test images, and so many of each threat at most.
      threats: names of `threats.preset`.
      defences: names of `attacks.preset`.
      bounds: the pixel range of the classifier.
      first: of how many images per cell attacks that are too slow for all (`SLOW`) count the
        cost; 0 for all.
      shuffle: whether images are drawn at random; otherwise the first ones are taken, as in the
        paper (section 5.1).
      seed: of the drawing, the training and the baselines.
    """

    dataset: str
    limit: int
    threats: Sequence[str]
    defences: Sequence[str]
    bounds: Bounds = Bounds()
    first: int = 0
    shuffle: bool = False
    seed: int = 0

    @property
    def preset(self) -> str:
        return "cifar10" if self.dataset == "cifar10" else "mnist"


def run(
    comparison: Comparison,
    workdir: str | Path,
    baselines: Mapping[str, BaselineFactory],
    *,
    data_dir: str | Path | None = None,
    model: str | Path | None = None,
    progress: Progress = Silent(),
) -> dict[str, Any]:
    """Runs, or resumes, a comparison and writes its results, report and pictures.

    Args:
      comparison: what to compare.
      workdir: where finished stages and the results are kept.
      baselines: makes the detectors to compare with from a classifier, a dataset and a seed.
      data_dir: see `data.load_dataset`.
      model: a trained classifier; None trains the paper's.
      progress: follows the stages.

    Returns:
      The results, as in `results.json`.

    Raises:
      InvalidInputError: unknown names, or too few images or adversarial inputs.
      UnsuitableClassifierError: the classifier cannot be attacked.
    """
    evidence, dataset, model = prepare(
        comparison, workdir, data_dir=data_dir, model=model, progress=progress
    )
    # Made before anything is computed: they may not suit the classifier.
    detectors = {
        name: factory(evidence.classifier, dataset, comparison.seed)
        for name, factory in baselines.items()
    }
    recipes, store = list(evidence.threats), evidence.store
    columns: dict[str, Column] = cost_columns(evidence)
    for name, detector in detectors.items():
        columns[name] = BaselineColumn(name, detector, evidence, progress)
    scores = _all_scores(columns, recipes)
    seen, unseen = _seen(scores, recipes), _unseen(scores, recipes)
    results = {
        **_settings(comparison, model, evidence, columns),
        "columns": {name: column.description for name, column in columns.items()},
        "baselines": list(baselines),
        **measurements.measure(evidence, seen, unseen, comparison.dataset),
        "seconds": dict(store.seconds),
    }
    outputs.write(Path(workdir), results, evidence, seen)
    return results


def prepare(
    comparison: Comparison,
    workdir: str | Path,
    *,
    data_dir: str | Path | None = None,
    model: str | Path | None = None,
    progress: Progress = Silent(),
) -> tuple[Evidence, Dataset, Path]:
    """What an experiment rests on: its evidence, not yet computed, its data and its model.

    Args and raises are those of `run`.
    """
    recipes = {name: threats.preset(name, comparison.preset) for name in comparison.threats}
    defences = {name: attacks.preset(name, comparison.preset) for name in comparison.defences}
    if not recipes or not defences:
        raise InvalidInputError("expected at least one threat and one defence, got none")
    dataset = load_dataset(comparison.dataset, data_dir, comparison.bounds)
    store = Store(Path(workdir) / "stages")
    path = Path(model) if model else _trained(comparison, dataset, store, progress)
    evidence = Evidence(
        Classifier.load(path, comparison.bounds), files.sha256(path), dataset, recipes, defences,
        limit=comparison.limit,
        first={name: comparison.first for name in defences if name in SLOW and comparison.first},
        shuffle=comparison.seed if comparison.shuffle else None,
        store=store, progress=progress,
    )
    return evidence, dataset, path


def _settings(
    comparison: Comparison, model: Path, evidence: Evidence, columns: Mapping[str, Column]
) -> dict[str, Any]:
    """What a comparison was made with."""
    return {
        "dataset": comparison.dataset,
        "limit": comparison.limit,
        "first": dict(evidence.first),
        "shuffle": comparison.shuffle,
        "seed": comparison.seed,
        "bounds": list(comparison.bounds),
        "model": {
            "name": model.name,
            "sha256": evidence.made_from["model"],
            "test_accuracy": evidence.accuracy,
        },
        "settings": {
            "attacks": {name: repr(attack) for name, attack in evidence.attacks.items()},
            "threats": {name: repr(threat) for name, threat in evidence.threats.items()},
            "detectors": {name: column.setting for name, column in columns.items()},
        },
        "versions": files.versions(),
    }


def _trained(
    comparison: Comparison, dataset: Dataset, store: Store, progress: Progress
) -> Path:
    name, epochs = DEFAULT_MODELS[comparison.dataset]
    made_from = {
        "dataset": dataset.fingerprint(), "epochs": epochs, "seed": comparison.seed,
    }
    path = store.path(name, made_from, ".keras")
    if not path.is_file():
        with progress.stage(f"train {name} for {epochs} epochs", epochs) as advance:
            model = models.train(name, dataset, epochs, seed=comparison.seed, on_epoch=advance)
        models.save(model, path)
    return path


def _all_scores(columns: Mapping[str, Column], threat_names: list[str]) -> AllScores:
    """Every column's scores, fitted on each threat alone and on all the others."""
    return {
        name: {
            fitted_on: column.scores(fitted_on)
            for fitted_on in (_fits(threat_names) if column.learns_from_threats else [()])
        }
        for name, column in columns.items()
    }


def _fits(threat_names: list[str]) -> list[FittedOn]:
    alone = [(threat,) for threat in threat_names]
    others = [_others(threat, threat_names) for threat in threat_names]
    return list(dict.fromkeys(fit for fit in (*alone, *others) if fit))


def _others(threat: str, threat_names: list[str]) -> FittedOn:
    return tuple(other for other in threat_names if other != threat)


def _seen(scores: AllScores, threat_names: list[str]) -> ScoresByThreat:
    """Threat -> column -> scores, of columns that could learn from that threat."""
    return {
        threat: {
            name: fits[()] if () in fits else fits[(threat,)] for name, fits in scores.items()
        }
        for threat in threat_names
    }


def _unseen(scores: AllScores, threat_names: list[str]) -> ScoresByThreat:
    """Threat -> column -> scores, of columns that learnt from all other threats."""
    return {
        threat: {
            name: fits[others] for name, fits in scores.items()
            if (others := _others(threat, threat_names)) in fits
        }
        for threat in threat_names if len(threat_names) > 1
    }
