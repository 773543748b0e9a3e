"""What every reproduced table or figure is asked for, and what it leaves behind."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from a2d_tf import files, report
from a2d_tf.errors import InvalidInputError
from a2d_tf.experiments.comparison import (
    DEFAULT_MODELS,
    BaselineFactory,
    Comparison,
    prepare,
)
from a2d_tf.experiments.evidence import Evidence
from a2d_tf.progress import Progress
from a2d_tf.report import Grid


@dataclass(frozen=True, kw_only=True)
class Request:
    """How large to reproduce an experiment, and from what.

    Attributes:
      datasets: "mnist", "cifar10" or both.
      limit: images per cell.
      seeds: images are drawn at random once for each; none takes the first ones, as published.
      workdir: where finished stages and results are kept.
      data_dir: see `data.load_dataset`.
      model_dir: folder with lenet_mnist.keras and convnet_cifar10.keras; None trains them.
      baselines: makes the detectors to compare with.
      progress: follows the stages.
    """

    datasets: Sequence[str]
    limit: int
    seeds: Sequence[int]
    workdir: Path
    data_dir: str | Path | None
    model_dir: str | Path | None
    baselines: Mapping[str, BaselineFactory]
    progress: Progress

    def comparisons(
        self, dataset: str, threats: Sequence[str], defences: Sequence[str], *, first: int
    ) -> Iterator[tuple[Comparison, Path]]:
        """A comparison and its folder for every seed."""
        for seed in self.seeds or (0,):
            yield Comparison(
                dataset=dataset, limit=self.limit, threats=threats, defences=defences,
                first=first, shuffle=bool(self.seeds), seed=seed,
            ), self.workdir / (f"{dataset}-seed{seed}" if self.seeds else dataset)

    def evidences(
        self, dataset: str, threats: Sequence[str], defences: Sequence[str]
    ) -> list[Evidence]:
        """What an experiment rests on, for every seed; every attack counts all images."""
        return [
            prepare(
                asked, folder, data_dir=self.data_dir, model=self.model(dataset),
                progress=self.progress,
            )[0]
            for asked, folder in self.comparisons(dataset, threats, defences, first=0)
        ]

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


class Outcome(NamedTuple):
    """What an experiment found.

    Attributes:
      results: JSON values.
      grids: ours beside the published, as tables.
      draw: draws the figure to a PNG file.
    """

    results: dict[str, Any]
    grids: Sequence[Grid]
    draw: Callable[[Path], None]


class Experiment(NamedTuple):
    """An experiment, the datasets that it is about, and the images per cell unless told otherwise.
    """

    run: Callable[[Request], Outcome]
    datasets: tuple[str, ...]
    limit: int


def run(name: str, experiment: Experiment, request: Request) -> Outcome:
    """Runs or resumes an experiment and writes NAME.json, NAME.md and NAME.png to its folder.

    Raises:
      InvalidInputError: a dataset that it is not about; see also `comparison.run`.
    """
    if foreign := [name for name in request.datasets if name not in experiment.datasets]:
        raise InvalidInputError(
            f"expected datasets out of {', '.join(experiment.datasets)} for {name}, got "
            f"{', '.join(foreign)}"
        )
    outcome = experiment.run(request)
    picture = f"{name}.png"
    outcome.draw(request.workdir / picture)
    files.save_json(request.workdir / f"{name}.json", {
        "experiment": name,
        "limit": request.limit,
        "seeds": list(request.seeds),
        "versions": files.versions(),
        **outcome.results,
    })
    tables = [f"## {grid.title}\n\n{report.grid(grid.header, grid.rows)}" for grid in outcome.grids]
    text = [f"# {name}, limit {request.limit}", *tables, f"![{name}]({picture})"]
    files.save_text(request.workdir / f"{name}.md", "\n\n".join(text) + "\n")
    return outcome
