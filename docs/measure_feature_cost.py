"""Memory and time of every feature that needs no training images, each in a process of its own.

  python docs/measure_feature_cost.py MODEL.keras IMAGES RESULT.json [COUNT [NAMES]]

IMAGES is an .npz with `images`, or a folder of pictures, of which COUNT (32) are measured at once.
NAMES are features, with commas between them.
Tracing a graph is left out where a feature takes less than a minute.
"""

import json
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import a2d_baselines  # noqa: F401, registers its features
from a2d_tf import Classifier, attacks
from a2d_tf.features import AttackCost, Feature, by_name, measure
from a2d_tf.images import load_images
from a2d_tf.storage import files

SEARCHES = ("bim-search", "bim2-search")  # their steps are chosen for the model
PLAIN = ("margin", "first-order", "response", "squeezing", "directions", *SEARCHES, "bim", "bim2",
         "jsma")
COUNT, QUICK_S = 32, 60.0
STEPS = ("eps", "step", "max_iterations")


def main(
    model: str, images: str, result: str, count: str = str(COUNT), names: str = ",".join(PLAIN)
) -> None:
    """Measures and writes the figures."""
    classifier = Classifier.load(model)
    some = load_images(images, classifier.input_spec).images[:int(count)]
    steps = {}
    for name in SEARCHES:
        attack: Any = attacks.calibrate(name, classifier, some)
        steps[name] = {key: getattr(attack, key) for key in STEPS}
    found = {}
    for name in ("prediction", *names.split(",")):
        settings = steps.get(name, steps.get(f"{name}-search"))
        told = subprocess.run(
            [sys.executable, __file__, "--one", model, images, count, name, json.dumps(settings)],
            check=True, capture_output=True, text=True,
        )
        found[name] = json.loads(told.stdout)
        files.save_json(result, {"images": len(some), "features": found})
        print(f"{result}: {len(found)} measured, the last one {name}", flush=True)


def one(model: str, images: str, count: str, name: str, settings: str) -> None:
    """Measures one feature, or for "prediction" the labels alone, and prints its figures."""
    classifier = Classifier.load(model)
    some = load_images(images, classifier.input_spec).images[:int(count)]
    feature = None if name == "prediction" else _feature(name, json.loads(settings))

    def run() -> Any:
        if feature is None:
            return classifier.predict(some)
        return measure(classifier, {name: feature}, some, batch_size=len(some))

    def timed() -> tuple[float, Any]:
        started = time.perf_counter()
        value = run()
        return time.perf_counter() - started, value

    seconds, table = timed()
    if seconds < QUICK_S:
        seconds, table = timed()
    passes = (1.0, 0.0) if feature is None else [
        float(values.mean()) for values in (
            table.features[name].queries, table.features[name].gradients
        )
    ]
    print(json.dumps({
        "seconds": seconds / len(some), "passes": list(passes),
        "peak_mib": _peak_mib(),
    }))


def _peak_mib() -> float:
    """The most memory that this process has had, on Linux.

    `resource.getrusage` also counts what its parent had when it was forked.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _feature(name: str, settings: dict[str, Any] | None) -> Feature:
    feature = by_name(name)
    if settings is None:
        return feature
    assert isinstance(feature, AttackCost)
    known = {field.name for field in fields(feature.attack)}  # type: ignore[arg-type]
    attack: Any = feature.attack
    return replace(feature, attack=replace(
        attack, **{key: value for key, value in settings.items() if key in known}
    ))


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        one(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
