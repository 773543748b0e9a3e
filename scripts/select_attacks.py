"""Which attack suits a model: its separation and its time, as a table and a picture.

  python scripts/select_attacks.py --model=lenet.keras --images=benign.npz \\
      --adversarial=fgsm.npz --attacks=bim-search,bim2-search,jsma,deepfool --out=choice.json

It writes the figures to --out, and a page and a picture beside it. Without --adversarial, the FGSM
and BIM-a of --preset craft adversarial images from the benign ones. Started again with the same
--workdir, it runs no finished attack again.
"""

from pathlib import Path

import cli
from absl import flags

from a2d_tf import attacks, threats
from a2d_tf.detection.arguments import OWN
from a2d_tf.evaluation import attack_selection
from a2d_tf.images import load_adversarial, load_images
from a2d_tf.reports import page, selection_page
from a2d_tf.storage import files
from a2d_tf.storage.provenance import provenance

FLAGS = flags.FLAGS
CRAFTED = ("fgsm", "bim-a")
cli.define_model_flags()
cli.define_path("images", "Benign images: .npz or folder.", required=True)
cli.define_path("adversarial", "Adversarial images, .npz or folder; else crafted.")
cli.define_names("attacks", ["fgsm", "bim-search", "bim2-search", "jsma", "deepfool"],
                 f"To choose from, out of {', '.join(attacks.PRESETS['mnist'])}.")
flags.DEFINE_enum(
    "preset", OWN, [*attacks.PRESETS, OWN],
    f"Whose published settings; {OWN} chooses steps for the model, on the benign images.",
)
flags.DEFINE_integer("limit", 200, "The first so many images of either kind; if crafted, benign "
                     "ones and what both threats make of them.", lower_bound=1)
cli.define_folder("workdir", "Where finished attacks are kept.", default="runs/select_attacks")
cli.define_out("A .json file to write, and an .html and a .png beside it.",
               beside=(".png", ".html"))
cli.define_json()
flags.register_validator(
    "out", lambda path: not path or path.endswith(".json"), "must end in .json"
)


def main() -> None:
    if FLAGS.preset != OWN:
        with cli.about("attacks"):
            named = {name: attacks.preset(name, FLAGS.preset) for name in FLAGS.attacks}
        recipes = [threats.preset(name, FLAGS.preset) for name in CRAFTED]
    classifier = cli.load_classifier()
    spec = classifier.input_spec
    with cli.about("images"):
        benign = load_images(FLAGS.images, spec).images[:FLAGS.limit]
    if FLAGS.preset == OWN:
        with cli.about("attacks", "images"):
            named = {name: attacks.calibrate(name, classifier, benign) for name in FLAGS.attacks}
            recipes = attack_selection.own_recipes(classifier, benign)
    adversarial = None
    if FLAGS.adversarial:
        with cli.about("adversarial"):
            adversarial = load_adversarial(FLAGS.adversarial, spec)[:FLAGS.limit]
    with cli.about("images", "adversarial"):
        scores = attack_selection.run_selection(
            classifier, benign, adversarial, recipes, named, cli.folder("workdir"),
            progress=cli.TerminalProgress(),
        )
    picture, report = (Path(FLAGS.out).with_suffix(suffix) for suffix in (".png", ".html"))
    attack_selection.draw(scores, picture)
    made_with = provenance(
        FLAGS.model, images=FLAGS.images, limit=str(FLAGS.limit),
        adversarial=FLAGS.adversarial or repr(recipes), bounds=repr(cli.bounds()),
        **{name: repr(attack) for name, attack in named.items()}
    )
    rows = [one._asdict() | {"per_second": one.per_second} for one in scores]
    results = {"attacks": rows, "provenance": made_with}
    files.save_json(FLAGS.out, results)
    page.write(selection_page.page(rows, made_with), report)
    answer = selection_page.answer(rows)
    cli.report(
        {"out": FLAGS.out, "report": str(report), "answer": answer} | results,
        f"{FLAGS.out}, {picture}", f"Report: {report}", answer,
        tables=[attack_selection.table(scores)],
    )


if __name__ == "__main__":
    cli.run(main)
