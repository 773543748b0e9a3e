"""Draws the pictures of the pages: python docs/draw_pictures.py

Both show real runs: of a small network on points of two dimensions, and of LeNet on the bundled
digits. It takes two minutes on one core.
"""

import sys
from pathlib import Path

import keras
import matplotlib
import numpy as np
from matplotlib import pyplot
from sklearn.datasets import make_moons

sys.path.insert(0, str(Path(__file__).parents[1]))
from a2d_tf import A2D, Bounds, Classifier, attacks, threats  # noqa: E402
from a2d_tf.zoo import load_dataset  # noqa: E402
from a2d_tf.zoo.training import train  # noqa: E402

PICTURES = Path(__file__).parent / "pictures"
BENIGN, ADVERSARIAL, LINE = "#56b4e9", "#e69f00", "#444444"  # told apart without red and green
STEP = 0.005
FIT = 200


def way(classifier: Classifier, point: np.ndarray) -> np.ndarray:
    """The points [n,2] that an attack visits from a point, to the first of another class."""
    found = [point]
    for count in range(1, 200):
        attack = attacks.BIM(eps=1.0, step=STEP, max_iterations=count)
        result = attack.run(classifier, point[None])
        found.append(result.adversarial[0])
        if result.success[0]:
            break
    return np.stack(found)


def draw_boundary(path: Path) -> None:
    """Two classes of points, the boundary, and the way of an attack from either kind of point."""
    keras.utils.set_random_seed(3)
    points, labels = make_moons(600, noise=0.12, random_state=3)
    points = ((points - [-1.5, -1.0]) / [4.0, 2.5]).clip(0, 1).astype(np.float32)
    model = keras.Sequential([
        keras.Input((2,)), keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(64, activation="relu"), keras.layers.Dense(2),
    ])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(points, labels, epochs=120, verbose=0)
    classifier = Classifier(model, Bounds(0, 1))
    benign = points[np.abs(points - [0.25, 0.68]).sum(axis=1).argmin()]
    adversarial = way(classifier, benign)[-1]

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    y, x = np.mgrid[0:1:300j, 0:1:300j]
    grid = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    logits = model.predict(grid, verbose=0)
    axes.contour(x, y, (logits[:, 1] - logits[:, 0]).reshape(x.shape), [0], colors=LINE)
    for label, marker in ((0, "o"), (1, "^")):
        axes.scatter(*points[labels == label].T, 10, "#cccccc", marker=marker)
    ways = ((benign, BENIGN, "benign"), (adversarial, ADVERSARIAL, "adversarial"))
    for start, colour, name in ways:
        steps = way(classifier, start)
        cost = len(steps) - 2
        axes.plot(*steps.T, ".-", color=colour, lw=1.5, markersize=4,
                  label=f"{name} point: cost {cost}")
        axes.plot(*start, marker="*", color=colour, markersize=17, markeredgecolor="black")
    axes.legend(loc="lower left")
    axes.set(title="The line is the boundary between the two classes", xticks=[], yticks=[])
    save(figure, path)


def draw_costs(path: Path) -> None:
    """Histograms of the costs of benign and adversarial digits, and the share that is flagged."""
    digits = load_dataset("digits")
    classifier = Classifier(train("lenet", digits, epochs=15))
    right = classifier.predict(digits.x_test) == digits.y_test
    images, labels = digits.x_test[right], digits.y_test[right]
    a2d = A2D(classifier, "bim-search").fit(images[:FIT], fpr=0.05)
    images, labels = images[FIT:], labels[FIT:]
    kinds = {"benign digits": images}
    for name, threat in (("C&W, the smallest change", threats.preset("cw")),
                         ("FGSM, a change of 30 %", threats.FGSM(eps=0.3))):
        crafted = threat.craft(classifier, images, labels)
        kinds[name] = crafted.images[crafted.success]

    figure, panels = pyplot.subplots(3, figsize=(7, 4), sharex=True, layout="constrained")
    bins = np.concatenate([[0], np.geomspace(1, 500, 28)])
    colours = (BENIGN, ADVERSARIAL, ADVERSARIAL)
    for axes, (name, some), colour in zip(panels, kinds.items(), colours, strict=True):
        found = a2d.predict(some)
        axes.hist(found.costs[:, 0], bins, color=colour, edgecolor="black", linewidth=0.4)
        flagged = f"{found.is_adversarial.mean():.0%} of {len(some)} flagged"
        axes.set_title(f"{name}: {flagged}", loc="left", fontsize=10)
        axes.set_yticks([])
    panels[-1].set_xscale("symlog", linthresh=1)
    panels[-1].set(xlim=(0, 520), xlabel="cost: iterations that the attack bim needs")
    panels[-1].set_xticks([0, 1, 10, 100, 500], ["0", "1", "10", "100", "500"])
    save(figure, path)


def save(figure: matplotlib.figure.Figure, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    print(path)


if __name__ == "__main__":
    matplotlib.use("agg")
    draw_boundary(PICTURES / "boundary.png")
    draw_costs(PICTURES / "costs-digits.png")
