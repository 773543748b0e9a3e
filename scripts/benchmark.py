"""Times cost attacks against the limit: the passes through the network that they make.

  python scripts/benchmark.py --model=lenet.keras --images=images.npz --attacks=bim,jsma \\
      --batch_sizes=1,8,32,128,512 --limit=200 --out=benchmark.json

--exported also times the attacks in exported detectors. --peers times Foolbox's and ART's BIM on
the same images. --verdicts times the verdicts on single images of two detectors that are fitted on
benign images, with a Z-score at a false-positive rate of 10 %: one counts every iteration, the
other searches and stops early. It also times the verdicts of the default detector against plain
predictions, for each batch size. Only ratios from one run are comparable, since the speed of a
machine varies. CUDA_VISIBLE_DEVICES= measures the CPU of a machine with a GPU.
"""

import cli
from absl import flags

from a2d_tf import attacks, benchmark
from a2d_tf.images import load_images, stream_images
from a2d_tf.storage import files
from a2d_tf.storage.provenance import provenance

FLAGS = flags.FLAGS
cli.define_model_flags()
cli.define_path("images", ".npz with `images`, or a folder of images.", required=True)
cli.define_names(
    "attacks", ["bim"], f"Out of {', '.join(attacks.PRESETS['mnist'])}; none times none.",
    may_be_empty=True,
)
flags.DEFINE_enum("preset", "mnist", list(attacks.PRESETS), "Whose published settings.")
flags.DEFINE_integer("limit", None, "The first so many images; all if not given.", lower_bound=1)
flags.DEFINE_list("batch_sizes", ["128"], "Images at once, one size or several.")
flags.DEFINE_bool("exported", False, "Time the attacks in exported detectors too.")
flags.DEFINE_bool("peers", False, "Time Foolbox's and ART's BIM too (extra `peers`).")
cli.define_path("verdicts", "Other benign images, .npz or folder, to fit detectors on.")
cli.define_out("A .json file to write.", required=False)
cli.define_json()


def main() -> None:
    sizes = cli.numbers("batch_sizes")
    with cli.about("attacks"):
        timed = {name: attacks.preset(name, FLAGS.preset) for name in FLAGS.attacks}
    classifier = cli.load_classifier()
    with cli.about("images"):
        images = stream_images(FLAGS.images, classifier.input_spec, FLAGS.limit)
    with cli.about("verdicts"):
        benign = FLAGS.verdicts and load_images(FLAGS.verdicts, classifier.input_spec).images
    report = benchmark.run_benchmark(
        classifier, timed, images, sizes, peers=FLAGS.peers, exported=FLAGS.exported,
        benign=benign, progress=cli.TerminalProgress(),
    )
    if FLAGS.out:
        files.save_json(FLAGS.out, report | {"provenance": provenance(
            FLAGS.model, images=FLAGS.images, limit=str(FLAGS.limit),
            **{name: repr(attack) for name, attack in timed.items()},
        )})
    cli.report({"out": FLAGS.out} | report, tables=benchmark.tables(report))


if __name__ == "__main__":
    cli.run(main)
