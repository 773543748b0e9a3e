"""The results of a comparison as a markdown report.

It reads the JSON-able `results` of a comparison and computes nothing new: `cells` is
threat -> column -> {"auroc", "auroc_ci95", "tpr_at_fpr", "published"}. A missing cell is shown
as a dash, a missing published figure is left out.
"""

from collections.abc import Callable, Mapping, Sequence

from a2d_tf.reports.comparison_table import (
    DASH,
    Cell,
    Results,
    Row,
    answer,
    best_of,
    invalid_images,
    measured,
    optional_of,
    price,
)
from a2d_tf.reports.tables import to_markdown


def markdown(results: Results, pictures: Sequence[tuple[str, str]]) -> str:
    """The whole report, as markdown that ends in a newline.

    Args:
      results: what a comparison wrote.
      pictures: (title, path relative to the report) of each picture to show.
    """
    parts = (_summary, _detection, _true_positives, _unseen, _threats, _costs, _false_positives)
    sections = [*(part(results) for part in parts), _pictures(pictures), _settings(results)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _percent(share: float | str) -> str:
    """A share in per cent; asked false-positive rates are strings, being keys of JSON."""
    return f"{100 * float(share):.1f} %"


def _summary(results: Results) -> str:
    model, dataset = results["model"], results["dataset"]
    chosen = "drawn at random" if results["shuffle"] else "the first that the model gets right"
    splits = ", ".join(f"{count} {name}" for name, count in results["splits"].items())
    return (
        f"# Attack as Defense on {dataset}\n\n"
        f"Model `{model['name']}`, test accuracy {model['test_accuracy']:.4f}, on {dataset}.  \n"
        f"At most {results['limit']} images per type of input, {chosen}; benign images split into "
        f"{splits}; seed {results['seed']}.\n\n{answer(results)}"
    )


def _cells(results: Results, rows: Mapping[str, Row], show: Callable[[Cell, bool], str]) -> str:
    """Detectors by threats; `show` writes a cell; it is given whether the cell is the best."""
    lines = [
        [name, price(results["passes"].get(name)), *(
            show(row[name], name in best_of(row)) if name in row else DASH for row in rows.values()
        )]
        for name in measured(results, rows)
    ]
    return to_markdown(["detector", "passes", *rows], lines)


def _auroc_cell(cell: Cell, best: bool) -> str:
    lower, upper = cell["auroc_ci95"]
    value = f"**{cell['auroc']:.4f}**" if best else f"{cell['auroc']:.4f}"
    optional = optional_of(cell)
    beside = f" ({', '.join(optional)})" if optional else ""
    return f"{value} [{lower:.3f}, {upper:.3f}]{beside}"


def _detection(results: Results) -> str:
    rows: Mapping[str, Row] = results["cells"]
    columns = "\n".join(f"- `{name}`: {text}" for name, text in results["columns"].items())
    verdicts = "\n".join(f"- {_verdict(results, threat, row)}" for threat, row in rows.items())
    return (
        "## Detection\n\n"
        "AUROC: how often a random adversarial input scores above a random benign one; 0.5 is "
        "chance, 1 is perfect. Bold is the highest of a threat, brackets are the 95 % bootstrap "
        "interval. Beside them stands, for baselines, the AUROC where noisy images count as benign "
        "too, as their authors count, and the paper's figure, measured on another model and "
        "another sample. Passes are forward passes + gradients per benign image, besides the one "
        "that gives its label.\n\n"
        f"{_cells(results, rows, _auroc_cell)}\n\n{verdicts}\n\nDetectors:\n\n{columns}"
    )


def _verdict(results: Results, threat: str, row: Row) -> str:
    """One sentence: the best detector, whether it is a baseline, and what comes close."""
    best = best_of(row)
    if not best:
        return f"`{threat}`: nothing was measured."
    article = {name: "a" if name in results["baselines"] else "not a" for name in best}
    winners = " and ".join(f"`{name}` ({article[name]} baseline)" for name in best)
    lowest = min(row[name]["auroc_ci95"][0] for name in best)
    close = [name for name, cell in row.items() if cell["auroc_ci95"][1] >= lowest]
    rivals = ", ".join(f"`{name}`" for name in close if name not in best)
    order = (
        f"the interval overlaps with that of {rivals}, so their order is uncertain"
        if rivals else "the interval of no other detector overlaps"
    )
    return f"`{threat}`: highest is {winners} with {row[best[0]]['auroc']:.4f}; {order}."


def _true_positives(results: Results) -> str:
    rows: Mapping[str, Row] = results["cells"]
    asked = [cell["tpr_at_fpr"] for row in rows.values() for cell in row.values()]
    if not asked:
        return ""
    rates = sorted(asked[0], key=float)

    def show(cell: Cell, _: bool) -> str:
        return " / ".join(f"{100 * cell['tpr_at_fpr'][rate]:.1f}" for rate in rates)

    return (
        "## Detected at a fixed false-positive rate\n\n"
        "Share of adversarial inputs detected, in per cent, when "
        f"{' / '.join(map(_percent, rates))} of the benign test images may be flagged. The "
        "threshold is set on those same images, so this describes the scores; for thresholds set "
        "beforehand see below.\n\n" + _cells(results, rows, show)
    )


def _unseen(results: Results) -> str:
    rows: Mapping[str, Row] = results.get("unseen", {})
    if not rows:
        return ""
    return (
        "## Threats not seen in fitting\n\n"
        "AUROC of the detectors that learn from adversarial inputs, fitted on the other threats "
        "only. Detectors that learn from benign images alone are not here: for them every "
        "threat is unseen.\n\n" + _cells(results, rows, _auroc_cell)
    )


def _threats(results: Results) -> str:
    lines = [
        [name, str(threat["crafted"]), _percent(threat["success_rate"]), str(threat["tested"]),
         f"`{results['settings']['threats'].get(name, DASH)}`"]
        for name, threat in results["threats"].items()
    ]
    return (
        "## Threats\n\n"
        "How many inputs each threat crafted, the share of them that fooled the model, and how "
        "many were tested.\n\n"
        + to_markdown(["threat", "crafted", "success rate", "tested", "setting"], lines)
        + "\n\n" + invalid_images(results["cells"])
    ).rstrip()


def _costs(results: Results) -> str:
    lines = [
        [attack, kind, str(cost["n"]), f"{cost['median']:g}",
         " to ".join(f"{quartile:g}" for quartile in cost["quartiles"]), _percent(cost["at_cap"])]
        for attack in results["settings"]["attacks"]
        for kind, costs in results["costs"].items() if (cost := costs.get(attack))
    ]
    return (
        "## Attack costs\n\n"
        "Iterations that each attack needs to change the model's answer. A cost at the cap is "
        "censored: the attack gave up, and the true cost is unknown.\n\n"
        + to_markdown(["attack", "input", "n", "median", "quartiles", "at the cap"], lines)
    )


def _false_positives(results: Results) -> str:
    measured: Mapping[str, Mapping[str, float]] = results["false_positive_rate"]
    if not measured:
        return ""
    rates = sorted(next(iter(measured.values())), key=float)
    lines = [[name, *(_percent(row[rate]) for rate in rates)] for name, row in measured.items()]
    return (
        "## False positives: asked and measured\n\n"
        "Each threshold was calibrated for the rate asked at the head of the column, on the "
        "calibration images; the cell is the rate then measured on the benign test images.\n\n"
        + to_markdown(["detector", *(f"asked {_percent(rate)}" for rate in rates)], lines)
    )


def _pictures(pictures: Sequence[tuple[str, str]]) -> str:
    shown = "\n\n".join(f"**{title}**\n\n![{title}](<{path}>)" for title, path in pictures)
    return f"## Pictures\n\n{shown}" if pictures else ""


def _settings(results: Results) -> str:
    attacks = [[name, f"`{value}`"] for name, value in results["settings"]["attacks"].items()]
    detectors = [[name, f"`{value}`"] for name, value in results["settings"]["detectors"].items()]
    seconds = [[name, f"{value:.1f}"] for name, value in results["seconds"].items()]
    return (
        "## Settings\n\n"
        f"Model SHA-256 `{results['model']['sha256']}`, seed {results['seed']}.\n\n"
        "The attacks that measure costs:\n\n" + to_markdown(["attack", "setting"], attacks)
        + "\n\nThe detectors:\n\n" + to_markdown(["detector", "setting"], detectors)
        + "\n\nVersions:\n\n" + to_markdown(["package", "version"], results["versions"].items())
        + "\n\nWall-clock time of each step:\n\n" + to_markdown(["step", "seconds"], seconds)
    )
