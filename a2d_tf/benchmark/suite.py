"""All that a benchmark measures, as data and as tables."""

import dataclasses
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from a2d_tf.a2d import A2D
from a2d_tf.attacks import BIM, Attack
from a2d_tf.attacks.runner import OnFinished
from a2d_tf.benchmark.peers import PEERS, check_peers, has_peers, time_peers
from a2d_tf.benchmark.timing import time_attack, time_export, time_price, time_verdicts
from a2d_tf.classifiers import Classifier
from a2d_tf.images.batching import ImageSource, to_array
from a2d_tf.images.spec import Images
from a2d_tf.reports.progress import NullProgress, Progress
from a2d_tf.reports.tables import Table

VERDICT_FPR = 0.1
Report = dict[str, list[dict[str, Any]]]


def run_benchmark(
    classifier: Classifier,
    attacks: Mapping[str, Attack],
    images: ImageSource,
    batch_sizes: Sequence[int],
    *,
    peers: bool = False,
    exported: bool = False,
    benign: Images | None = None,
    progress: Progress = NullProgress(),
) -> Report:
    """Measures attacks, one after the other, on the same images.

    Args:
      classifier: the classifier under attack.
      attacks: the cost attacks, by name.
      images: f32[N,H,W,C] with N >= 1, or a dataset of them.
      batch_sizes: numbers of images at once; every attack is measured with each.
      peers: whether to time Foolbox and ART on `BIM` too, with the largest batch size.
      exported: whether to time the attacks in exported detectors too.
      benign: other benign images, f32[M,H,W,C]; those of `images` are then judged one by one by
        detectors that are fitted on these, for each attack; and in batches by the default
        detector.
      progress: follows the run; each stage says what is timed.

    Returns:
      Lists of figures by name: `measurements`, `exported`, `peers`, `verdicts`, `default` and
      `devices`.

    Raises:
      InvalidInputError: unfit images, or peers that have none of the attacks or are missing.
    """
    shared = [name for name, attack in attacks.items() if peers and has_peers(attack)]
    if peers:
        check_peers(shared)
    report: Report = {
        "measurements": [], "exported": [], "peers": [], "verdicts": [], "default": [],
    }
    for name, attack in attacks.items():
        with progress.stage(f"{name} by batch size", len(batch_sizes)) as advance:
            for size in batch_sizes:
                timing = time_attack(classifier, attack, images, size)
                report["measurements"].append({"attack": name} | timing.summary())
                advance(1)
        if exported:
            with progress.stage(f"{name} exported", 1) as advance:
                report["exported"].append({"attack": name} | _exported(classifier, attack, images))
                advance(1)
        if name in shared:
            with progress.stage(f"{name} of Foolbox and ART", PEERS) as advance:
                report["peers"] += _peers(classifier, attack, images, max(batch_sizes), advance)
        if benign is not None:
            with progress.stage(f"{name} verdicts", 1) as advance:
                report["verdicts"].append(
                    {"attack": name} | _verdicts(classifier, attack, images, benign)
                )
                advance(1)
    if benign is not None:
        held = to_array(images, classifier.input_spec)
        with progress.stage("default verdicts by batch size", len(batch_sizes)) as advance:
            for size in batch_sizes:
                default = A2D(classifier, batch_size=size).fit(benign)
                report["default"].append(
                    {"batch_size": size} | time_price(default, held, size).summary()
                )
                advance(1)
    report["devices"] = [
        {"name": device.name, "kind": device.device_type}
        for device in tf.config.list_logical_devices()
    ]
    return report


def tables(report: Report) -> Iterator[Table]:
    """The figures of `run_benchmark` as tables."""
    for title, columns in {
        "measurements": {
            "attack": "attack", "batch_size": "batch", "images": "images",
            "seconds_per_image": "s per image", "iterations_per_second": "iterations/s",
            "queries": "queries", "gradients": "gradients", "peak_megabytes": "peak MB",
            "ratio": "ratio to limit", "ratio_to_counting": "to counting's",
        },
        "exported": {
            "attack": "attack", "images": "images", "seconds_per_image": "s per image",
            "ratio": "ratio to limit", "same": "same cost",
        },
        "peers": {
            "peer": "peer", "attack": "attack", "images": "images",
            "seconds_per_image": "s per image", "slower_than_ours": "ours is faster by",
        },
        "verdicts": {
            "attack": "attack", "images": "images", "full_median_ms": "full, ms",
            "bounded_median_ms": "bounded, ms", "ratio_of_medians": "ratio of medians",
            "ratio_of_sums": "ratio of sums", "same": "same verdict",
        },
        "default": {
            "batch_size": "batch", "prediction_median_ms": "prediction, ms",
            "verdict_median_ms": "default verdict, ms", "ratio_of_medians": "ratio of medians",
            "ratio_of_means": "ratio of means",
        },
    }.items():
        if report.get(title):
            rows = [[_cell(row[key]) for key in columns] for row in report[title]]
            yield Table(title, list(columns.values()), rows)


def _exported(classifier: Classifier, attack: Attack, images: ImageSource) -> dict[str, Any]:
    held = to_array(images, classifier.input_spec)
    times = time_export(classifier, attack, held)
    return {
        "images": len(held), "seconds_per_image": times.seconds / len(held),
        "ratio": times.seconds / times.limit_seconds, "same": times.same,
    }


def _peers(
    classifier: Classifier, attack: Attack, images: ImageSource, batch_size: int,
    on_finished: OnFinished,
) -> list[dict[str, Any]]:
    held = to_array(images, classifier.input_spec)
    ours = time_attack(classifier, attack, held, batch_size).seconds
    return [
        {
            "peer": peer.name, "attack": attack.name, "images": len(held),
            "seconds_per_image": peer.seconds / len(held), "slower_than_ours": peer.seconds / ours,
        }
        for peer in time_peers(classifier, attack, held, batch_size, on_finished)
    ]


def _verdicts(
    classifier: Classifier, attack: Attack, images: ImageSource, benign: Images
) -> dict[str, Any]:
    """Verdicts as soon as possible, and from all costs with every iteration counted."""
    quick = dataclasses.replace(attack, search=True) if isinstance(attack, BIM) else attack
    slow = dataclasses.replace(attack, search=False) if isinstance(attack, BIM) else attack
    bounded, full = (
        A2D(classifier, mode, "zscore").fit(benign, fpr=VERDICT_FPR)
        for mode in (quick, slow)
    )
    times = time_verdicts(bounded, full, to_array(images, classifier.input_spec))
    return {
        "images": len(times.full),
        "full_median_ms": 1000 * statistics.median(times.full),
        "bounded_median_ms": 1000 * statistics.median(times.bounded),
        "ratio_of_medians": statistics.median(times.full) / statistics.median(times.bounded),
        "ratio_of_sums": sum(times.full) / sum(times.bounded),
        "same": times.same,
    }


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
