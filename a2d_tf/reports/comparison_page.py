"""The results of a comparison as a page.

It reads the JSON-able `results` of a comparison and computes nothing new: `cells` is
threat -> column -> {"auroc", "auroc_ci95", "tpr_at_fpr", "published"}. A missing cell is shown
as a dash, a missing published figure is left out.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from a2d_tf.reports.comparison_charts import cost_histograms, few, roc_curves
from a2d_tf.reports.comparison_table import (
    DASH,
    Cell as Measured,
    Results,
    Row,
    answer,
    best_of,
    figure,
    invalid_images,
    measured,
    percent,
    price,
    ranking,
)
from a2d_tf.reports.detector_tables import success, with_benign_only
from a2d_tf.reports.page import Block, Cell, DataTable, Gallery, Page, Section, plain

NEITHER = Cell(DASH)
NAMED = 6  # detectors that a sentence names; more are counted


def page(
    results: Results, roc: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]],
    costs: Mapping[str, Mapping[str, ArrayLike]], caps: Mapping[str, float],
    galleries: Sequence[Gallery],
) -> Page:
    """The page.

    Args:
      results: what a comparison wrote.
      roc: threat -> detector -> false-positive and true-positive rates [P].
      costs: attack -> type of input -> costs [N].
      caps: attack -> its largest cost.
      galleries: images that the best detector detects and misses.
    """
    model = results["model"]
    chosen = "drawn at random" if results["shuffle"] else "the first that the model gets right"
    splits = ", ".join(f"{count} {name}" for name, count in results["splits"].items())
    drawn = few(results)
    charts: list[Block] = [
        roc_curves(threat, {name: lines[name] for name in drawn if name in lines})
        for threat, lines in roc.items() if any(name in lines for name in drawn)
    ]
    shown = [cost_histograms(attack, kinds, caps[attack]) for attack, kinds in costs.items()]
    sections = [
        Section("Detectors", [_main_table(results), *_verdicts(results)]),
        Section("ROC curves", charts),
        Section("What attacks cost", [COSTS, *shown, _cost_table(results)]),
        Section("Detected and missed", [GALLERY.format(ranking(results).best), *galleries]),
        Section("Each threat in full", _threat_tables(results), folded=True),
        Section("Threats not seen in fitting", _unseen(results), folded=True),
        Section("False positives, asked and measured", _false_positives(results), folded=True),
        Section("Settings, versions and times", _settings(results), folded=True),
    ]
    return Page(
        title=f"Attack as Defense on {results['dataset']}", answer=answer(results),
        about=(
            f"Model {model['name']}, test accuracy {model['test_accuracy']:.4f}, on "
            f"{results['dataset']}. At most {results['limit']} images per type of input, {chosen}; "
            f"benign images split into {splits}; seed {results['seed']}."
        ),
        sections=[section for section in sections if section.blocks],
    )


COSTS = (
    "Iterations that each attack needs to change the model's answer. A cost at the cap means that "
    "the attack gave up: the true cost is larger."
)
GALLERY = (
    "Images that {} flags, and images that it does not, with the threshold at which 5 % of the "
    "benign test images are flagged. The first ones of each kind are shown, with their costs."
)


def _auroc(cell: Measured | None, best: bool) -> Cell:
    if cell is None:
        return NEITHER
    lower, upper = cell["auroc_ci95"]
    return Cell(f"{cell['auroc']:.4f}", cell["auroc"], best, f"{lower:.3f} to {upper:.3f}")


def _passes(results: Results, name: str) -> Cell:
    passes = results["passes"].get(name)
    return Cell(price(passes), passes and float(passes["queries"] + passes["gradients"]))


def _main_table(results: Results) -> DataTable:
    """A row per detector: its price, and AUROC and shares detected for each threat."""
    rows: Mapping[str, Row] = results["cells"]
    means = ranking(results).means
    rates = [rate for rate in _rates(rows) if float(rate) in (0.01, 0.05)]
    detected = {
        (name, rate): float(np.mean([row[name]["tpr_at_fpr"][rate] for row in rows.values()]))
        for name in means for rate in rates
    }
    highest = {rate: max((detected[name, rate] for name in means), default=0) for rate in rates}
    lines = []
    for name in measured(results, rows):
        mean = means.get(name)
        line = [
            Cell(name),
            NEITHER if mean is None else Cell(f"{mean:.4f}", mean, mean == max(means.values())),
        ]
        for rate in rates:
            share = detected.get((name, rate))
            line.append(
                NEITHER if share is None else Cell(percent(share), share, share == highest[rate])
            )
        learns = "benign images" if name in results["benign_only"] else "both kinds"
        lines.append([
            *line, _passes(results, name),
            *(_auroc(row.get(name), name in best_of(row)) for row in rows.values()), Cell(learns),
        ])
    header = [
        "detector", "mean AUROC", *(f"detected at {100 * float(rate):g} % FPR" for rate in rates),
        "passes per image", *(f"AUROC, {threat}" for threat in rows), "learns from",
    ]
    caption = (
        "AUROC: how often a random adversarial input scores above a random benign one; 0.5 is "
        "chance, 1 is perfect. Below it stands the 95 % bootstrap interval. Detected: share of the "
        "adversarial inputs that are flagged when the given share of benign images may be (FPR), "
        "the mean over the threats. Passes: forward passes + gradients per benign image, besides "
        "the one that gives its label. Bold is the best of a column. A click on a title sorts."
    )
    return DataTable(caption, header, lines)


def _rates(rows: Mapping[str, Row]) -> list[str]:
    cells = [cell for row in rows.values() for cell in row.values()]
    return sorted({rate for cell in cells for rate in cell["tpr_at_fpr"]}, key=float)


def _verdicts(results: Results) -> list[str]:
    """A sentence per threat: the best detector, whether it is a baseline, and what comes close."""
    return [
        *(_verdict(results, threat, row) for threat, row in results["cells"].items()),
        *filter(None, [invalid_images(results["cells"])]),
    ]


def _verdict(results: Results, threat: str, row: Row) -> str:
    best = best_of(row)
    if not best:
        return f"{threat}: nothing was measured."
    article = {name: "a" if name in results["baselines"] else "not a" for name in best}
    winners = " and ".join(f"{name} ({article[name]} baseline)" for name in best)
    lowest = min(row[name]["auroc_ci95"][0] for name in best)
    rivals = [
        name for name, cell in row.items()
        if cell["auroc_ci95"][1] >= lowest and name not in best
    ]
    if not rivals:
        order = "the interval of no other detector overlaps"
    elif len(rivals) > NAMED:
        order = f"the intervals of {len(rivals)} others overlap with it, so the order is uncertain"
    else:
        order = (
            f"the interval overlaps with that of {', '.join(rivals)}, so their order is uncertain"
        )
    return f"{threat}: highest is {winners} with {row[best[0]]['auroc']:.4f}; {order}."


def _threat_tables(results: Results) -> list[Block]:
    """A table per threat with all that was measured, and what the threats are."""
    rows: Mapping[str, Row] = results["cells"]
    rates = _rates(rows)
    tables: list[Block] = [plain(
        "How many inputs each threat crafted, the share of them that fooled the model, and how "
        "many were tested.",
        ["threat", "crafted", "success rate", "tested", "setting"],
        [
            [name, str(threat["crafted"]), success(threat), str(threat["tested"]),
             results["settings"]["threats"].get(name, DASH)]
            for name, threat in results["threats"].items()
        ],
    )]
    for threat, row in rows.items():
        best = best_of(row)
        tables.append(DataTable(
            f"{threat}: AUROC with its 95 % interval, and shares detected. Noisy: the AUROC where "
            "noisy images count as benign too, as authors of baselines count. Paper: the published "
            "AUROC, measured on another model and another sample.",
            ["detector", "AUROC", *(f"at {percent(rate)} FPR" for rate in rates), "noisy",
             "paper"],
            [[
                Cell(name), _auroc(cell, name in best),
                *(Cell(percent(cell["tpr_at_fpr"][rate]), cell["tpr_at_fpr"][rate])
                  for rate in rates),
                *(Cell(figure(cell, key) or DASH, cell.get(key))
                  for key in ("auroc_noisy", "published")),
            ] for name, cell in row.items()],
        ))
    return tables


def _unseen(results: Results) -> list[Block]:
    if not results.get("unseen"):
        return []
    rows = with_benign_only(results["unseen"], results["cells"], results["benign_only"])

    def show(cell: Measured | None, best: bool) -> Cell:
        shown = _auroc(cell, best)
        if cell is None:
            return shown
        shares = " / ".join(percent(cell["tpr_at_fpr"][rate]) for rate in ("0.01", "0.05"))
        return shown._replace(note=f"{shown.note}; {shares}")

    return [DataTable(
        "AUROC with its 95 % interval, and the shares detected at 1 % / 5 % false positives. "
        "Detectors that learn from adversarial inputs were fitted on the other threats only; for "
        "those that learn from benign images alone, every threat is unseen.",
        ["detector", *rows],
        [[Cell(name), *(show(row.get(name), name in best_of(row)) for row in rows.values())]
         for name in measured(results, rows)],
    )]


def _cost_table(results: Results) -> DataTable:
    return plain("Costs on the test images.", [
        "attack", "input", "images", "median", "quartiles", "at the cap",
    ], [
        [attack, kind, str(cost["n"]), f"{cost['median']:g}",
         " to ".join(f"{quartile:g}" for quartile in cost["quartiles"]), percent(cost["at_cap"])]
        for attack in results["settings"]["attacks"]
        for kind, costs in results["costs"].items() if (cost := costs.get(attack))
    ])


def _false_positives(results: Results) -> list[Block]:
    rows: Mapping[str, Mapping[str, float]] = results["false_positive_rate"]
    if not rows:
        return []
    rates = sorted(next(iter(rows.values())), key=float)
    return [plain(
        "Each threshold was calibrated for the rate asked at the head of the column, on the "
        "calibration images; the cell is the rate then measured on the benign test images.",
        ["detector", *(f"asked {percent(rate)}" for rate in rates)],
        [[name, *(percent(row[rate]) for rate in rates)] for name, row in rows.items()],
    )]


def _settings(results: Results) -> list[Block]:
    settings = results["settings"]
    return [
        f"Model SHA-256 {results['model']['sha256']}, seed {results['seed']}.",
        plain("What the detectors are.", ["detector", "what it is", "setting"], [
            [name, text, settings["detectors"].get(name, DASH)]
            for name, text in results["columns"].items()
        ]),
        plain("The attacks that measure costs.", ["attack", "setting"],
              [[name, value] for name, value in settings["attacks"].items()]),
        plain("Versions.", ["package", "version"],
              [[name, value] for name, value in results["versions"].items()]),
        plain("Wall-clock time of each step.", ["step", "seconds"],
              [[name, f"{value:.1f}"] for name, value in results["seconds"].items()]),
    ]
