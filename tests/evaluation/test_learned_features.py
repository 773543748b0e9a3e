"""Features that learn are fitted once for an experiment, whatever the threats."""

from pathlib import Path

import numpy as np
import pytest

from a2d_baselines import KD, LID
from a2d_tf import A2D, Classifier
from a2d_tf.detection.fitting import add_noise
from a2d_tf.evaluation.experiment_data import ExperimentData
from a2d_tf.evaluation.experiment_images import BENIGN
from a2d_tf.evaluation.methods import Scorer, baseline, noisy_type
from a2d_tf.evaluation.splits import FIT, TEST
from a2d_tf.features import Feature, FitData
from a2d_tf.reports.progress import NullProgress
from a2d_tf.storage.stages import Stages
from a2d_tf.threats import FGSM
from a2d_tf.zoo import load_dataset

pytestmark = pytest.mark.long
THREATS = {"near": FGSM(eps=0.2), "far": FGSM(eps=0.35)}


@pytest.fixture(scope="module")
def classifier(small_model: Path) -> Classifier:
    return Classifier.load(small_model)


@pytest.fixture(scope="module")
def data(classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> ExperimentData:
    return make(classifier, tmp_path_factory.mktemp("work"))


def make(classifier: Classifier, folder: Path) -> ExperimentData:
    """The data of an experiment with KD and LID on the digits."""
    return ExperimentData(
        classifier, {"model": "digits"}, load_dataset("digits"), THREATS,
        {"lid": LID(), "kd": KD()},
        limit=40, slow_limits={}, shuffle=None, noise_seed=3, stages=Stages(folder),
        progress=NullProgress(),
    )


def test_columns_are_those_of_the_feature(data: ExperimentData, classifier: Classifier) -> None:
    benign, crafted = data.samples(BENIGN, FIT), data.samples("near", FIT)
    fitted = LID().fit(classifier, FitData(
        benign.images, data.dataset.x_train, data.dataset.y_train
    ))
    test = data.samples("near", TEST).images
    np.testing.assert_array_equal(
        data.columns("near", TEST, ["lid"]), fitted.measure(classifier, test)
    )
    # An image of the fit has no say in its own distances.
    batches = list(classifier.batches(crafted.images, 128))
    expected = fitted.measure_fit_batches(classifier, batches, crafted.source_index)
    np.testing.assert_array_equal(data.columns("near", FIT, ["lid"]), expected)
    assert (data.columns(BENIGN, FIT, ["lid"]) != fitted.measure(classifier, benign.images)).any()


def test_noise_is_as_strong_as_its_threat_and_other_to_test(data: ExperimentData) -> None:
    for split, seed in ((FIT, 3), (TEST, 4)):
        benign, crafted = data.samples(BENIGN, split), data.samples("far", split)
        noisy = data.samples(noisy_type("far"), split)
        np.testing.assert_array_equal(noisy.source_index, crafted.source_index)
        np.testing.assert_array_equal(noisy.images, add_noise(
            benign.images[crafted.source_index], crafted.images, data.classifier.bounds, seed
        ))


def test_a_feature_is_fitted_once_and_kept(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[str] = []
    fit = KD.fit

    def counted(self: KD, classifier: Classifier, data: FitData) -> Feature:
        fits.append(self.name)
        return fit(self, classifier, data)

    monkeypatch.setattr(KD, "fit", counted)
    method = baseline("kd", 0)
    scorer = Scorer(method, make(classifier, tmp_path))
    found = [scorer.scores([threat]) for threat in THREATS]
    assert fits == ["kd"] and {noisy_type("near"), "near", "far", BENIGN} <= found[0].keys()
    assert (found[0]["far"] != found[1]["far"]).any()  # the detectors learned from other threats
    again = Scorer(method, make(classifier, tmp_path)).scores(["near"])
    assert fits == ["kd"]
    for kind, scores in found[0].items():
        np.testing.assert_array_equal(again[kind], scores)


def test_scores_are_those_of_a2d(data: ExperimentData, classifier: Classifier) -> None:
    crafted = data.samples("near", FIT)
    a2d = A2D(classifier, LID(), baseline("lid", 0).detector).fit(
        data.samples(BENIGN, FIT).images, crafted.images, source=crafted.source_index,
        training_data=(data.dataset.x_train, data.dataset.y_train), seed=3, noisy_negatives=True,
    )
    scores = Scorer(baseline("lid", 0), data).scores(["near"])
    np.testing.assert_allclose(a2d.score(data.samples("near", TEST).images), scores["near"])
