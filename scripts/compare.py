"""Compares A2D with KD and LID: the AUROC table of the paper's Table 2, a report and plots.

  python scripts/compare.py --dataset=digits --workdir=runs/digits

Started again with the same --workdir, it redoes nothing that is finished.
"""

import os

import cli
from absl import flags
from rich.console import Console

import baselines
from a2d_tf import report
from a2d_tf.attacks import REGISTRY
from a2d_tf.experiments import comparison, outputs
from a2d_tf.threats import PRESETS

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
cli.define_names("threats", ["fgsm", "bim-a"], f"Out of {', '.join(PRESETS['mnist'])}.")
cli.define_names("defences", ["bim", "bim2", "jsma"],
                 f"Attacks whose cost is counted, out of {', '.join(REGISTRY)}.")
flags.DEFINE_integer("first", 0, "Images that slow attacks (dba, lsa, cw) count; 0 for all.",
                     lower_bound=0)
cli.define_names("baselines", ["kd", "lid"], f"Out of {', '.join(baselines.REGISTRY)}.")
flags.DEFINE_bool("shuffle", False, "Draw the images at random, not the first as published.")
cli.define_seed("Of the drawing, the training and the baselines.")
cli.define_bounds()


def main() -> None:
    workdir = FLAGS.workdir or os.path.join("runs", FLAGS.dataset)
    results = comparison.run(
        comparison.Comparison(
            dataset=FLAGS.dataset,
            limit=FLAGS.limit or (DIGITS_LIMIT if FLAGS.dataset == "digits" else LIMIT),
            threats=FLAGS.threats,
            defences=FLAGS.defences,
            bounds=cli.bounds(),
            first=FLAGS.first,
            shuffle=FLAGS.shuffle,
            seed=FLAGS.seed,
        ),
        workdir,
        baselines.chosen(FLAGS.baselines),
        data_dir=FLAGS.data_dir,
        model=FLAGS.model,
        progress=cli.TerminalProgress(),
    )
    console, table = Console(), report.table(results)
    console.width = max(console.width, report.width(table))
    console.print(table)
    console.print(f"Report: {os.path.join(workdir, outputs.REPORT)}", soft_wrap=True)


if __name__ == "__main__":
    cli.run(main)
