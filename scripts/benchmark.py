"""Times cost attacks against the limit: the passes through the network that they ask for.

  python scripts/benchmark.py --model=lenet.keras --images=images.npz --attacks=bim --limit=200

Only ratios from one run are comparable: machines are noisy.
"""

import cli
from absl import flags
from rich.console import Console
from rich.table import Table

from a2d_tf import attacks, benchmark, data, files

FLAGS = flags.FLAGS
cli.define_model_flags()
flags.DEFINE_string("images", None, ".npz with `images`, or a folder of images.", required=True)
cli.define_names("attacks", ["bim"], "Attacks to time.")
flags.DEFINE_enum("preset", "mnist", list(attacks.PRESETS), "Whose published settings.")
flags.DEFINE_integer("limit", None, "The first so many images; all if not given.", lower_bound=1)
flags.DEFINE_integer("batch_size", 128, "Images at once.", lower_bound=1)
cli.define_out("A .json file to write.", required=False)


def main() -> None:
    timed = {name: attacks.preset(name, FLAGS.preset) for name in FLAGS.attacks}
    classifier = cli.load_classifier()
    images = data.load_images(FLAGS.images, classifier).images[:FLAGS.limit]
    table = Table("attack", "images", "s per image", "ms per step at the limit", "ratio to limit")
    measured = {}
    with cli.TerminalProgress().stage("benchmark", len(timed)) as advance:
        for name, attack in timed.items():
            m = benchmark.measure(classifier, attack, images, FLAGS.batch_size)
            measured[name] = m._asdict() | {"ratio": m.ratio}
            table.add_row(name, str(m.images), f"{m.seconds / m.images:.4f}",
                          f"{1000 * m.step_seconds:.4f}", f"{m.ratio:.3f}")
            advance(1)
    if FLAGS.out:
        files.save_json(FLAGS.out, {
            "attacks": measured,
            "provenance": files.provenance(FLAGS.model, batch_size=str(FLAGS.batch_size)),
        })
    Console().print(table)


if __name__ == "__main__":
    cli.run(main)
