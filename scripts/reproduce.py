"""Reproduces a table or figure of the paper, our results beside the published ones.

  python scripts/reproduce.py --experiment=table2_env1 --data_dir=DIR --model_dir=DIR

Started again with the same --workdir, it does nothing again that is finished.
"""

import os
from pathlib import Path

import cli
from absl import flags

from a2d_tf.evaluation import methods
from a2d_tf.reproduction import EXPERIMENTS, ReproductionConfig, reproduce

FLAGS = flags.FLAGS
DEFAULT_WORKDIR = os.path.join("runs", "reproduce")
flags.DEFINE_enum("experiment", None, list(EXPERIMENTS), "What to reproduce.", required=True)
cli.define_names(
    "datasets", [], "Out of mnist, cifar10 and imagenet; none takes all of the experiment."
)
flags.DEFINE_integer(
    "limit", None, "Test images per cell. By default "
    + ", ".join(f"{one.limit} for {name}" for name, one in EXPERIMENTS.items()) + ".",
    lower_bound=1,
)
cli.define_names("threats", [], "Out of those of the experiment; none takes all.")
cli.define_names("seeds", [], "Seeds to draw images by; none takes the first, as published.")
cli.define_names(
    "baselines", ["kd", "lid"],
    f"For table2_env1, out of {', '.join(cli.feature_names())}, or as module:Class.",
    may_be_empty=True,
)
cli.define_path("data_dir", "Folder with mnist.npz, cifar10.npz and imagenet/.")
cli.define_path("model_dir",
                "Folder with lenet_mnist.keras and convnet_cifar10.keras, and PGD-trained ones "
                "as lenet_mnist_pgd.keras; none trains them.")
cli.define_folder("workdir", "Where stages and results go.", default=DEFAULT_WORKDIR)
cli.define_limit()
cli.define_json()
flags.register_validator("seeds", lambda seeds: all(seed.isdecimal() for seed in seeds),
                         "must be whole numbers")


def main() -> None:
    workdir = Path(cli.folder("workdir"))
    cli.check_each("baselines", lambda name: methods.baseline(name, 0))
    experiment = EXPERIMENTS[FLAGS.experiment]
    result = reproduce(FLAGS.experiment, experiment, ReproductionConfig(
        datasets=FLAGS.datasets or experiment.datasets,
        limit=FLAGS.limit or experiment.limit,
        seeds=[int(seed) for seed in FLAGS.seeds],
        workdir=workdir,
        data_dir=FLAGS.data_dir,
        model_dir=FLAGS.model_dir,
        baselines=FLAGS.baselines,
        progress=cli.TerminalProgress(),
        threats=FLAGS.threats,
    ))
    report = f"{workdir / FLAGS.experiment}.md"
    cli.report(
        {"report": report, "tables": [one._asdict() for one in result.tables]},
        f"Report: {report}", tables=result.tables,
    )


if __name__ == "__main__":
    cli.run(main)
