"""Times cost attacks against the limit: the passes through the network that they ask for.

  python scripts/benchmark.py --model=lenet.keras --images=images.npz --attacks=bim,jsma \\
      --batch_sizes=1,8,32,128,512 --limit=200 --out=benchmark.json

--exported times the attacks in exported detectors too; --peers times Foolbox's and ART's BIM on
the same images; --verdicts times the verdicts on single images, with a Z-score at 10 % false
positives, fitted on images that are benign: in full and faithful, against bounded and by search.
Only ratios from one run are comparable: machines are noisy. CUDA_VISIBLE_DEVICES= measures the CPU
of a machine with a GPU.
"""

import cli
from absl import flags

from a2d_tf import attacks, benchmark, files, image_files

FLAGS = flags.FLAGS
cli.define_model_flags()
flags.DEFINE_string("images", None, ".npz with `images`, or a folder of images.", required=True)
cli.define_names("attacks", ["bim"], f"Out of {', '.join(attacks.PRESETS['mnist'])}.")
flags.DEFINE_enum("preset", "mnist", list(attacks.PRESETS), "Whose published settings.")
flags.DEFINE_integer("limit", None, "The first so many images; all if not given.", lower_bound=1)
flags.DEFINE_list("batch_sizes", ["128"], "Images at once, one size or several.")
flags.DEFINE_bool("exported", False, "Time the attacks in exported detectors too.")
flags.DEFINE_bool("peers", False, "Time Foolbox's and ART's BIM too (extra `peers`).")
flags.DEFINE_string("verdicts", None, "Other benign images, .npz or folder, to fit a detector on.")
cli.define_out("A .json file to write.", required=False)


def main() -> None:
    sizes = cli.numbers("batch_sizes")
    timed = {name: attacks.preset(name, FLAGS.preset) for name in FLAGS.attacks}
    classifier = cli.load_classifier()
    stream = image_files.stream_images(FLAGS.images, classifier, FLAGS.limit)
    benign = FLAGS.verdicts and image_files.load_images(FLAGS.verdicts, classifier).images
    with cli.TerminalProgress().stage("benchmark", len(timed) * len(sizes)) as advance:
        report = benchmark.run(
            classifier, timed, stream.images, sizes,
            peers=FLAGS.peers, exported=FLAGS.exported, benign=benign, on_finished=advance,
        )
    if FLAGS.out:
        files.save_json(FLAGS.out, report | {"provenance": files.provenance(
            FLAGS.model, images=FLAGS.images, limit=str(FLAGS.limit),
            **{name: repr(attack) for name, attack in timed.items()},
        )})
    cli.show(benchmark.tables(report))


if __name__ == "__main__":
    cli.run(main)
