"""Counts how many iterations an attack needs for each image.

  python scripts/attack_cost.py --model=lenet.keras --images=images.npz --attack=bim \\
      --preset=mnist --out=costs.npz

The .npz holds for each image its cost i32[N], success bool[N], the number of queries to the model
and of those with a gradient (queries, gradients i32[N]), and its label i64[N].
"""

import cli
from absl import flags

from a2d_tf import attack_costs, attacks
from a2d_tf.images import stream_images
from a2d_tf.storage import files
from a2d_tf.storage.provenance import provenance

FLAGS = flags.FLAGS
cli.define_model_flags()
cli.define_path("images", ".npz with `images`, or a folder of images.", required=True)
flags.DEFINE_string("attack", None, f"Out of {', '.join(attacks.PRESETS['mnist'])}.", required=True)
flags.DEFINE_enum("preset", "mnist", list(attacks.PRESETS), "Whose published settings.")
flags.DEFINE_integer("limit", None, "The first so many images; all if not given.", lower_bound=1)
flags.DEFINE_integer("batch_size", 128, "Images under attack at once.", lower_bound=1)
cli.define_out("The .npz file to write.")
cli.define_json()


def main() -> None:
    with cli.about("attack"):
        attack = attacks.preset(FLAGS.attack, FLAGS.preset)
    classifier = cli.load_classifier()
    with cli.about("images"):
        images = stream_images(FLAGS.images, classifier.input_spec, FLAGS.limit)
    progress = cli.TerminalProgress().stage(f"{FLAGS.attack} cost", len(images))
    with cli.about("images"), progress as advance:
        table = attack_costs(
            classifier, images, attack, batch_size=FLAGS.batch_size, on_finished=advance
        )
    files.save_npz(
        FLAGS.out,
        cost=table.costs[:, 0],
        success=table.success[:, 0],
        queries=table.queries[:, 0],
        gradients=table.gradients[:, 0],
        label=table.labels,
        valid=table.valid[:, 0],
        provenance=provenance(FLAGS.model, attack=repr(attack), bounds=repr(cli.bounds())),
    )
    within, invalid = float(table.success.mean()), int((~table.valid).sum())
    cli.report(
        {"out": FLAGS.out, "images": len(images), "within_cap": within, "invalid": invalid},
        f"{FLAGS.out}: {len(images)} images, {within:.1%} within the cap"
        + (f", {invalid} that cannot be attacked (valid is False)" if invalid else ""),
    )


if __name__ == "__main__":
    cli.run(main)
