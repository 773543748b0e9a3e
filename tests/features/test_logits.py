"""What is computed from the logits alone."""

import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import A2D, Classifier
from a2d_tf.features import MSP, Energy, Entropy, LogitsFeature, Margin

LOGITS = {  # of the classes of a made-up network, for every image
    "two": np.array([0.0, np.log(3.0)]),  # probabilities 1/4 and 3/4
    "thousand": np.concatenate([[np.log(999.0)], np.zeros(999)]),  # 1/2 and 999 times 1/1998
}


@pytest.mark.parametrize("feature, network, expected", [
    (Margin(), "two", np.log(3)), (Margin(), "thousand", np.log(999)),
    (MSP(), "two", 1 / 4), (MSP(), "thousand", 1 / 2),
    (Entropy(), "two", np.log(4) - 0.75 * np.log(3)),
    (Entropy(), "thousand", (np.log(2) + np.log(1998)) / 2),
    (Energy(), "two", -np.log(4)), (Energy(), "thousand", -np.log(1998)),
])
def test_hand_computed(feature: LogitsFeature, network: str, expected: float) -> None:
    logits = tf.constant(LOGITS[network], tf.float32)
    classifier = Classifier(
        lambda images: logits + 0 * tf.reduce_sum(images, axis=(1, 2, 3))[:, None], preflight=False
    )
    found = feature.measure(classifier, np.full((3, 2, 2, 1), 0.5))
    np.testing.assert_allclose(found, [[expected]] * 3, rtol=1e-5)


def test_the_most_certain_images_still_differ() -> None:
    logits = tf.constant([[40.0, 0.0], [30.0, 0.0], [20.0, 0.0]])
    for feature in (MSP(), Entropy()):
        values = feature.from_logits(logits).numpy().astype(np.float32)[:, 0]
        assert 0 <= values[0] < values[1] < values[2] < 1e-7


def test_exported_they_take_no_pass_of_their_own(
    classifier: Classifier, benign: np.ndarray, tmp_path: object
) -> None:
    a2d = A2D(classifier, ["margin", "msp", "entropy", "energy"], "conformal").fit(benign[:100])
    a2d.export(f"{tmp_path}/served")
    served = tf.saved_model.load(f"{tmp_path}/served").signatures["serving_default"]
    outputs = served(images=tf.constant(benign[100:120]))
    expected = a2d.predict(benign[100:120])
    np.testing.assert_allclose(outputs["columns"], expected.columns, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(outputs["score"], expected.score, rtol=1e-3)
    nodes = [
        node.op for function in served.graph.as_graph_def().library.function
        for node in function.node_def
    ]
    assert nodes.count("Conv2D") == 1  # of the pass that gives the label
