"""Pictures of measurements: points, boxes and matrices, a panel for each dataset or attack.

As in `plots`, every function writes one PNG, completely or not at all.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from a2d_tf.plots import ADVERSARIAL, BENIGN, PALETTE, save

Values = NDArray[np.floating[Any]]
_COLUMNS = 4
_MARKERS = "os^"  # another when the colours are used up


class Axis(NamedTuple):
    """What an axis shows, and whether on a logarithmic scale."""

    label: str
    log: bool = False


def scatter(
    panels: Mapping[str, Mapping[str, tuple[Values, Values]]],
    x: Axis,
    y: Axis,
    path: str | os.PathLike[str],
) -> None:
    """Draws points, a colour per kind.

    Args:
      panels: title -> kind -> the coordinates of its points, [N] each.
      x, y: the axes.
      path: the PNG to write.
    """
    figure, grid = _grid(len(panels), 2, (5.4, 4.2))
    for axes, (title, kinds) in zip(grid, panels.items()):
        for index, (kind, (across, up)) in enumerate(kinds.items()):
            axes.scatter(across, up, s=14, color=PALETTE[index % len(PALETTE)], label=kind,
                         alpha=0.8, linewidths=0)
        axes.set_title(title)
        _show(axes, x, y)
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    save(figure, path)


def boxes(
    panels: Mapping[str, Mapping[str, Values]], y: Axis, path: str | os.PathLike[str]
) -> None:
    """Draws box plots: quartiles, and whiskers from the 5th to the 95th percentile.

    Args:
      panels: title -> kind, "benign" among them -> values [N].
      y: the axis of the values.
      path: the PNG to write.
    """
    figure, grid = _grid(len(panels), _COLUMNS, (2.9, 3.0))
    for axes, (title, kinds) in zip(grid, panels.items()):
        drawn = axes.boxplot(
            list(kinds.values()), widths=0.6, whis=(5, 95), showfliers=False, patch_artist=True,
            medianprops={"color": "black", "linewidth": 1.5},
        )
        for kind, box in zip(kinds, drawn["boxes"]):
            box.set_facecolor(BENIGN if kind == "benign" else ADVERSARIAL)
        axes.set_title(title)
        _show(axes, Axis(""), y)
        axes.set_xticks(range(1, len(kinds) + 1), list(kinds))
        axes.grid(axis="y", color="0.92")
        axes.set_axisbelow(True)
    save(figure, path)


def matrices(
    panels: Mapping[str, Values], names: Sequence[str], path: str | os.PathLike[str]
) -> None:
    """Draws square matrices of numbers from 0 to 1, each in its cell.

    Args:
      panels: title -> values [n,n].
      names: n of the rows, and of the columns.
      path: the PNG to write.
    """
    side = 1.6 + 0.52 * len(names)
    figure, grid = _grid(len(panels), 2, (side, side))
    for axes, (title, values) in zip(grid, panels.items()):
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
    unbeaten: Sequence[str],
    x: Axis,
    y: Axis,
    path: str | os.PathLike[str],
) -> None:
    """Draws named points, of which less of `x` and more of `y` is better.

    Args:
      points: name -> its coordinates.
      unbeaten: those that no other beats in both, drawn full; a line joins them.
      x, y: the axes.
      path: the PNG to write.
    """
    figure, (axes,) = _grid(1, 1, (6.4, 4.0))
    axes.plot(*zip(*sorted(points[name] for name in unbeaten)), color="0.6", linewidth=1,
              linestyle="--", label="unbeaten")
    for index, (name, point) in enumerate(points.items()):
        colour = PALETTE[index % len(PALETTE)]
        marker = _MARKERS[index // len(PALETTE) % len(_MARKERS)]
        axes.plot(*point, marker, color=colour, fillstyle="full" if name in unbeaten else "none",
                  label=name)
    _show(axes, x, y)
    axes.margins(0.08)
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    figure.legend(loc="outside right upper", frameon=False)
    save(figure, path)


def _show(axes: Axes, x: Axis, y: Axis) -> None:
    """Labels both axes; the numbers of a logarithmic one are written out."""
    axes.set(
        xlabel=x.label, ylabel=y.label,
        xscale="log" if x.log else "linear", yscale="log" if y.log else "linear",
    )
    for axis, shown in ((axes.xaxis, x), (axes.yaxis, y)):
        if shown.log:
            least, most = axis.get_data_interval()
            subs = (1, 2, 5) if most > 10 * least else range(1, 10)
            axis.set_major_locator(LogLocator(subs=subs))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter(NullFormatter())


def _grid(count: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, each of a size in inches.

    Raises:
      ValueError: none at all.
    """
    if not count:
        raise ValueError("expected at least one panel, got none")
    across = min(columns, count)
    down = -(-count // across)
    figure = Figure(figsize=(size[0] * across, size[1] * down), layout="constrained")
    grid = list(figure.subplots(down, across, squeeze=False).flat)
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]
