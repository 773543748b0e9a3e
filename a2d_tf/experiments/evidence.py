"""What detectors are judged on: benign and adversarial images in splits, and their costs."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.special
from numpy.typing import NDArray

from a2d_tf.attacks import Attack
from a2d_tf.classifier import Classifier, Labels
from a2d_tf.costs import CostTable, attack_costs
from a2d_tf.data import Dataset
from a2d_tf.directions import direction_costs
from a2d_tf.errors import InvalidInputError
from a2d_tf.experiments.store import Arrays, Store
from a2d_tf.pixels import Images
from a2d_tf.progress import Progress
from a2d_tf.threats import Threat

BENIGN = "benign"
FIT, CALIBRATION, TEST = "fit", "calibration", "test"
MIN_FIT = 100  # so that K = 100 neighbours are not simply all there are
MIN_CALIBRATION = 100  # enough to ask for a false-positive rate of 1 %


class Inputs(NamedTuple):
    """Inputs of one kind and split.

    Attributes:
      images: f32[N,H,W,C].
      source: i64[N], the benign image of the same split that each was made from.
      success_rate: share of the crafted images that were misclassified and so are here.
    """

    images: Images
    source: NDArray[np.int64]
    success_rate: float


class Effort(NamedTuple):
    """What an attack took for a set of inputs: queries, those with gradients, wall time."""

    queries: int
    gradients: int
    seconds: float


class Evidence:
    """Crafts, counts and keeps everything that the detectors of an experiment share.

    Only images that the classifier gets right are used, each in one split: `limit` to test on,
    half as many to fit, a quarter to calibrate, but 100 at least for either. An adversarial input
    is one that is misclassified; crafted images that are not do not count as adversarial.

    Args:
      classifier: the classifier under attack.
      model_key: names the classifier in the store.
      dataset: its test images are used.
      threats: the recipes for adversarial inputs, by name.
      attacks: the cost attacks, by name, in the order of the cost columns.
      limit: benign test images; fewer if the dataset does not have as many.
      first: of which split's images attacks count the first so many only, by name, because they
        are too slow for all; and of the adversarial images those that are made from these.
      shuffle: seed by which the images are drawn at random; None takes the first ones, as the
        paper does (section 5.1).
      store: where results are kept.
      progress: follows the stages.

    Raises:
      InvalidInputError: too few correctly classified images for the three splits.
    """

    def __init__(
        self,
        classifier: Classifier,
        model_key: str,
        dataset: Dataset,
        threats: Mapping[str, Threat],
        attacks: Mapping[str, Attack],
        *,
        limit: int,
        first: Mapping[str, int],
        shuffle: int | None,
        store: Store,
        progress: Progress,
    ):
        self.classifier = classifier
        self.threats = dict(threats)
        self.attacks = dict(attacks)
        self.first = dict(first)
        self.made_from = {
            "model": model_key, "dataset": dataset.fingerprint(), "limit": limit,
            "shuffle": shuffle,
        }
        self._dataset = dataset
        self.store = store
        self.progress = progress
        labels = self._predictions()
        correct = labels == dataset.y_test
        self.accuracy = float(correct.mean())
        self.splits = _split(np.flatnonzero(correct), limit, shuffle)

    def inputs(self, kind: str, split: str) -> Inputs:
        """Benign inputs, or a threat's successful adversarial ones, of a split.

        Raises:
          InvalidInputError: the threat never succeeded.
        """
        index = self.splits[split]
        if kind == BENIGN:
            images = self._dataset.x_test[index]
            return Inputs(images, np.arange(len(index)), 1.0)
        crafted = self._crafted(kind, split)
        source = np.flatnonzero(crafted["success"])
        if not len(source):
            raise InvalidInputError(
                f"expected {kind} to fool the classifier, got none misclassified out of "
                f"{len(index)} images; leave that threat out or raise the limit"
            )
        return Inputs(crafted["images"][source], source, float(crafted["success"].mean()))

    def shares(self, threats: Sequence[str]) -> dict[str, NDArray[np.intp]]:
        """Which rows of each threat's fit inputs are learnt from when several are pooled.

        Every threat contributes an equal share (paper, section 5.3.1), and so no benign image
        is paired twice.
        """
        count = len(threats)
        sources = {threat: self.inputs(threat, FIT).source for threat in threats}
        return {
            threat: np.flatnonzero(source % count == place)
            for place, (threat, source) in enumerate(sources.items())
        }

    def costs(self, kind: str, split: str, attacks: Sequence[str]) -> NDArray[np.int32]:
        """Costs i32[N,A] of the inputs of a kind and split.

        Where an attack counts a part of them only, the table ends with that part.
        """
        columns = [self._cost_column(kind, split, name) for name in attacks]
        count = min(map(len, columns))
        return np.stack([column[:count] for column in columns], axis=1)

    def effort(self, kind: str, split: str, name: str) -> Effort:
        """What an attack took for the inputs of a kind and split."""
        counts = self._counts(kind, split, name)
        return Effort(
            queries=int(counts["queries"].sum()),
            gradients=int(counts["gradients"].sum()),
            seconds=float(counts["seconds"]),
        )

    def directions(self, kind: str, split: str) -> NDArray[np.float32]:
        """First-order costs f32[N,D] of the inputs of a kind and split, in all directions."""
        images = self.inputs(kind, split).images

        def make() -> Arrays:
            title = f"direction costs of {kind} ({split})"
            with self.progress.stage(title, len(images)) as advance:
                return {"costs": direction_costs(self.classifier, images, on_finished=advance)}

        origin = self.origin(kind, split)
        return self.store.arrays(f"directions/{kind}/{split}", origin, make)["costs"]

    def confidence(self, split: str) -> NDArray[np.float64]:
        """The classifier's probability f64[N] of its label for the benign images of a split."""
        logits = self.classifier.logits(self._dataset.x_test[self.splits[split]])
        probabilities: NDArray[np.float64] = scipy.special.softmax(logits, axis=1).max(axis=1)
        return probabilities

    def _predictions(self) -> Labels:
        def make() -> Arrays:
            return {"labels": self.classifier.predict(self._dataset.x_test)}

        made_from = {name: self.made_from[name] for name in ("model", "dataset")}
        return self.store.arrays("predictions", made_from, make)["labels"]

    def _crafted(self, threat: str, split: str) -> Arrays:
        index = self.splits[split]
        images, truth = self._dataset.x_test[index], self._dataset.y_test[index]

        def make() -> Arrays:
            with self.progress.stage(f"craft {threat} ({split})", len(index)) as advance:
                crafted = self.threats[threat].craft(self.classifier, images, truth, advance)
            return crafted._asdict()

        return self.store.arrays(f"craft/{threat}/{split}", self.origin(threat, split), make)

    def _cost_column(self, kind: str, split: str, name: str) -> NDArray[np.int32]:
        if name in self.first:
            return self._first_costs(split, name)[kind]
        return self._counts(kind, split, name)["cost"]

    def _counts(self, kind: str, split: str, name: str) -> Arrays:
        images = self.inputs(kind, split).images
        made_from = self.origin(kind, split) | {"attack": repr(self.attacks[name])}

        def make() -> Arrays:
            start = time.perf_counter()
            table = self._counted(f"{name} cost of {kind} ({split})", name, images)
            return {
                "seconds": np.array(time.perf_counter() - start),
                "cost": table.costs[:, 0], "queries": table.queries[:, 0],
                "gradients": table.gradients[:, 0],
            }

        return self.store.arrays(f"cost/{name}/{kind}/{split}", made_from, make)

    def _first_costs(self, split: str, name: str) -> Arrays:
        """Costs by kind of the first inputs, all in one run: a few would leave its batch empty."""
        first = {}
        for kind in (BENIGN, *self.threats):
            images, source, _ = self.inputs(kind, split)
            first[kind] = images[source < self.first[name]]
            if not len(first[kind]):
                raise InvalidInputError(
                    f"expected {kind} to fool the classifier within the first {self.first[name]} "
                    f"images that {name} counts, got none; raise that number or the limit"
                )
        images = np.concatenate(list(first.values()))

        def make() -> Arrays:
            title = f"{name} cost of the first of all kinds ({split})"
            costs = self._counted(title, name, images).costs[:, 0]
            ends = np.cumsum([len(part) for part in first.values()])[:-1]
            return dict(zip(first, np.split(costs, ends)))

        made_from = self.made_from | {
            "split": split, "attack": repr(self.attacks[name]), "first": self.first[name],
            "threats": {threat: repr(recipe) for threat, recipe in self.threats.items()},
        }
        return self.store.arrays(f"cost/{name}/{split}", made_from, make)

    def _counted(self, title: str, name: str, images: Images) -> CostTable:
        with self.progress.stage(title, len(images)) as advance:
            attack = {name: self.attacks[name]}
            return attack_costs(self.classifier, images, attack, on_finished=advance)

    def origin(self, kind: str, split: str) -> dict[str, Any]:
        threat = None if kind == BENIGN else repr(self.threats[kind])
        return self.made_from | {"split": split, "threat": threat}


def _split(
    correct: NDArray[np.intp], limit: int, shuffle: int | None
) -> dict[str, NDArray[np.intp]]:
    available = (size for size in map(_sizes, range(limit, 0, -1)) if sum(size) <= len(correct))
    sizes = next(available, None)
    if sizes is None:
        raise InvalidInputError(
            f"expected at least {sum(_sizes(1))} correctly classified test images and a limit of "
            f"1, got {len(correct)} and {limit}; use a better classifier or more images"
        )
    if shuffle is not None:
        correct = np.random.default_rng(shuffle).permutation(correct)
    test, fit, calibration, _ = np.split(correct, np.cumsum(sizes))
    return {FIT: fit, CALIBRATION: calibration, TEST: test}


def _sizes(limit: int) -> tuple[int, int, int]:
    """Images to test, fit and calibrate on."""
    return limit, max(limit // 2, MIN_FIT), max(limit // 4, MIN_CALIBRATION)
