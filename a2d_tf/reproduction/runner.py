"""How a table or figure of the paper is reproduced: its settings, its results and its files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from a2d_tf.checks import lookup
from a2d_tf.errors import InvalidInputError
from a2d_tf.evaluation.comparison import DEFAULT_MODELS, Comparison, prepare
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.features import Feature
from a2d_tf.reports.progress import Progress
from a2d_tf.reports.tables import Table, to_markdown
from a2d_tf.storage import files
from a2d_tf.storage.provenance import versions
from a2d_tf.threats import PRESETS, Threat


@dataclass(frozen=True, kw_only=True)
class ReproductionConfig:
    """How large a reproduction is, and what it is made from.

    Attributes:
      datasets: out of "mnist", "cifar10" and "imagenet".
      limit: images per cell.
      seeds: images are drawn at random once for each seed; without seeds, the first images are
        taken, as published.
      workdir: where finished stages and results are kept.
      data_dir: see `zoo.datasets.load_dataset`.
      model_dir: folder with lenet_mnist.keras and convnet_cifar10.keras; None trains them. For
        Env 2, with the files of `env2.SETTINGS`, which are not trained.
      baselines: names of the features to compare with.
      progress: follows the stages.
      threats: names of the experiment's threats that are taken; none for all.
    """

    datasets: Sequence[str]
    limit: int
    seeds: Sequence[int]
    workdir: Path
    data_dir: str | Path | None
    model_dir: str | Path | None
    baselines: Sequence[str]
    progress: Progress
    threats: Sequence[str] = ()

    def comparisons(
        self,
        dataset: str,
        threats: Sequence[str] | Mapping[str, Threat],
        attacks: Sequence[str],
        *,
        slow_limits: Mapping[str, int] = {},
        baselines: Sequence[str | Feature] = (),
    ) -> Iterator[tuple[Comparison, Path]]:
        """A comparison and its folder for every seed.

        Raises:
          InvalidInputError: none of the wanted threats is among these.
        """
        if self.threats:
            threats = self._wanted(threats)
        for seed in self.seeds or (0,):
            yield Comparison(
                dataset=dataset, limit=self.limit, threats=threats, attacks=attacks,
                baselines=baselines, slow_limits=slow_limits, shuffle=bool(self.seeds), seed=seed,
            ), self.workdir / (f"{dataset}-seed{seed}" if self.seeds else dataset)

    def data(
        self,
        dataset: str,
        threats: Sequence[str] | Mapping[str, Threat],
        attacks: Sequence[str],
    ) -> list[ExperimentData]:
        """The data of an experiment for every seed; every attack is counted for all images."""
        return [
            prepare(
                comparison, folder, data_dir=self.data_dir, model=self.model(dataset),
                progress=self.progress,
            )[0]
            for comparison, folder in self.comparisons(dataset, threats, attacks)
        ]

    def _wanted(
        self, threats: Sequence[str] | Mapping[str, Threat]
    ) -> Sequence[str] | Mapping[str, Threat]:
        known = {name: name for preset in PRESETS.values() for name in preset}
        for name in self.threats:  # a dataset need not have them all, but a wrong name is an error
            lookup(known, name, "a threat")
        names = [name for name in threats if name in self.threats]
        if not names:
            raise InvalidInputError(
                f"expected a threat out of {', '.join(threats)}, got {', '.join(self.threats)}"
                "; take some of these"
            )
        return {name: threats[name] for name in names} if isinstance(threats, Mapping) else names

    def model(self, dataset: str) -> Path | None:
        """The dataset's classifier.

        Raises:
          InvalidInputError: it is not in the folder.
        """
        if self.model_dir is None:
            return None
        path = Path(self.model_dir) / f"{DEFAULT_MODELS[dataset][0]}_{dataset}.keras"
        if not path.is_file():
            raise InvalidInputError(
                f"expected {path.name} in {self.model_dir}, got no such file; train it with "
                "train.py or leave the folder out"
            )
        return path


class ReproductionResult(NamedTuple):
    """What an experiment found.

    Attributes:
      results: JSON values.
      tables: ours beside the published, as tables.
      draw: draws the figure to a PNG file.
    """

    results: dict[str, Any]
    tables: Sequence[Table]
    draw: Callable[[Path], None]


class Experiment(NamedTuple):
    """An experiment, the datasets that it is about, and its default number of images per cell.

    `takes_threats` tells whether it can be made of some of its threats.
    """

    run: Callable[[ReproductionConfig], ReproductionResult]
    datasets: tuple[str, ...]
    limit: int
    takes_threats: bool = False


def reproduce(
    name: str, experiment: Experiment, config: ReproductionConfig
) -> ReproductionResult:
    """Runs or resumes an experiment and writes NAME.json, NAME.md and NAME.png to its folder.

    Raises:
      InvalidInputError: a dataset that it is not about, or a choice of threats where it takes
        none; see also `run_comparison`.
    """
    if foreign := [dataset for dataset in config.datasets if dataset not in experiment.datasets]:
        raise InvalidInputError(
            f"expected datasets out of {', '.join(experiment.datasets)} for {name}, got "
            f"{', '.join(foreign)}; take some of these"
        )
    if config.threats and not experiment.takes_threats:
        raise InvalidInputError(
            f"expected no choice of threats for {name}, which needs all of its own, got "
            f"{', '.join(config.threats)}; leave them out"
        )
    result = experiment.run(config)
    picture = f"{name}.png"
    result.draw(config.workdir / picture)
    files.save_json(config.workdir / f"{name}.json", {
        "experiment": name,
        "limit": config.limit,
        "seeds": list(config.seeds),
        "versions": versions(),
        **result.results,
    })
    tables = [
        f"## {table.title}\n\n{to_markdown(table.header, table.rows)}" for table in result.tables
    ]
    text = [f"# {name}, limit {config.limit}", *tables, f"![{name}]({picture})"]
    files.save_text(config.workdir / f"{name}.md", "\n\n".join(text) + "\n")
    return result
