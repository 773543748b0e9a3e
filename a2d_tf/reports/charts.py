"""Charts as SVG: curves, histograms, bars and points, with direct labels in place of legends."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from a2d_tf.reports import svg
from a2d_tf.reports.axes import Axis

BINS = 30


class Line(NamedTuple):
    """A curve [n], and perhaps an interval around it."""

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


def curves(
    lines: Mapping[str, Line], x: Axis, y: Axis, title: str, caption: str, *,
    labels_at: str = "end", x_ticks: Sequence[float] = (), percent: bool = False,
) -> svg.Chart:
    """Draws curves of shares, 0 to 1, each labelled at one of its ends.

    Args:
      lines: name -> its curve; at most a handful can be told apart.
      x, y: the axes.
      title: what the chart shows, for those who cannot see it.
      caption: the words below.
      labels_at: "start" or "end" of the curves; the numbers of y stand at the other side.
      x_ticks: where the axis has numbers; the values of the curves if there are none.
      percent: whether x is written in per cent.
    """
    beside = 14 + svg.CHARACTER * max((len(name) for name in lines), default=0)
    beside = min(max(beside, 40.0), svg.WIDTH / 2.2)
    left, right = (beside, svg.WIDTH - 44.0) if labels_at == "start" else (44.0, svg.WIDTH - beside)
    top, bottom = 28.0, svg.HEIGHT - 44.0
    every = np.concatenate([np.asarray(line.x, float) for line in lines.values()])
    ticks = sorted(x_ticks or set(every.tolist()))
    lowest, highest = min(ticks), max(ticks)
    across = svg.scale(lowest, highest, left, right, log=x.log)
    up = svg.scale(0, 1, bottom, top)
    root = svg.canvas(title)
    for value in (0, 0.25, 0.5, 0.75, 1):
        svg.line(root, left, up(value), right, up(value), "grid")
        place = (right + 4, "start") if labels_at == "start" else (left - 4, "end")
        svg.text(root, place[0], up(value) + 4, f"{100 * value:g} %", "soft", place[1])
    side = (svg.WIDTH - 4, "end") if labels_at == "start" else (4, "start")
    svg.text(root, side[0], 12, y.label, "", side[1])
    for value in svg.thinned(ticks, across):
        svg.line(root, across(value), top, across(value), bottom, "grid")
        shown = f"{100 * value:g} %" if percent else f"{value:g}"
        svg.text(root, across(value), bottom + 15, shown, "soft", "middle")
    svg.text(root, (left + right) / 2, svg.HEIGHT - 10, x.label, "", "middle")
    heights = []
    for index, line in enumerate(lines.values()):
        points = [(across(a), up(b)) for a, b in _pairs(line.x, line.y)]
        if line.low is not None and line.high is not None:
            band = [(across(a), up(b)) for a, b in _pairs(line.x, line.low)] + [
                (across(a), up(b)) for a, b in _pairs(line.x, line.high)
            ][::-1]
            ET.SubElement(
                root, "polygon", {"points": svg.joined(band), "class": f"band {_colour(index)}"}
            )
        attributes = {"points": svg.joined(points), "class": f"curve {_colour(index)}"}
        if dash := svg.DASHES[index % len(svg.DASHES)]:
            attributes["stroke-dasharray"] = dash
        ET.SubElement(root, "polyline", attributes)
        heights.append(points[0 if labels_at == "start" else -1])
    spread = svg.spread_out([height for _, height in heights], top + 4, bottom)
    for index, (name, (at, height), free) in enumerate(zip(lines, heights, spread, strict=True)):
        edge, anchor = (left - 10, "end") if labels_at == "start" else (right + 10, "start")
        near = edge + (3 if anchor == "end" else -3)
        svg.line(root, at, height, near, free, f"leader {_colour(index)}")
        svg.text(root, edge, free + 4, svg.shortened(name, beside - 12), _colour(index), anchor)
    return svg.Chart(svg.markup(root), caption)


def histograms(
    values: Mapping[str, ArrayLike], cap: float, title: str, caption: str, *,
    plain: str = "benign",
) -> svg.Chart:
    """Draws a histogram for each kind of input, below each other on one axis.

    The bins grow with the values, since costs differ by orders of magnitude. Each histogram is
    scaled by its own highest bar.

    Args:
      values: kind -> values [N] from 0 to `cap`.
      cap: the largest value; it has a bin of its own. A cap of 1 is that of fractions.
      title: what the chart shows, for those who cannot see it.
      caption: the words below.
      plain: the kind with the first colour; the others have the second.
    """
    edges = _edges(cap)
    left, right, row, top = 84.0, svg.WIDTH - 96.0, 40.0, 6.0
    height = top + row * len(values) + 40
    across = svg.scale(0, len(edges) - 1, left, right)
    root = svg.canvas(title, height)
    for number, (kind, given) in enumerate(values.items()):
        array = np.asarray(given, np.float64)
        bottom = top + row * (number + 1)
        counts, _ = np.histogram(array, edges)
        highest = max(int(counts.max()), 1)
        for index in np.flatnonzero(counts).tolist():
            tall = max((row - 8) * counts[index] / highest, 1.0)
            ET.SubElement(root, "rect", {
                "x": f"{across(index) + .5:.1f}", "y": f"{bottom - tall:.1f}",
                "width": f"{across(1) - across(0) - 1:.1f}", "height": f"{tall:.1f}",
                "class": f"bar {'c0' if kind == plain else 'c1'}",
            })
        svg.line(root, left, bottom, right, bottom, "axis")
        svg.text(root, left - 6, bottom - 3, svg.shortened(kind, left - 8), "", "end")
        middle = f"median {np.median(array):.4g}" if len(array) else "none"
        svg.text(root, right + 6, bottom - 3, middle, "soft", "start")
    base = top + row * len(values)
    tick_bins = svg.thinned(range(len(edges) - 1), lambda one: across(one), 34, [0, len(edges) - 2])
    for one in tick_bins:
        value = edges[int(one)]
        shown = f"{value:,.0f}" if cap > 1 else f"{value:.2g}"
        svg.text(root, across(one + .5), base + 14, shown, "soft", "middle")
    svg.text(root, (left + right) / 2, base + 31, "cost, the cap at the right end", "", "middle")
    return svg.Chart(svg.markup(root), caption)


def bars(
    edges: Sequence[float], counts: Sequence[int], threshold: float | None, title: str, caption: str
) -> svg.Chart:
    """Draws one histogram, perhaps with a threshold.

    Args:
      edges: of the bins, [B + 1], increasing.
      counts: [B], at least one of them positive.
      threshold: marked by a dashed line; None for none.
      title: what the chart shows, for those who cannot see it.
      caption: the words below.
    """
    left, right, top, bottom = 16.0, svg.WIDTH - 16.0, 16.0, svg.HEIGHT - 44.0
    marked = edges[-1] if threshold is None else threshold
    low, high = min(edges[0], marked), max(edges[-1], marked)
    across = svg.scale(low, high, left, right)
    up = svg.scale(0, max(counts), bottom, top)
    root = svg.canvas(title)
    for start, end, count in zip(edges[:-1], edges[1:], counts, strict=True):
        if count:
            tall = max(bottom - up(count), 1.0)
            ET.SubElement(root, "rect", {
                "x": f"{across(start):.1f}", "y": f"{bottom - tall:.1f}",
                "width": f"{max(across(end) - across(start) - 1, 1):.1f}", "height": f"{tall:.1f}",
                "class": f"bar {'c1' if start >= marked else 'c0'}",
            })
    svg.line(root, left, bottom, right, bottom, "axis")
    if threshold is not None:
        mark = across(threshold)
        ET.SubElement(root, "polyline", {
            "points": svg.joined([(mark, top - 8), (mark, bottom)]), "class": "curve c5",
            "stroke-dasharray": svg.DASHES[1],
        })
    for value in svg.thinned(np.linspace(low, high, 5).tolist(), across, 48):
        svg.text(root, across(value), bottom + 15, f"{value:.3g}", "soft", "middle")
    svg.text(root, (left + right) / 2, svg.HEIGHT - 10, "score", "", "middle")
    return svg.Chart(svg.markup(root), caption)


def points(
    places: Mapping[str, tuple[float, float]], best: Sequence[str], x: Axis, y: Axis,
    title: str, caption: str,
) -> svg.Chart:
    """Draws named points on a logarithmic x axis; the best are full, and the others hollow.

    Args:
      places: name -> (x > 0, y).
      best: names of the points that no other beats.
      x, y: the axes.
      title: what the chart shows, for those who cannot see it.
      caption: the words below.
    """
    beside = min(14 + svg.CHARACTER * max(map(len, places)), svg.WIDTH / 2.2)
    left, right, top, bottom = 48.0, svg.WIDTH - beside, 28.0, svg.HEIGHT - 44.0
    xs, ys = zip(*places.values(), strict=True)
    across = svg.scale(min(xs) / 1.3, max(xs) * 1.3, left, right, log=True)
    low, high = min(ys), max(ys)
    margin = (high - low) * 0.08 or 0.05
    up = svg.scale(low - margin, high + margin, bottom, top)
    root = svg.canvas(title)
    for value in np.linspace(low, high, 4 if high > low else 1):
        svg.line(root, left, up(value), right, up(value), "grid")
        svg.text(root, left - 4, up(value) + 4, f"{value:.3f}", "soft", "end")
    for value in svg.thinned(sorted(set(xs)), across, 48):
        svg.line(root, across(value), top, across(value), bottom, "grid")
        svg.text(root, across(value), bottom + 15, f"{value:.2g}", "soft", "middle")
    svg.text(root, (left + right) / 2, svg.HEIGHT - 10, x.label, "", "middle")
    svg.text(root, 4, 12, y.label, "", "start")
    spread = svg.spread_out([up(b) for _, b in places.values()], top, bottom)
    for (name, (a, b)), free in zip(places.items(), spread, strict=True):
        colour = 0 if name in best else 5
        svg.line(root, across(a), up(b), right + 6, free, "grid")
        ET.SubElement(root, "circle", {
            "cx": f"{across(a):.1f}", "cy": f"{up(b):.1f}", "r": "5",
            "class": f"dot c{colour}" if name in best else f"curve c{colour}",
        })
        svg.text(root, right + 8, free + 4, svg.shortened(name, beside - 8), f"c{colour}", "start")
    return svg.Chart(svg.markup(root), caption)


def _colour(index: int) -> str:
    return f"c{index % svg.COLOURS}"


def _pairs(x: ArrayLike, y: ArrayLike) -> list[tuple[float, float]]:
    return list(zip(np.asarray(x, float).tolist(), np.asarray(y, float).tolist(), strict=True))


def _edges(cap: float) -> list[float]:
    """Edges of bins from 0 to the cap, which has a bin of its own."""
    if cap <= 1:
        return [0.0, *np.geomspace(1e-3, 1, BINS).tolist(), 1.0 + 1e-9]
    inner = np.unique(np.round(np.geomspace(1, cap, BINS)))
    return [0.0, *inner.tolist(), cap + 1.0]
