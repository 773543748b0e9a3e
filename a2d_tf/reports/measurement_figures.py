"""Figures of measurements: points, boxes and matrices, a panel for each dataset or attack.

Every function writes one PNG, whole or not at all.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2d_tf.reports.axes import ADVERSARIAL, BENIGN, PALETTE, Axis, label_axes, panels, save


class Curve(NamedTuple):
    """A line [n] and the interval around it."""

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


Values = NDArray[np.floating[Any]]
_COLUMNS = 4
_MARKERS = "os^"  # the next marker when all colours are used


def scatter(
    figures: Mapping[str, Mapping[str, tuple[Values, Values]]],
    x: Axis,
    y: Axis,
    path: str | os.PathLike[str],
) -> None:
    """Draws points, a colour per kind.

    Args:
      figures: title -> kind -> the coordinates of its points, [N] each.
      x, y: the axes.
      path: the PNG to write.
    """
    figure, grid = panels(len(figures), 2, (5.4, 4.2))
    for axes, (title, kinds) in zip(grid, figures.items()):
        for index, (kind, (across, up)) in enumerate(kinds.items()):
            axes.scatter(across, up, s=14, color=PALETTE[index % len(PALETTE)], label=kind,
                         alpha=0.8, linewidths=0)
        axes.set_title(title)
        label_axes(axes, x, y)
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    save(figure, path)


def boxes(
    figures: Mapping[str, Mapping[str, Values]], y: Axis, path: str | os.PathLike[str]
) -> None:
    """Draws box plots: quartiles, and whiskers from the 5th to the 95th percentile.

    Args:
      figures: title -> kind, "benign" among them -> values [N].
      y: the axis of the values.
      path: the PNG to write.
    """
    figure, grid = panels(len(figures), _COLUMNS, (2.9, 3.0))
    for axes, (title, kinds) in zip(grid, figures.items()):
        drawn = axes.boxplot(
            list(kinds.values()), widths=0.6, whis=(5, 95), showfliers=False, patch_artist=True,
            medianprops={"color": "black", "linewidth": 1.5},
        )
        for kind, box in zip(kinds, drawn["boxes"]):
            box.set_facecolor(BENIGN if kind == "benign" else ADVERSARIAL)
        axes.set_title(title)
        label_axes(axes, Axis(""), y)
        axes.set_xticks(range(1, len(kinds) + 1), list(kinds))
        axes.grid(axis="y", color="0.92")
        axes.set_axisbelow(True)
    save(figure, path)


def matrices(
    figures: Mapping[str, Values], names: Sequence[str], path: str | os.PathLike[str]
) -> None:
    """Draws square matrices of numbers from 0 to 1, each in its cell.

    Args:
      figures: title -> values [n,n].
      names: n of the rows, and of the columns.
      path: the PNG to write.
    """
    side = 1.6 + 0.52 * len(names)
    figure, grid = panels(len(figures), 2, (side, side))
    for axes, (title, values) in zip(grid, figures.items()):
        axes.imshow(values, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*values.shape):
            value = values[row, column]
            axes.text(column, row, f"{value:.3f}", ha="center", va="center", fontsize=7,
                      color="white" if value > 0.6 else "black")
        axes.set_xticks(range(len(names)), list(names), rotation=45, ha="right",
                        rotation_mode="anchor")
        axes.set_yticks(range(len(names)), list(names))
        axes.set_title(title)
    save(figure, path)


def trade_off(
    points: Mapping[str, tuple[float, float]],
    pareto_optimal: Sequence[str],
    x: Axis,
    y: Axis,
    path: str | os.PathLike[str],
) -> None:
    """Draws named points; a low `x` and a high `y` are good.

    Args:
      points: name -> its coordinates.
      pareto_optimal: the points that no other point beats in both, drawn full and joined by a
        line.
      x, y: the axes.
      path: the PNG to write.
    """
    figure, (axes,) = panels(1, 1, (6.4, 4.0))
    axes.plot(*zip(*sorted(points[name] for name in pareto_optimal)), color="0.6", linewidth=1,
              linestyle="--", label="Pareto-optimal")
    for index, (name, point) in enumerate(points.items()):
        colour = PALETTE[index % len(PALETTE)]
        marker = _MARKERS[index // len(PALETTE) % len(_MARKERS)]
        fill = "full" if name in pareto_optimal else "none"
        axes.plot(*point, marker, color=colour, fillstyle=fill, label=name)
    label_axes(axes, x, y)
    axes.margins(0.08)
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    figure.legend(loc="outside right upper", frameon=False)
    save(figure, path)


def curves(
    figures: Mapping[str, Mapping[str, Curve]],
    x: Mapping[str, Axis],
    y: Axis,
    path: str | os.PathLike[str],
) -> None:
    """Draws shares against a strength, a line per kind with its interval as a band.

    Args:
      figures: title -> kind -> its curve.
      x: title -> the axis of the strength.
      y: the axis of the shares.
      path: the PNG to write.
    """
    figure, grid = panels(len(figures), _COLUMNS, (3.4, 3.0))
    handles = {}
    for axes, (title, kinds) in zip(grid, figures.items()):
        for index, (kind, curve) in enumerate(kinds.items()):
            colour = PALETTE[index % len(PALETTE)]
            marker = _MARKERS[index // len(PALETTE) % len(_MARKERS)]
            handles[kind], = axes.plot(curve.x, curve.y, marker + "-", color=colour, label=kind)
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.12)
        axes.set_title(title)
        label_axes(axes, x[title], y)
        axes.set_ylim(-0.03, 1.03)
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
    figure.legend(
        handles.values(), handles, loc="outside lower center", ncols=min(len(handles), _COLUMNS),
        frameon=False,
    )
    save(figure, path)
