"""What all figures share: colours, panels, and how a figure becomes a file.

Figures are built without pyplot, so that no display is needed and threads do not share state.
"""

import os
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from a2d_tf.storage import files

# Okabe and Ito's colour-blind-safe palette, without the yellow that vanishes on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
BENIGN, ADVERSARIAL = "#56B4E9", "#E69F00"
DPI = 130


class Axis(NamedTuple):
    """The label of an axis, and whether its scale is logarithmic."""

    label: str
    log: bool = False


def panels(
    count: int, columns: int, size: tuple[float, float], extra_height: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """A figure with a number of panels.

    Args:
      count: the number of panels.
      columns: the largest number of panels beside each other.
      size: width and height of a panel in inches.
      extra_height: of the whole figure, for titles and legends.

    Raises:
      ValueError: no panel at all.
    """
    if not count:
        raise ValueError("expected at least one panel, got none")
    across = min(columns, count)
    down = -(-count // across)
    figure = Figure(
        figsize=(size[0] * across, size[1] * down + extra_height), layout="constrained"
    )
    grid = list(figure.subplots(down, across, squeeze=False).flat)
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]


def label_axes(axes: Axes, x: Axis, y: Axis) -> None:
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


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure to a PNG file, whole or not at all."""
    with files.replacing(path) as scratch:
        # "tight" makes the page larger if a long name would not fit on it.
        figure.savefig(scratch, format="png", dpi=DPI, bbox_inches="tight")
