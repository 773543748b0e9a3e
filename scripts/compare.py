"""Compares A2D with other detectors: the AUROC table of the paper's Table 2, a report and plots.

  python scripts/compare.py --dataset=digits --workdir=runs/digits

Started again with the same --workdir, it does nothing again that is finished. A feature of your own
is compared by the path of its class: --baselines=kd,my_module:MyFeature.
"""

import os

import cli
from absl import flags

from a2d_tf.attacks import PRESETS
from a2d_tf.evaluation import artifacts, comparison
from a2d_tf.reports import comparison_table
from a2d_tf.threats import PRESETS as THREATS

FLAGS = flags.FLAGS
DATASETS = list(comparison.DEFAULT_MODELS)
DIGITS_LIMIT, LIMIT = 100, 1000
flags.DEFINE_enum("dataset", "digits", DATASETS, "Images; digits need no download.")
flags.DEFINE_string("data_dir", None, "Folder with mnist.npz and cifar10.npz.")
flags.DEFINE_string("workdir", None, "Where stages and results go; runs/DATASET by default.")
flags.DEFINE_string("model", None, "A trained .keras, .h5 or SavedModel; none trains one.")
flags.DEFINE_integer(
    "limit", None, f"Test images per cell; {LIMIT}, for digits {DIGITS_LIMIT}.", lower_bound=1
)
cli.define_names("threats", ["fgsm", "bim-a"], f"Out of {', '.join(THREATS['mnist'])}.")
cli.define_names(
    "attacks", [],
    f"Attacks whose cost is counted, out of {', '.join(PRESETS['mnist'])}. By default "
    + ", ".join(comparison.DEFAULT_ATTACKS["mnist"]) + ", for digits "
    + ", ".join(comparison.DEFAULT_ATTACKS["digits"]) + ".",
)
cli.define_renamed("defences", "attacks")
flags.DEFINE_integer(
    "slow_limit", 0, f"Images of which slow attacks ({', '.join(comparison.SLOW)}) are counted; 0 "
    "for all.", lower_bound=0,
)
cli.define_renamed("first", "slow_limit")
cli.define_names(
    "baselines", ["kd", "lid"],
    f"Other features, out of {', '.join(cli.feature_names())}, or as module:Class.",
)
flags.DEFINE_bool("shuffle", False, "Draw the images at random, not the first as published.")
cli.define_seed("Seed of the drawing, the training and the baselines.")
cli.define_bounds()


def main() -> None:
    workdir = FLAGS.workdir or os.path.join("runs", FLAGS.dataset)
    results = comparison.run_comparison(
        comparison.Comparison(
            dataset=FLAGS.dataset,
            limit=FLAGS.limit or (DIGITS_LIMIT if FLAGS.dataset == "digits" else LIMIT),
            threats=FLAGS.threats,
            attacks=FLAGS.attacks or comparison.DEFAULT_ATTACKS[FLAGS.dataset],
            baselines=FLAGS.baselines,
            bounds=cli.bounds(),
            slow_limit=FLAGS.slow_limit,
            shuffle=FLAGS.shuffle,
            seed=FLAGS.seed,
        ),
        workdir,
        data_dir=FLAGS.data_dir,
        model=FLAGS.model,
        progress=cli.TerminalProgress(),
    )
    report = os.path.join(workdir, artifacts.REPORT)
    cli.show(
        [comparison_table.table(results)], f"Report: {report}", comparison_table.answer(results)
    )


if __name__ == "__main__":
    cli.run(main)
