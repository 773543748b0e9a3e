"""Estimates by CLEVER how far images are from other classes (Weng et al. 2018; Table 1).

  python scripts/clever.py --model=lenet.keras --images=images.npz --limit=100 --cheap \\
      --out=clever.npz

The .npz holds a row per image and a column per target: score f64[N,A] in units of the pixel range,
target i64[N,A] (the class at this distance), lipschitz and p_value f64[N,A]. It also holds label
i64[N] and targets [A], the names of the columns. Started again with the same --workdir, it does no
finished image again.
"""

import dataclasses

import cli
import numpy as np
from absl import flags

from a2d_tf.evaluation.clever_cache import cached_clever
from a2d_tf.evaluation.metrics import mean_interval
from a2d_tf.images import stream_images, to_array
from a2d_tf.robustness import CHEAP, RADII, TARGETS, Sampling
from a2d_tf.storage import files
from a2d_tf.storage.provenance import provenance

FLAGS = flags.FLAGS
USUAL = Sampling()
cli.define_model_flags()
cli.define_path("images", ".npz with `images`, or a folder of images.", required=True)
flags.DEFINE_integer("limit", None, "The first so many images; all if not given.", lower_bound=1)
cli.define_names("target", ["untargeted"], f"Out of {', '.join(TARGETS)}, or classes by number; "
                 "beside untargeted, the others cost nothing.")
flags.DEFINE_enum("norm", "l2", ["l1", "l2", "linf", "1", "2", "inf"], "Norm of the distances.")
flags.DEFINE_float("radius", None, "The radius of the ball of sampled points, in pixel ranges; "
                   + ", ".join(f"{radius:g} for L{norm:g}" for norm, radius in RADII.items()) + ".")
flags.DEFINE_integer("batches", None, f"Batches of points; {USUAL.batches}, or with --cheap "
                     f"{CHEAP.batches}.", lower_bound=2)
flags.DEFINE_integer("samples", None, f"Points per batch; {USUAL.samples}, or with --cheap "
                     f"{CHEAP.samples}.", lower_bound=1)
flags.DEFINE_integer("pool", None, "Batches draw out of so many times --samples points; 0 gives "
                     f"each its own, as published. {USUAL.pool}, or with --cheap 0.", lower_bound=0)
flags.DEFINE_bool("cheap", False, "50 batches of 64 points: quicker; for eight MNIST images the "
                  "scores differed by 3 %.")
flags.DEFINE_integer("batch_size", 128, "Points at once.", lower_bound=1)
cli.define_seed("Seed of the points.")
cli.define_folder("workdir", "Where finished images are kept.", default="runs/clever")
cli.define_out("The .npz file to write.")
cli.define_json()


def main() -> None:
    usual = CHEAP if FLAGS.cheap else USUAL
    norm = float(FLAGS.norm.removeprefix("l"))
    with cli.about("radius"):  # the other flags have bounds of their own
        sampling = dataclasses.replace(
            usual, norm=norm, radius=RADII[norm] if FLAGS.radius is None else FLAGS.radius,
            seed=FLAGS.seed,
            pool=usual.pool if FLAGS.pool is None else FLAGS.pool or None,
            batches=FLAGS.batches or usual.batches, samples=FLAGS.samples or usual.samples,
        )
    targets = [int(name) if name.isdecimal() else name for name in FLAGS.target]
    classifier = cli.load_classifier()
    spec = classifier.input_spec
    with cli.about("images"):
        images = to_array(stream_images(FLAGS.images, spec, FLAGS.limit), spec)
    with cli.about("target"):
        scores = cached_clever(
            classifier, images, targets, sampling, cli.folder("workdir"),
            batch_size=FLAGS.batch_size, progress=cli.TerminalProgress(),
        )
    files.save_npz(
        FLAGS.out, **scores._asdict(), label=classifier.predict(images),
        targets=np.array(FLAGS.target),
        provenance=provenance(
            FLAGS.model, clever=repr(sampling), bounds=repr(cli.bounds()),
            signature=str(classifier.signature), output=str(classifier.output),
        ),
    )
    means = {
        name: mean_interval(column)
        for name, column in zip(FLAGS.target, scores.score.T, strict=True)
    }
    cli.report(
        {"out": FLAGS.out, "images": len(images), "scores": {
            name: {"mean": float(mean), "half_width_90": float(half_width)}
            for name, (mean, half_width) in means.items()
        }},
        *(f"{name}: {mean:.4f} ± {half_width:.4f} (90 % interval of {len(images)} images)"
          for name, (mean, half_width) in means.items()),
    )


if __name__ == "__main__":
    cli.run(main)
