"""The plots write whole, readable PNGs and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from a2d_tf.reports import comparison_figures
from a2d_tf.reports.comparison_figures import ImageCaption

CURVES = {
    "bim": (np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0])),
    "kd": (np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.75, 1.0])),
}
COSTS = {
    "bim": {"benign": np.array([100, 200, 500, 500]), "fgsm": np.array([0, 1, 2, 3])},
    "jsma": {"benign": np.array([50, 60, 70]), "fgsm": np.array([], np.int32)},
    "dba": {"benign": np.append(np.full(999, 10), 5000), "fgsm": np.full(3, 5000)},
}
CAPS = {"bim": 500, "jsma": 2000, "dba": 5000}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """The figures that were saved, so that a test can read what they say."""
    saved: list[Figure] = []
    savefig = Figure.savefig

    def remember(figure: Figure, *args: Any, **kwargs: Any) -> None:
        saved.append(figure)
        savefig(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", remember)
    yield saved


def assert_only_picture(path: Path) -> None:
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    pixels = imread(path)
    assert pixels.shape[0] > 100 and pixels.shape[1] > 100
    assert pixels[..., :3].std() > 0.01  # not a blank page
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert edge.min() == 1.0, "something touches the edge of the page, so it may be clipped"


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


def test_roc_curves(tmp_path: Path, figures: list[Figure]) -> None:
    path = tmp_path / "roc.png"
    comparison_figures.roc_curves(CURVES, "fgsm on mnist: " + "a long title " * 8, path)
    assert_only_picture(path)
    legend = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert legend == ["bim (1.0000)", "kd (0.6250)", "chance (0.5)"]
    axes = figures[0].axes[0]
    assert axes.get_aspect() == 1.0
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), CURVES["kd"][1])


def test_roc_curves_stay_apart_by_colour_or_dashes(tmp_path: Path, figures: list[Figure]) -> None:
    curves = {f"detector_{index}": CURVES["kd"] for index in range(16)}
    comparison_figures.roc_curves(curves, "many", tmp_path / "roc.png")
    styles = {(line.get_color(), line.get_linestyle()) for line in figures[0].axes[0].lines[:-1]}
    assert len(styles) == len(curves)


def test_cost_boxes(tmp_path: Path, figures: list[Figure]) -> None:
    path = tmp_path / "costs.png"
    comparison_figures.cost_boxes(COSTS, CAPS, path)
    assert_only_picture(path)
    panels = {axes.get_title(): axes for axes in figures[0].axes}
    assert list(panels) == ["bim (cap 500)", "jsma (cap 2,000)", "dba (cap 5,000)"]
    assert texts(panels["bim (cap 500)"]) == ["50 %"]
    assert texts(panels["jsma (cap 2,000)"]) == ["n = 0"]
    assert texts(panels["dba (cap 5,000)"]) == ["<1 %", "100 %"]
    axes = panels["bim (cap 500)"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["benign", "fgsm"]
    medians = [float(np.asarray(line.get_ydata()).mean()) for line in axes.lines]
    assert 350 in medians and 1.5 in medians and 500 in medians  # two boxes and the cap


def test_cost_boxes_need_a_cap_for_every_attack(tmp_path: Path) -> None:
    message = "expected at least one attack and a cap for each, got costs of ['bim'] and caps of []"
    with pytest.raises(ValueError, match=re.escape(message)):
        comparison_figures.cost_boxes({"bim": COSTS["bim"]}, {}, tmp_path / "costs.png")
    assert not list(tmp_path.iterdir())


def test_image_grid(tmp_path: Path, figures: list[Figure]) -> None:
    grey = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8, 1)
    colour = np.zeros((8, 8, 3), np.float32)
    path = tmp_path / "grid.png"
    long = "predicted 3, costs bim 1, bim2 4, jsma 2"
    rows = {
        "benign": [ImageCaption(grey, "7"), ImageCaption(colour, long)],
        "fgsm": [ImageCaption(grey, "3\nbim 1")],
    }
    comparison_figures.image_grid(rows, path, value_range=(-1, 1))
    assert_only_picture(path)
    first, second, third, unused = figures[0].axes
    assert (first.get_ylabel(), second.get_ylabel(), third.get_ylabel()) == ("benign", "", "fgsm")
    assert third.get_xlabel() == "3\nbim 1"
    assert second.get_xlabel().replace("\n", " ") == long
    assert max(map(len, second.get_xlabel().split("\n"))) <= 22
    assert not unused.axison
    shown = first.images[0].get_array()
    assert shown is not None and shown.shape == (8, 8, 3)
    np.testing.assert_allclose(shown[..., 1], (grey[..., 0] + 1) / 2, atol=1e-6)


def test_image_grid_refuses_what_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "grid.png"
    with pytest.raises(ValueError, match="expected at least one picture, got none"):
        comparison_figures.image_grid({"benign": []}, path)
    flat = ImageCaption(np.zeros((8, 8)), "7")
    with pytest.raises(ValueError, match=r"expected an image .*, got shape \(8, 8\)"):
        comparison_figures.image_grid({"benign": [flat]}, path)
    assert not list(tmp_path.iterdir())


def test_failed_drawing_leaves_the_old_picture_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "roc.png"
    path.write_bytes(b"old")

    def fail(figure: Figure, file: Path, **_: Any) -> None:
        Path(file).write_bytes(b"half a picture")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        comparison_figures.roc_curves(CURVES, "fgsm", path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["roc.png"]
    assert path.read_bytes() == b"old"


def test_a_picture_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "roc.png"
    path.write_bytes(b"old")
    comparison_figures.roc_curves(CURVES, "fgsm", str(path))
    assert_only_picture(path)
