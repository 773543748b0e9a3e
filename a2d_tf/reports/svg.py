"""What charts are made of: lines, texts and scales in SVG.

Colours are classes (`c0` to `c5`) that the page defines for light and dark screens; dashes tell
curves apart without colours.
"""

import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup

COLOURS = 6
WIDTH, HEIGHT = 400, 260
LINE_HEIGHT = 15
CHARACTER = 7.2  # the usual width of one, in the units of the chart
DASHES = ("", "7 3", "2 3", "10 3 2 3")

Place = Callable[[float], float]  # from a value to a coordinate


class Chart(NamedTuple):
    """A chart: SVG that says in its title what it shows, and a caption below."""

    svg: Markup
    caption: str


def canvas(title: str, height: float = HEIGHT) -> ET.Element:
    root = ET.Element("svg", {
        "xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {height:g}",
        "role": "img", "aria-label": title,
    })
    ET.SubElement(root, "title").text = title
    return root


def markup(root: ET.Element) -> Markup:
    return Markup(ET.tostring(root, encoding="unicode"))  # ElementTree has escaped all texts


def line(root: ET.Element, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
    ends = zip(("x1", "y1", "x2", "y2"), (x1, y1, x2, y2), strict=True)
    ET.SubElement(root, "line", {k: f"{v:.1f}" for k, v in ends} | {"class": kind})


def text(root: ET.Element, x: float, y: float, text: str, kind: str, anchor: str) -> None:
    ET.SubElement(root, "text", {
        "x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "class": kind,
    }).text = text


def scale(low: float, high: float, start: float, end: float, *, log: bool = False) -> Place:
    """From values to coordinates; values outside are moved to the ends."""
    to = math.log10 if log else float
    first, last = to(low), to(high)

    def place(value: float) -> float:
        inside = to(min(max(value, low), high))
        share = (inside - first) / (last - first) if last > first else 0.5
        return start + share * (end - start)

    return place


def joined(coordinates: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in coordinates)


def spread_out(heights: Sequence[float], top: float, bottom: float) -> list[float]:
    """Heights of labels that do not overlap, as near as possible to those of their curves."""
    placed = list(heights)
    order = sorted(range(len(placed)), key=placed.__getitem__)
    free = top
    for one in order:
        placed[one] = max(placed[one], free)
        free = placed[one] + LINE_HEIGHT
    free = bottom
    for one in reversed(order):
        placed[one] = min(placed[one], free)
        free = placed[one] - LINE_HEIGHT
    return placed


def thinned(
    values: Sequence[float], place: Place, apart: float = 36, always: Sequence[float] = ()
) -> list[float]:
    """As many of the values as have room for a number each."""
    kept = list(always)
    for value in values:
        if all(abs(place(value) - place(one)) >= apart for one in kept):
            kept.append(value)
    return kept


def shortened(name: str, room: float) -> str:
    """As much of a name as fits."""
    fits = max(int(room / CHARACTER), 3)
    return name if len(name) <= fits else name[:fits - 1] + "…"
