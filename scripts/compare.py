"""Compares A2D with other detectors: the AUROC table of the paper's Table 2, a report and plots.

  python scripts/compare.py --dataset=digits --workdir=runs/digits
  python scripts/compare.py --model=mine.keras --dataset=mine.npz --preset=own

Started again with the same --workdir, it does nothing again that is finished. A feature of your own
is compared by the path of its class: --baselines=kd,my_module:MyFeature. Features with + between
them are judged together: --baselines=response+lid.
"""

import os
from pathlib import Path

import cli
from absl import flags

from a2d_tf import attacks, threats
from a2d_tf.detection.arguments import OWN
from a2d_tf.evaluation import artifacts, comparison, methods
from a2d_tf.reports import comparison_table
from a2d_tf.zoo.datasets import is_dataset_of_ones_own

FLAGS = flags.FLAGS
DIGITS_LIMIT, LIMIT = 100, 1000
flags.DEFINE_string("dataset", "digits", cli.DATASET_HELP + " Digits need no download.")
cli.define_path("data_dir", "Folder with mnist.npz and cifar10.npz.")
cli.define_folder(
    "workdir", "Where stages and results go; runs/DATASET by default.",
    default=lambda: os.path.join("runs", Path(FLAGS.dataset).stem),
)
cli.define_model_flags(otherwise="without it, one is trained for digits, mnist or cifar10")
flags.DEFINE_integer(
    "limit", None, f"Test images per cell; {LIMIT}, for digits {DIGITS_LIMIT}.", lower_bound=1
)
cli.define_names("threats", ["fgsm", "bim-a"], f"Out of {', '.join(threats.PRESETS['mnist'])}.")
cli.define_names(
    "attacks", [],
    f"Attacks whose cost is counted, out of {', '.join(attacks.PRESETS['mnist'])}. By default "
    + ", ".join(comparison.DEFAULT_ATTACKS["mnist"]) + ", for digits "
    + ", ".join(comparison.DEFAULT_ATTACKS["digits"]) + ", for your own "
    + ", ".join(comparison.OWN_ATTACKS) + ".",
)
cli.define_renamed("defences", "attacks")
flags.DEFINE_integer(
    "slow_limit", 0, f"Images of which slow attacks ({', '.join(comparison.SLOW)}) are counted; 0 "
    "for all.", lower_bound=0,
)
cli.define_renamed("first", "slow_limit")
cli.define_names(
    "baselines", ["kd", "lid"],
    f"Other features, out of {', '.join(cli.feature_names())}, or as module:Class; "
    "with + between those that are judged together.",
    may_be_empty=True,
)
flags.DEFINE_enum(
    "preset", None, [*attacks.PRESETS, OWN],
    f"Whose settings threats and attacks take; {OWN} chooses them for the model, on benign images. "
    f"By default those of the dataset, and {OWN} for a dataset of your own.",
)
flags.DEFINE_bool("shuffle", False, "Draw the images at random, not the first as published.")
cli.define_seed("Seed of the drawing, the training and the baselines.")
cli.define_json()


def main() -> None:
    with cli.about("dataset"):
        is_dataset_of_ones_own(FLAGS.dataset)
    cli.check_each("threats", lambda name: threats.preset(name, "mnist"))
    cli.check_each("attacks", lambda name: attacks.preset(name, "mnist"))
    cli.check_each("baselines", lambda name: methods.baseline(name, 0))
    workdir = cli.folder("workdir")
    slow = comparison.SLOW if FLAGS.slow_limit else ()
    results = comparison.run_comparison(
        comparison.Comparison(
            dataset=FLAGS.dataset,
            limit=FLAGS.limit or (DIGITS_LIMIT if FLAGS.dataset == "digits" else LIMIT),
            threats=FLAGS.threats,
            attacks=FLAGS.attacks or comparison.DEFAULT_ATTACKS.get(
                FLAGS.dataset, comparison.OWN_ATTACKS
            ),
            baselines=FLAGS.baselines,
            preset=FLAGS.preset or "",
            bounds=cli.bounds(),
            loading=cli.loading(),
            slow_limits=dict.fromkeys(slow, FLAGS.slow_limit),
            shuffle=FLAGS.shuffle,
            seed=FLAGS.seed,
        ),
        workdir,
        data_dir=FLAGS.data_dir,
        model=FLAGS.model,
        progress=cli.TerminalProgress(),
    )
    report = os.path.join(workdir, artifacts.REPORT)
    answer = comparison_table.answer(results)
    cli.report(
        {"report": report, "answer": answer} | results, f"Report: {report}", answer,
        tables=[comparison_table.table(results)],
    )


if __name__ == "__main__":
    cli.run(main)
