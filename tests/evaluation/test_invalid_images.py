"""Images that cannot be judged count as flagged in a comparison, as in `A2D.predict`."""

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D
from a2d_tf.attacks import BIM
from a2d_tf.classifiers import Classifier
from a2d_tf.evaluation import summary
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.experiment_images import BENIGN
from a2d_tf.evaluation.methods import Scorer, baseline, cost_methods, invalid
from a2d_tf.evaluation.splits import TEST
from a2d_tf.features import AttackCost
from a2d_tf.images.spec import Bounds
from a2d_tf.reports.progress import NullProgress
from a2d_tf.storage.stages import Stages
from a2d_tf.threats import FGSM
from a2d_tf.zoo.datasets import Dataset

SILENT = NullProgress()
WEIGHTS = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
ATTACK = BIM(eps=0.35, step=0.005, max_iterations=100)


class Saturated(tf.Module):
    """Its logits have no gradient where the last pixel is above 0.9."""

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(images, (-1, 9))
        logits = tf.tanh(flat @ WEIGHTS)
        return tf.where(flat[:, -1:] > 0.9, tf.stop_gradient(logits), logits)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExperimentData:
    images = np.random.default_rng(1).uniform(0.1, 0.5, (240, 3, 3, 1)).astype(np.float32)
    images[5::40, -1, -1] = 0.95
    classifier = Classifier(
        Saturated(), bounds=Bounds(0, 1), input_shape=(3, 3, 1), probabilities=False
    )
    labels = classifier.predict(images)
    return ExperimentData(
        classifier, {"model": "saturated"}, Dataset(images, labels, images, labels),
        {"fgsm": FGSM(eps=0.2)},
        {"bim": AttackCost(attack=ATTACK)}, limit=40, slow_limits={}, shuffle=None,
        stages=Stages(tmp_path_factory.mktemp("work")), progress=SILENT,
    )


@pytest.mark.parametrize("name", ["bim", "ensemble_zscore", "ensemble_logistic"])
def test_they_have_the_largest_score(data: ExperimentData, name: str) -> None:
    benign = data.samples(BENIGN, TEST).images
    saturated = benign[:, -1, -1, 0] > 0.9
    assert saturated.any()
    scores = Scorer(cost_methods(data)[name], data).scores(["fgsm"])
    np.testing.assert_array_equal(invalid(scores[BENIGN]), saturated)
    cell = summary.cell(scores, "fgsm", None)
    assert cell["invalid"] == [saturated.sum(), invalid(scores["fgsm"]).sum()]
    # Benign images that are flagged whatever the threshold are false positives.
    assert summary._flagged(scores, 0.05)[saturated].all()


def test_scores_are_those_of_a2d(data: ExperimentData) -> None:
    images = data.samples(BENIGN, TEST).images
    scores = Scorer(cost_methods(data)["bim"], data).scores(["fgsm"])[BENIGN]
    with pytest.warns(UserWarning, match="cannot be judged"):
        a2d = A2D(data.classifier, [ATTACK], "threshold").fit(images)
    np.testing.assert_array_equal(a2d.score(images), scores)


def test_a_feature_without_gradients_measures_them(data: ExperimentData) -> None:
    margin = baseline("margin", 0)
    data.set_features({"bim": AttackCost(attack=ATTACK)}, margin.features)
    scores = Scorer(margin, data).scores(["fgsm"])
    assert not invalid(scores[BENIGN]).any()


def test_costs_are_those_of_the_paper(data: ExperimentData) -> None:
    images = data.samples(BENIGN, TEST).images
    costs = data.costs(BENIGN, TEST, ["bim"])[:, 0]
    assert costs.dtype == np.int32
    assert (costs[images[:, -1, -1, 0] > 0.9] == ATTACK.max_iterations).all()
    assert (costs >= 0).all()
