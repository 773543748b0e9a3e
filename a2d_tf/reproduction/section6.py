"""What the experiments of section 6 share: classifiers, images, and fitted defences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from a2d_tf.a2d import A2D
from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation.adaptive import Bypass, run_adaptive
from a2d_tf.evaluation.adaptive_attacks import Strengths
from a2d_tf.evaluation.adaptive_judges import Judge, load_judges
from a2d_tf.evaluation.cache_keys import classifier_key
from a2d_tf.evaluation.model_and_dataset import DEFAULT_MODELS, model_and_dataset
from a2d_tf.features import Feature, by_name
from a2d_tf.images.spec import Bounds, Images, Labels
from a2d_tf.reproduction.runner import ReproductionConfig
from a2d_tf.storage.stages import Stages, digest
from a2d_tf.threats import PGD
from a2d_tf.zoo import adversarial_training, training
from a2d_tf.zoo.datasets import Dataset

FITTED_ON = 1000  # benign test images that defences are fitted on, beside those under attack
TESTED_ON = 500  # test images of the accuracies
A2D_FPR, AE_FPR = 0.05, 0.01
AE_EPOCHS = 20  # published: 100 for MNIST
ALONE, ENCODER, BOTH = "A2D", "AE", "A2D + AE"


class Schedule(NamedTuple):
    """A short adversarial training, which a CPU can do."""

    epochs: int
    threat: PGD


# Madry 2018 trained for 100,000 and 80,000 batches, with 40 and 7 steps.
SCHEDULES = {
    "mnist": Schedule(3, PGD(eps=0.3, steps=7)),
    "cifar10": Schedule(6, PGD(eps=8 / 255, steps=2)),
}


class Setup(NamedTuple):
    """A classifier, the images under attack, and what defences are fitted on.

    Attributes:
      classifier: the classifier under attack.
      dataset: its data.
      images, labels: f32[N,H,W,C] and i64[N], test images that it gets right.
      benign: f32[M,H,W,C], other test images that it gets right.
      stages: where finished results are kept.
      accuracy: of test images, and under PGD if the classifier was trained against it; JSON values.
    """

    classifier: Classifier
    dataset: Dataset
    images: Images
    labels: Labels
    benign: Images
    stages: Stages
    accuracy: dict[str, float]


def setup(config: ReproductionConfig, name: str, *, is_robust: bool = False) -> Setup:
    """The classifier of a dataset, or one that was trained against PGD.

    The latter is NETWORK_DATASET_pgd.keras in the folder of models; if it is not there, it is
    trained, once.

    Raises:
      InvalidInputError: the classifier gets too few test images right.
    """
    stages = Stages(config.workdir / name / "stages")
    classifier, path, dataset = model_and_dataset(
        name, config.model(name), stages, bounds=Bounds(), data_dir=config.data_dir, seed=0,
        progress=config.progress,
    )
    if is_robust:
        path = _robust(config, name, dataset, stages)
        classifier = Classifier.load(path)
    right = np.flatnonzero(classifier.predict(dataset.x_test) == dataset.y_test)
    rows, others = right[:config.limit], right[config.limit:config.limit + FITTED_ON]
    if not len(others):
        raise InvalidInputError(
            f"expected more than {config.limit} test images of {name} that are classified "
            f"correctly, got {len(right)}; lower the limit"
        )
    return Setup(
        classifier, dataset, dataset.x_test[rows], dataset.y_test[rows], dataset.x_test[others],
        stages, _accuracy(classifier, dataset, name, is_robust, stages),
    )


def _robust(config: ReproductionConfig, name: str, dataset: Dataset, stages: Stages) -> Path:
    network, (epochs, threat) = DEFAULT_MODELS[name][0], SCHEDULES[name]
    given = config.model_dir and Path(config.model_dir) / f"{network}_{name}_pgd.keras"
    if given and given.is_file():
        return given

    def make(path: Path) -> None:
        title = f"train {network} against PGD for {epochs} epochs"
        with config.progress.stage(title, training.batches(dataset, epochs)) as advance:
            model = adversarial_training.train_adversarially(
                network, dataset, epochs, threat, on_batch=advance
            )
        training.save(model, path)

    key = {"dataset": dataset.digest(), "epochs": epochs, "threat": repr(threat)}
    return stages.file(f"{network}_pgd", key, ".keras", make)


def _accuracy(
    classifier: Classifier, dataset: Dataset, name: str, is_robust: bool, stages: Stages
) -> dict[str, float]:
    if not is_robust:
        return {"clean": float((classifier.predict(dataset.x_test) == dataset.y_test).mean())}
    threat = SCHEDULES[name].threat
    stored = stages.arrays(
        "accuracy", classifier_key(classifier) | {"threat": repr(threat), "images": TESTED_ON},
        lambda: {
            kind: np.array(value) for kind, value in adversarial_training.accuracy(
                classifier.model, dataset, threat, TESTED_ON
            )._asdict().items()
        },
    )
    return {"clean": float(stored["clean"]), "under_pgd": float(stored["robust"])}


def defences(config: ReproductionConfig, one: Setup, *, encoder: bool) -> dict[str, Judge]:
    """A2D, and with an auto-encoder that and both; the margin and no defence beside them.

    A2D is the cost of BIM, by search, judged by its Z-score (section 6.2.1).
    """
    own = fitted(config, one, ALONE, ["bim-search"], "zscore", A2D_FPR)
    parts = {ALONE: [own]}
    if encoder:
        magnet = by_name("magnet")
        short = type(magnet).from_config(magnet.config() | {"epochs": AE_EPOCHS}, None)
        other = fitted(config, one, ENCODER, {"magnet": short}, "threshold", AE_FPR)
        parts |= {ENCODER: [other], BOTH: [own, other]}
    return load_judges(one.classifier, one.benign, parts, A2D_FPR)


def fitted(
    config: ReproductionConfig, one: Setup, title: str,
    features: Sequence[str] | Mapping[str, Feature], detector: str, fpr: float,
    adversarial: Images | None = None,
) -> tuple[A2D, Path]:
    """A fitted detector and its folder, where a later run finds it.

    Args:
      config: says where published settings are taken from, and follows the fit.
      one: what it is fitted on.
      title: of the detector.
      features, detector, fpr: as for `A2D` and its `fit`.
      adversarial: f32[M,H,W,C], for a detector that learns from adversarial images.
    """
    preset = "cifar10" if one.images.shape[-1] == 3 else "mnist"
    a2d = A2D(one.classifier, features, detector, preset=preset)
    learned_from = [] if adversarial is None else [digest(adversarial)]
    key = classifier_key(one.classifier) | {
        "features": {name: repr(feature) for name, feature in a2d.features.items()},
        "detector": detector, "fpr": fpr, "benign": digest(one.benign),
        "adversarial": learned_from,
    }
    folder = one.stages.path(f"detector/{title.replace(' ', '')}", key, "")
    if not folder.is_dir():
        with config.progress.stage(f"fit {title}", 1) as advance:
            a2d.fit(
                one.benign, adversarial, fpr=fpr,
                training_data=(one.dataset.x_train, one.dataset.y_train),
            )
            folder.parent.mkdir(parents=True, exist_ok=True)
            a2d.save(folder)
            advance(1)
    return A2D.load(folder), folder


def attacked(
    config: ReproductionConfig, one: Setup, judges: Mapping[str, Judge], attacks: Sequence[str],
    strengths: Strengths,
) -> list[Bypass]:
    """What the attacks achieve against every defence."""
    return run_adaptive(
        one.classifier, one.images, one.labels, one.benign, judges, attacks, strengths, one.stages,
        progress=config.progress,
    )


def key_of(one: Setup) -> dict[str, Any]:
    """What a result depends on that was made with the classifier and the images under attack."""
    return classifier_key(one.classifier) | {
        "images": digest(one.images), "labels": digest(one.labels)
    }
