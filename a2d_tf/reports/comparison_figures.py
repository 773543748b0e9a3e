"""Figures of a comparison: ROC curves, attack costs, figures beside each other, and images.

Every function writes one PNG, whole or not at all.
"""

import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from a2d_tf.reports.axes import ADVERSARIAL, BENIGN, PALETTE, panels, save

FloatArray = NDArray[np.floating[Any]]
# Title -> name -> our figure and the paper's, None where there is none.
Panels = Mapping[str, Mapping[str, tuple[float, float | None]]]
CostArray = NDArray[np.integer[Any] | np.floating[Any]]

_LINE_STYLES = ("-", "--", ":", "-.")
_CAPTION_SIZE = 8
_CAPTION_CHARACTERS = 22  # as many fit on one line under an image


class ImageCaption(NamedTuple):
    """An image f32[H, W, C], C = 1 or 3, and the words under it."""

    image: FloatArray
    caption: str


def roc_curves(
    curves: Mapping[str, tuple[FloatArray, FloatArray]], title: str, path: str | os.PathLike[str]
) -> None:
    """Draws one ROC curve per detector, with its AUROC in the legend.

    Args:
      curves: detector -> (false-positive rates [P], true-positive rates [P]), as
        `metrics.roc` gives them.
      title: the heading.
      path: the PNG to write.
    """
    figure = Figure(figsize=(7.4, 5.2), layout="constrained")
    axes = figure.subplots()
    for index, (name, (fpr, tpr)) in enumerate(curves.items()):
        axes.plot(
            fpr,
            tpr,
            color=PALETTE[index % len(PALETTE)],
            # Curves of good detectors lie on each other: dashes let the lower ones show.
            linestyle=_LINE_STYLES[index % len(_LINE_STYLES)],
            linewidth=1.8,
            label=f"{name} ({np.trapezoid(tpr, fpr):.4f})",
        )
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--", label="chance (0.5)")
    axes.set(
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
        xlabel="false-positive rate",
        ylabel="true-positive rate",
        title=textwrap.fill(title, 60),
    )
    axes.set_aspect("equal")
    axes.grid(color="0.92")
    # Beside the axes, since no corner inside them is free for every detector.
    figure.legend(loc="outside right center", title="detector (AUROC)", frameon=False)
    save(figure, path)


def cost_boxes(
    costs: Mapping[str, Mapping[str, CostArray]],
    caps: Mapping[str, int],
    path: str | os.PathLike[str],
) -> None:
    """Draws the attack costs as box plots, a panel per attack (the paper's Figure 5).

    Boxes are quartiles, whiskers the 5th and 95th percentile. The axis is linear from 0 to 1
    and logarithmic above, since benign and adversarial costs differ by orders of magnitude. A cost
    whose cap is 1 is no count but a fraction of the pixel range, linear up to 1/1000.

    Args:
      costs: attack -> type of input ("benign" or a threat) -> costs i[N] in iterations.
      caps: attack -> its largest number of iterations.
      path: the PNG to write.

    Raises:
      ValueError: there is no attack, or an attack without a cap.
    """
    if not costs or costs.keys() - caps.keys():
        raise ValueError(
            f"expected at least one attack and a cap for each, got costs of {list(costs)} "
            f"and caps of {list(caps)}"
        )
    width = max(5.2, 1.2 + 0.65 * max(len(inputs) for inputs in costs.values()))
    figure, grid = panels(len(costs), 2, (width, 3.6), 0.9)
    for axes, (attack, inputs) in zip(grid, costs.items()):
        _cost_panel(axes, attack, inputs, caps[attack])
    figure.suptitle("Iterations that each attack needs\n(quartiles; whiskers 5–95 %)", fontsize=11)
    figure.legend(
        handles=[
            Patch(facecolor=BENIGN, edgecolor="black", label="benign"),
            Patch(facecolor=ADVERSARIAL, edgecolor="black", label="adversarial"),
            Line2D([], [], color="0.3", linestyle="--", label="cap, and share of inputs at it"),
        ],
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )
    save(figure, path)


def side_by_side(
    figures: Panels,
    quantity: str,
    path: str | os.PathLike[str],
    names: tuple[str, str] = ("ours", "paper"),
) -> None:
    """Draws two sets of figures beside each other, a panel per table row.

    Args:
      figures: title -> name -> our figure and the paper's, None where there is none.
      quantity: what the figures are.
      path: the PNG to write.
      names: of the sets.

    Raises:
      ValueError: there is no panel.
    """
    figure, grid = panels(len(figures), 2, (6.2, 3.0), 0.6)
    for axes, (title, pairs) in zip(grid, figures.items()):
        places = range(len(pairs))
        for index, (label, marker, colour) in enumerate(
            ((names[0], "o", ADVERSARIAL), (names[1], "_", "black"))
        ):
            known = [(x, pair[index]) for x, pair in zip(places, pairs.values())]
            points = [(x, value) for x, value in known if value is not None]
            axes.plot(
                [x for x, _ in points], [value for _, value in points], marker,
                color=colour, markersize=9, markeredgewidth=2, label=label,
            )
        axes.set_xticks(places, list(pairs), rotation=35, ha="right", rotation_mode="anchor")
        axes.set(title=title, ylabel=quantity)
        axes.grid(axis="y", color="0.92")
        axes.set_axisbelow(True)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    save(figure, path)


def image_grid(
    rows: Mapping[str, Sequence[ImageCaption]],
    path: str | os.PathLike[str],
    *,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> None:
    """Draws pictures with captions, a row per type of input.

    Args:
      rows: type of input -> its pictures; rows may differ in length.
      path: the PNG to write.
      value_range: the pixel values drawn as black and as full brightness.

    Raises:
      ValueError: there is no picture, or one is not [H, W, 1] or [H, W, 3].
    """
    columns = max((len(pictures) for pictures in rows.values()), default=0)
    if columns == 0:
        raise ValueError("expected at least one picture, got none")
    lines = max(_wrapped(p.caption).count("\n") + 1 for row in rows.values() for p in row)
    height = 1.5 + 0.16 * lines
    figure = Figure(figsize=(0.4 + 1.55 * columns, height * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for cells, (name, pictures) in zip(grid, rows.items()):
        for axes, picture in zip(cells, pictures):
            _picture(axes, picture, value_range)
        for axes in cells[len(pictures):]:
            axes.set_axis_off()
        cells[0].set_ylabel(name, fontsize=10)
    save(figure, path)


def _cost_panel(axes: Axes, attack: str, inputs: Mapping[str, CostArray], cap: int) -> None:
    positions = range(1, len(inputs) + 1)
    boxes = axes.boxplot(
        list(inputs.values()),
        positions=list(positions),
        widths=0.6,
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        medianprops={"color": "black", "linewidth": 1.5},
    )
    for name, box in zip(inputs, boxes["boxes"]):
        box.set_facecolor(BENIGN if name == "benign" else ADVERSARIAL)
    axes.axhline(cap, color="0.3", linestyle="--", linewidth=1)
    for position, values in zip(positions, inputs.values()):
        axes.annotate(
            _share_at_cap(values, cap), (position, cap), (0, 3), textcoords="offset points",
            ha="center", va="bottom", fontsize=8,
        )
    linear = 1 if cap > 1 else 1e-3
    axes.set_yscale("symlog", linthresh=linear, linscale=0.5)
    axes.set_ylim(-0.25 * linear, cap * 2.5)
    axes.yaxis.set_major_formatter(FuncFormatter(
        lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"
    ))
    axes.set_xticks(positions, list(inputs), rotation=30, ha="right", rotation_mode="anchor")
    axes.set_title(f"{attack} (cap {cap:,})", fontsize=10)
    axes.set_ylabel("iterations" if cap > 1 else "fraction of the pixel range")
    axes.grid(axis="y", color="0.92")
    axes.set_axisbelow(True)


def _share_at_cap(costs: CostArray, cap: int) -> str:
    """The label over a box: empty if no cost is at the cap, never rounded to 0 otherwise."""
    if costs.size == 0:
        return "n = 0"
    share = float(np.mean(costs >= cap))
    if share == 0:
        return ""
    return "<1 %" if share < 0.01 else f"{100 * share:.0f} %"


def _picture(axes: Axes, picture: ImageCaption, value_range: tuple[float, float]) -> None:
    image = np.asarray(picture.image)
    if image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise ValueError(f"expected an image [H, W, 1] or [H, W, 3], got shape {image.shape}")
    lower, upper = value_range
    scaled = np.clip((image - lower) / (upper - lower), 0, 1)
    # imshow knows grey pictures as [H, W]; three equal channels need no special case.
    axes.imshow(np.broadcast_to(scaled, (*image.shape[:2], 3)), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(_wrapped(picture.caption), fontsize=_CAPTION_SIZE)


def _wrapped(caption: str) -> str:
    """The caption, its own line breaks kept, in lines no wider than a picture."""
    return "\n".join(textwrap.fill(line, _CAPTION_CHARACTERS) for line in caption.split("\n"))
