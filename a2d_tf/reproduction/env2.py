"""Env 2: Table 2 and Figure 6 on its classifiers and threats, beside LCR and Dissector."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from a2d_tf import threats
from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation.comparison import Comparison, prepare, run_comparison
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.own_settings import OWN
from a2d_tf.evaluation.published import by_search, published, with_searches
from a2d_tf.features import Feature, by_name
from a2d_tf.reproduction import figure6, table2
from a2d_tf.reproduction.runner import ReproductionConfig, ReproductionResult
from a2d_tf.threats import Threat

MUTANTS = 500
BASELINES = ("dissector", "margin")  # beside LCR


class Setting(NamedTuple):
    """What a dataset of Env 2 is measured with.

    Attributes:
      model: the classifier's file, without its suffix. It stands for the paper's, whose weights are
        public for MNIST alone.
      threats: the preset of the threats.
      attacks: whose settings the attacks take.
      lcr_rate: the published rate of mutation; None where there is no column LCR.
      slow_shares: of how large a part of the test images the attacks are counted that are too slow
        for all, by name; 0 leaves one out. They take no part in ensembles, for which other images
        are measured too.
    """

    model: str
    threats: str
    attacks: str
    lcr_rate: float | None
    slow_shares: Mapping[str, float]


SETTINGS = {
    "mnist": Setting("lenet5_mnist_env2", "mnist-env2", "mnist", 0.05, {}),
    "cifar10": Setting("resnet20_cifar10", "cifar10-env2", "cifar10", 0.005, {}),
    "imagenet": Setting(
        "efficientnet_lite0_imagenet", "imagenet-env2", OWN, None, {"jsma": 1.0, "dba": 0.2}
    ),
}


def table2_env2(config: ReproductionConfig) -> ReproductionResult:
    """Table 2, Env 2, a comparison for each dataset and seed."""
    runs = {
        dataset: [
            run_comparison(
                comparison, folder, data_dir=config.data_dir, model=model(config, dataset),
                progress=config.progress,
            )
            for comparison, folder in comparisons(
                config, dataset, table2.ATTACKS,
                slow_limits=table2.slow_limits(config), baselines=baselines(dataset),
            )
        ]
        for dataset in config.datasets
    }
    papers = published("table2_env2")
    papers["mnist"]["fgsm-normalised"] = papers["mnist"]["fgsm"]  # whichever it was
    return table2.assemble(runs, {
        dataset: {threat: with_searches(row) for threat, row in rows.items()}
        for dataset, rows in papers.items()
    })


def figure6_env2(config: ReproductionConfig) -> ReproductionResult:
    """Figure 6 on the threats of Env 2; DBA is counted for all images, since it votes.

    On ImageNet, the attacks that are too slow for all images have no vote.
    """
    return figure6.assemble({
        dataset: data(config, dataset, [
            name for name in table2.ATTACKS if name not in SETTINGS[dataset].slow_shares
        ])
        for dataset in config.datasets
    })


def recipes(dataset: str) -> Mapping[str, Threat]:
    """The threats of Table 6."""
    return threats.PRESETS[SETTINGS[dataset].threats]


def lcr(dataset: str) -> Feature | None:
    """LCR at the published rate; None where the paper has none."""
    rate = SETTINGS[dataset].lcr_rate
    if rate is None:
        return None
    feature = by_name("lcr")
    settings = feature.config() | {"rate": rate, "mutants": MUTANTS}
    return type(feature).from_config(settings, None)


def baselines(dataset: str) -> list[str | Feature]:
    """What the costs are compared with; Dissector needs training images."""
    mutation = lcr(dataset)
    return [*([mutation] if mutation else []), *(
        name for name in BASELINES if dataset != "imagenet" or name != "dissector"
    )]


def comparisons(
    config: ReproductionConfig,
    dataset: str,
    attacks: Sequence[str],
    *,
    slow_limits: Mapping[str, int] = {},
    baselines: Sequence[str | Feature] = (),
) -> Iterator[tuple[Comparison, Path]]:
    """A comparison and its folder for every seed.

    On ImageNet, the costs of BIM are searched: counting takes 250 gradients and more for a
    photograph. JSMA is counted of the test images alone, DBA of a fifth of them: a walk of 250
    iterations takes thousands of passes. The distance that DBA must reach was not published; it is
    chosen from benign images.
    """
    setting = SETTINGS[dataset]
    slow_limits = dict(slow_limits) | {
        name: int(share * config.limit) for name, share in setting.slow_shares.items()
    }
    attacks = table2.counted(attacks, slow_limits)
    if setting.attacks == OWN:
        attacks = [by_search(name) for name in attacks]
    for comparison, folder in config.comparisons(
        dataset, recipes(dataset), attacks, slow_limits=slow_limits, baselines=baselines
    ):
        yield replace(
            comparison, dataset=_images(config, dataset), preset=setting.attacks
        ), folder.with_name(f"{folder.name}-env2")


def data(
    config: ReproductionConfig, dataset: str, attacks: Sequence[str]
) -> list[ExperimentData]:
    """The data of an experiment for every seed; every attack is counted for all images."""
    return [
        prepare(
            comparison, folder, data_dir=config.data_dir, model=model(config, dataset),
            progress=config.progress,
        )[0]
        for comparison, folder in comparisons(config, dataset, attacks)
    ]


def model(config: ReproductionConfig, dataset: str) -> Path:
    """The dataset's classifier.

    Raises:
      InvalidInputError: it is not in the folder, or no folder is given.
    """
    name = f"{SETTINGS[dataset].model}.keras"
    if config.model_dir is None or not (Path(config.model_dir) / name).is_file():
        raise InvalidInputError(
            f"expected {name} in a folder of models, got no such file in {config.model_dir}; give "
            "it as --model_dir"
        )
    return Path(config.model_dir) / name


def _images(config: ReproductionConfig, dataset: str) -> str:
    """The dataset as `load_dataset` takes it: photographs are in a folder of the data's."""
    if dataset != "imagenet":
        return dataset
    if config.data_dir is None:
        raise InvalidInputError(
            "expected a folder with a folder imagenet of images, got none; give it as --data_dir"
        )
    return str(Path(config.data_dir) / dataset)
