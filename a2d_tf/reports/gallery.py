"""Pictures of images in pairs: originals, and below them what an attack made of them."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from a2d_tf.reports import axes

SIDE = 1.25  # of an image, in inches


class Pair(NamedTuple):
    """An image f32[H,W,C] in [0, 1], what became of it, and a caption below."""

    original: NDArray[np.floating[Any]]
    changed: NDArray[np.floating[Any]]
    caption: str


def pairs(figures: Mapping[str, Sequence[Pair]], path: str | os.PathLike[str]) -> None:
    """Draws two rows of images for each title, to one PNG file, whole or not at all.

    Args:
      figures: title -> pairs; a title without pairs says so.
      path: the PNG to write.

    Raises:
      ValueError: no title.
    """
    if not figures:
        raise ValueError("expected at least one row of images, got none")
    across = max(max(map(len, figures.values())), 3)
    figure = Figure(figsize=(SIDE * across, (2 * SIDE + 0.75) * len(figures)), layout="constrained")
    parts = figure.subfigures(len(figures), 1, squeeze=False)[:, 0]
    for part, (title, row) in zip(parts, figures.items(), strict=True):
        part.suptitle(title if row else f"{title}: none", fontsize=10)
        grid = part.subplots(2, across, squeeze=False)
        for one in grid.flat:
            one.set_axis_off()
        for column, pair in enumerate(row):
            _show(grid[0, column], pair.original)
            _show(grid[1, column], pair.changed)
            grid[1, column].set_title(pair.caption, fontsize=7, y=-0.32)
    axes.save(figure, path)


def _show(where: Axes, image: NDArray[np.floating[Any]]) -> None:
    """One channel is grey, and three are colours; of others the first is shown."""
    colours = image.ndim == 3 and image.shape[-1] == 3
    flat = image if colours or image.ndim == 2 else image[..., 0]
    where.imshow(np.clip(np.atleast_2d(flat), 0, 1), cmap="gray", vmin=0, vmax=1)


class Shown(NamedTuple):
    """An image f32[H,W,C] in [0, 1], or None where there is none, and a caption below."""

    image: NDArray[np.floating[Any]] | None
    caption: str


def grid(rows: Sequence[Sequence[Shown]], path: str | os.PathLike[str]) -> None:
    """Draws rows of images with captions to a PNG file, whole or not at all.

    Args:
      rows: the images of each row, from left to right.
      path: the PNG to write.

    Raises:
      ValueError: no image.
    """
    if not rows or not any(rows):
        raise ValueError("expected at least one image, got none")
    across = max(map(len, rows))
    figure = Figure(figsize=(SIDE * across, (SIDE + 0.35) * len(rows)), layout="constrained")
    places = figure.subplots(len(rows), across, squeeze=False)
    for one in places.flat:
        one.set_axis_off()
    for row, line in zip(places, rows, strict=True):
        for place, shown in zip(row, line):
            if shown.image is not None:
                _show(place, shown.image)
            place.set_title(shown.caption, fontsize=7, y=-0.3)
    axes.save(figure, path)
