"""The classifier of a comparison, which is trained if none is given, and images that fit it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from a2d_tf.classifiers import Classifier
from a2d_tf.errors import InvalidInputError
from a2d_tf.images.spec import Bounds
from a2d_tf.reports.progress import Progress
from a2d_tf.storage.stages import Stages
from a2d_tf.zoo import training
from a2d_tf.zoo.datasets import Dataset, load_dataset

# The classifier of each dataset, and the number of epochs to the published accuracy.
DEFAULT_MODELS = {"digits": ("lenet", 15), "mnist": ("lenet", 12), "cifar10": ("convnet", 40)}


def model_and_dataset(
    name: str,
    model: str | Path | None,
    stages: Stages,
    *,
    bounds: Bounds,
    loading: Mapping[str, Any] = {},
    data_dir: str | Path | None,
    seed: int,
    progress: Progress,
) -> tuple[Classifier, Path, Dataset]:
    """A classifier, its file, and a dataset.

    Args:
      name: the dataset; see `zoo.load_dataset`.
      model: the classifier's file; None trains the paper's, and keeps it as a stage.
      stages: where it is kept.
      bounds: the range of the pixels.
      loading: other arguments of `Classifier.load`, for a given file.
      data_dir: see `zoo.load_dataset`.
      seed: seed of the training.
      progress: follows the training.

    Raises:
      InvalidInputError: no such dataset, one that does not fit the classifier, or no model for a
        dataset of one's own.
    """
    if not model:
        if name not in DEFAULT_MODELS:
            raise InvalidInputError(
                f"expected a model for {name}, got none; give one (--model), or train one with "
                "train.py"
            )
        if given := [setting for setting, value in loading.items() if value not in (None, True)]:
            raise InvalidInputError(
                f"expected a model that has the {', '.join(given)}, got none; give one (--model)"
            )
        dataset = load_dataset(name, data_dir, bounds)
        path = _trained(name, dataset, stages, seed, progress)
        return Classifier.load(path, bounds), path, dataset
    classifier = Classifier.load(model, bounds, **loading)
    dataset = load_dataset(name, data_dir, bounds, input_shape=classifier.input_shape)
    classifier.input_spec.check_shape(dataset.x_test.shape)
    dataset.check_classes(classifier.logits(dataset.x_test[:1]).shape[-1], name)
    return classifier, Path(model), dataset


def _trained(name: str, dataset: Dataset, stages: Stages, seed: int, progress: Progress) -> Path:
    network, epochs = DEFAULT_MODELS[name]
    key = {"dataset": dataset.digest(), "epochs": epochs, "seed": seed}

    def make(path: Path) -> None:
        total = training.batches(dataset, epochs)
        with progress.stage(f"train {network} for {epochs} epochs", total) as advance:
            model = training.train(network, dataset, epochs, seed=seed, on_batch=advance)
        training.save(model, path)

    return stages.file(network, key, ".keras", make)
