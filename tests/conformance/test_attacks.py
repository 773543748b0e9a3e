"""What every registered attack must satisfy."""

import functools
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from a2d_tf import Classifier, InvalidInputError, attacks
from a2d_tf.attacks import (
    BIM, BIM2, DBA, FGSM, JSMA, LBFGS, Attack, CarliniWagner, DeepFool, FirstOrder, LocalSearch,
)

# Settings under which the small digit classifier takes some tens of iterations.
SMALL: dict[str, Attack] = {
    "bim": BIM(eps=0.3, step=0.004, max_iterations=60),
    "bim2": BIM2(eps=0.3, step=0.005, max_iterations=60),
    "jsma": JSMA(theta=0.1, max_changes_per_pixel=7, max_iterations=60),
    "dba": DBA(mse_threshold=0.1, max_iterations=20),
    "fgsm": FGSM(step=0.005, max_iterations=60),
    "deepfool": DeepFool(max_iterations=20),
    "lbfgs": LBFGS(initial_const=1e-3, max_iterations=60),
    "lsa": LocalSearch(chosen=12, reach=3, first=1.0, max_iterations=10),
    "cw": CarliniWagner(
        step=0.05, initial_const=0.1, binary_search_steps=3, max_iterations=90
    ),
    "first-order": FirstOrder(),
}
SEARCHES = ("bim", "bim2")
SMALL |= {f"{name}-search": replace(SMALL[name], search=True) for name in SEARCHES}

# On two logits (w.x, 0) with w = (1, -2, 3, -1) and x = 0.5 the margin is 0.5:
# BIM takes 0.01 x (1 + 2 + 3 + 1) = 0.07 off it in a step, and the 8th step crosses;
# BIM2 takes 0.01 x |w|^2 / RMS(w) = 0.01 x 2 sqrt(15) = 0.0775, and the 7th step crosses;
#   7 steps are 0.07 long in RMS, but 0.14 in L2 and 0.11 in L-infinity: eps tells them apart.
# JSMA moves the third pixel by 0.1, 0.3 a step, and the test before the third step succeeds.
# FGSM goes where BIM does.
# DeepFool starts at x = 0.95 and steps by 1.05 x 0.95/15 w = 0.0665 w, but two pixels stop at the
# bound 0.05 away: 0.135 of the margin is left, which the other two take off.
# L-BFGS, with a step for each constant c, takes c sigmoid(0.5) |w|^2 x 4 / 2 = 18.7 c off the
# margin: 0.19, 0.37 and 0.75 where c = 0.01, 0.02 and 0.04.
# LSA starts at x = 0.7 and moves pixels out by half their distance to the middle, in rounds: the
# second from 0.2 to 0.3 and 0.45, then the fourth to 0.3 and 0.45, since the second has only
# 2 x 0.05 left to take off, and the fourth 0.3. The margins are 0.7, 0.5, 0.2, 0.1, -0.05.
# C&W asks twice for each of three constants: the first step of Adam moves every pixel by
# tanh(0.2) / 2 = 0.099, which takes off 0.69. All steps count.
# The first-order cost is 0.5 / (1 + 2 + 3 + 1), a fraction of the pixel range.
WEIGHTS = np.array([1.0, -2.0, 3.0, -1.0], np.float32)
GOLDENS: dict[str, tuple[Attack, float]] = {
    "bim": (BIM(eps=0.3, step=0.01, max_iterations=50), 7),
    "bim2": (BIM2(eps=0.07, step=0.01, max_iterations=50), 6),
    "jsma": (JSMA(theta=0.1, max_changes_per_pixel=7, max_iterations=50), 2),
    # No pixel is farther than 0.5 from the middle: the first iteration is near enough.
    "dba": (DBA(mse_threshold=0.25, max_iterations=50), 1),
    "fgsm": (FGSM(step=0.01, max_iterations=50), 7),
    "deepfool": (DeepFool(max_iterations=50), 1),
    "lbfgs": (LBFGS(initial_const=0.01, steps_per_constant=1, max_iterations=50), 2),
    "lsa": (
        LocalSearch(extreme=0.5, reach=1, chosen=1, first=1.0, max_iterations=50), 3
    ),
    "cw": (CarliniWagner(step=0.2, binary_search_steps=3, max_iterations=6), 5),
    "first-order": (FirstOrder(), 0.5 / 7),
}
GOLDENS |= {
    f"{name}-search": (replace(GOLDENS[name][0], search=True), GOLDENS[name][1])
    for name in SEARCHES
}
# The same with too little room: in the balls, 0.02 x 7 and 0.02 x 2 sqrt(15) are short of 0.5;
# four pixels that move once by 0.05 take off 0.35.
FUTILE: dict[str, Attack] = {
    "bim": BIM(eps=0.02, step=0.01, max_iterations=50),
    "bim2": BIM2(eps=0.02, step=0.01, max_iterations=50),
    "jsma": JSMA(theta=0.05, max_changes_per_pixel=1, max_iterations=50),
    # The boundary is 0.5 / sqrt(15) away in L2, that is, a squared error of 1/240 over 4 pixels.
    "dba": DBA(mse_threshold=0.004, max_iterations=50),
    "fgsm": FGSM(step=0.001, max_iterations=50),  # 0.05 x 7 is short of 0.5
    "deepfool": DeepFool(max_iterations=1),  # at x = 0.95, as above
    "lbfgs": LBFGS(initial_const=0.001, steps_per_constant=1, max_iterations=3),
    "lsa": LocalSearch(max_iterations=5),  # half a range from either bound no pixel moves
    "cw": CarliniWagner(step=0.01, binary_search_steps=3, max_iterations=6),
    "first-order": FirstOrder(),
}
FUTILE |= {f"{name}-search": replace(FUTILE[name], search=True) for name in SEARCHES}
# What all pixels of these images are, if not 0.5.
GOLDEN_PIXELS, FUTILE_PIXELS = {"deepfool": 0.95, "lsa": 0.7}, {"deepfool": 0.95}
FUTILE_LEAD = {"first-order": 10.0}  # is added to the margin, and is more than 1 x 7
# L-BFGS weighs the logits against the distance: where they are large, its first step crosses.
COSTS_OF_LARGE_LOGITS = {"lbfgs": 0}
# Attacks with many queries per iteration.
MANY_QUERIES = {"dba", "lsa"}
# Attacks that take a step or two: few costs to tell apart.
FEW = {"deepfool"}
# Bounds on costs with images on either side, where the costs that 30 and 60 % have are equal.
BOUNDS = {"deepfool": (0, 1), "lsa": (1, 5)}
# Costs that count the iteration of success too, as published.
ONE_BASED = {"dba"}
NO_COUNT = {"first-order"}  # a distance, to first order, from one gradient
SLOW = {"cw", "dba", "deepfool", "lbfgs", "lsa"}


@pytest.fixture(params=[
    pytest.param(name, marks=pytest.mark.long if name in SLOW else [])
    for name in sorted(attacks.PRESETS["mnist"])
])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@functools.cache  # it keeps the graphs of attacks
def linear(scale: float = 1.0, lead: float = 0.0) -> Classifier:
    def logits(images: tf.Tensor) -> tf.Tensor:
        margin = lead + scale * tf.linalg.matvec(tf.reshape(images, (-1, 4)), WEIGHTS)
        return tf.stack([margin, tf.zeros_like(margin)], axis=1)

    return Classifier(logits, input_shape=(2, 2, 1))


def golden_images(name: str, count: int) -> np.ndarray:
    return np.full((count, 2, 2, 1), GOLDEN_PIXELS.get(name, 0.5))


def nearly_equal(costs: np.ndarray, others: np.ndarray) -> bool:
    """Equal up to floating-point noise: counts are 1 apart at most, on at most 2 % of examples."""
    if costs.dtype.kind == "f":
        return np.allclose(costs, others, rtol=2e-3)
    difference = np.abs(costs.astype(int) - others)
    return bool(difference.max(initial=0) <= 1 and (difference > 0).mean() <= 0.02)


def test_hand_computed_cost_on_a_linear_model(name: str) -> None:
    attack, cost = GOLDENS[name]
    result = attack.run(linear(), golden_images(name, 3))
    assert result.cost.tolist() == pytest.approx([cost] * 3)
    assert result.success.all()


@pytest.mark.long
def test_cost_does_not_depend_on_the_scale_of_the_pixels(name: str) -> None:
    attack, cost = GOLDENS[name]
    wide = Classifier(linear(1 / 255), bounds=(0, 255), input_shape=(2, 2, 1))
    result = attack.run(wide, 255 * golden_images(name, 1))
    assert result.cost.tolist() == pytest.approx([cost])


@pytest.mark.long
def test_tiny_gradients_still_move(name: str) -> None:
    attack, cost = GOLDENS[name]
    start = golden_images(name, 1)

    def logits(images: tf.Tensor) -> tf.Tensor:
        # So sure of the image that the squares of its gradients vanish in single precision.
        margin = 55 / start.max() * tf.linalg.matvec(tf.reshape(images, (-1, 4)), WEIGHTS)
        return tf.stack([margin / 2, -margin / 2], axis=1)

    result = attack.run(Classifier(logits, input_shape=(2, 2, 1)), start)
    assert result.success.all()
    assert result.cost.tolist() == pytest.approx([COSTS_OF_LARGE_LOGITS.get(name, cost)])


def test_unfit_arguments_are_refused(name: str) -> None:
    attack, _ = GOLDENS[name]
    images = golden_images(name, 2)
    with pytest.raises(InvalidInputError, match="batch size"):
        attack.run(linear(), images, batch_size=0)
    for labels in ([0], [0.5, 0.5], [-1, 0]):
        with pytest.raises(InvalidInputError, match="labels"):
            attack.run(linear(), images, labels)
    with pytest.raises(InvalidInputError, match="a seed of at least 0, got -1"):
        attack.run(linear(), images, seed=-1)
    with pytest.raises(InvalidInputError, match="batch size"):
        attack.stream(linear(), batch_size=0)
    with pytest.raises(InvalidInputError, match="max_iterations of at least 1, got 0"):
        replace(attack, max_iterations=0)


def test_unfit_bounds_on_costs_are_refused(name: str) -> None:
    attack, cost = GOLDENS[name]
    images = golden_images(name, 2)
    if not attack.stops_early:
        with pytest.raises(InvalidInputError, match="no bounds on the cost"):
            attack.run(linear(), images, max_cost=1)
        return
    for bound in (0.5, [1]):
        with pytest.raises(InvalidInputError, match="an integer max_cost, one for all or"):
            attack.run(linear(), images, max_cost=bound)
    with pytest.raises(InvalidInputError, match="a max_cost >= -1, got -5"):
        attack.run(linear(), images, max_cost=-5)
    enough = np.iinfo(np.int64).max
    assert attack.run(linear(), images, max_cost=enough).cost.tolist() == [cost] * 2


@pytest.mark.long
def test_the_cap_is_the_cost_of_failure(name: str) -> None:
    attack = FUTILE[name]
    images = np.full((2, 2, 2, 1), FUTILE_PIXELS.get(name, 0.5))
    result = attack.run(linear(lead=FUTILE_LEAD.get(name, 0.0)), images)
    assert result.cost.tolist() == [attack.max_iterations] * 2
    assert not result.success.any()


def test_the_last_iteration_counts_and_no_further_one(name: str) -> None:
    if name in NO_COUNT:
        pytest.skip("this cost does not count iterations")
    attack, cost = GOLDENS[name]
    image = golden_images(name, 1)
    needed = cost if name in ONE_BASED else cost + 1
    enough = replace(attack, max_iterations=needed).run(linear(), image)
    assert (enough.cost.tolist(), enough.success.tolist()) == ([cost], [True])
    if needed > 1:
        short = replace(attack, max_iterations=needed - 1).run(linear(), image)
        assert (short.cost.tolist(), short.success.tolist()) == ([needed - 1], [False])


def test_success_means_that_the_label_changed(
    name: str, classifier: Classifier, benign: np.ndarray
) -> None:
    if name in NO_COUNT:
        pytest.skip("this attack foretells the boundary, and asks for no label there")
    attack = SMALL[name]
    result = attack.run(classifier, benign[:100])
    changed = classifier.predict(result.adversarial) != classifier.predict(benign[:100])
    assert 0 < result.success.sum()
    assert changed[result.success].mean() >= 0.98
    assert (result.cost[~result.success] == attack.max_iterations).all()
    highest = attack.max_iterations - (0 if name in ONE_BASED else 1)
    assert result.cost[result.success].max() <= highest
    if not name.endswith("-search"):
        assert (result.queries[result.success] > result.cost[result.success]).all()
    assert (result.gradients <= result.queries).all()
    assert (result.gradients > 0).all() == attack.needs_gradients
    assert result.adversarial.min() >= 0 and result.adversarial.max() <= 1


def test_batch_order_and_padding_change_no_cost(
    name: str, classifier: Classifier, benign: np.ndarray
) -> None:
    attack, images = SMALL[name], benign[:30 if name in MANY_QUERIES else 100]
    whole = attack.run(classifier, images).cost
    assert len(np.unique(whole)) > (2 if name in FEW else 4)
    few = len(images) // 5
    one_by_one = [attack.run(classifier, image[None]).cost[0] for image in images[:few]]
    assert nearly_equal(whole[:few], np.array(one_by_one))
    assert nearly_equal(whole, attack.run(classifier, images, batch_size=7).cost)
    order = np.random.default_rng(0).permutation(len(images))
    assert nearly_equal(whole[order], attack.run(classifier, images[order]).cost)
    padded = np.concatenate([np.zeros_like(images[:28]), images, np.ones_like(images[:13])])
    assert nearly_equal(whole, attack.run(classifier, padded).cost[28:-13])


def test_bounds_on_costs_keep_their_side(
    name: str, classifier: Classifier, benign: np.ndarray
) -> None:
    attack, images = SMALL[name], benign[:60]
    if not attack.stops_early:
        pytest.skip("the cost of an attack that does not stop at a success has no bounds")
    full = attack.run(classifier, images)
    low, high = BOUNDS.get(name, np.quantile(full.cost, [0.3, 0.6]).astype(int))
    assert low < high < attack.max_iterations
    bounded = attack.run(classifier, images, min_cost=low, max_cost=high)
    between = (full.cost > low) & (full.cost < high)
    np.testing.assert_array_equal(bounded.cost >= high, full.cost >= high)
    np.testing.assert_array_equal(bounded.cost <= low, full.cost <= low)
    np.testing.assert_array_equal(bounded.cost[between], full.cost[between])
    assert bounded.cost.max() == high
    assert (bounded.queries <= full.queries).all() and bounded.queries.sum() < full.queries.sum()
    each = attack.run(classifier, images, max_cost=np.where(np.arange(60) % 2, high, 10**6))
    np.testing.assert_array_equal(each.cost[::2], full.cost[::2])
    np.testing.assert_array_equal(each.cost[1::2], np.minimum(full.cost[1::2], high))


@pytest.mark.long
def test_eager_and_graph_agree(name: str, classifier: Classifier, benign: np.ndarray) -> None:
    attack = SMALL[name]
    if name == "dba":  # takes a minute, eagerly
        attack = replace(attack, max_iterations=5)
    graph = attack.run(classifier, benign[:2])
    tf.config.run_functions_eagerly(True)
    try:
        eager = attack.run(classifier, benign[:2])
    finally:
        tf.config.run_functions_eagerly(False)
    assert graph.cost.dtype == eager.cost.dtype == attack.cost_dtype
    np.testing.assert_allclose(graph.cost, eager.cost, rtol=1e-5)
    # Costs are equal, too, where neither comes to its end.
    np.testing.assert_allclose(graph.adversarial, eager.adversarial, atol=1e-4)
    assert (graph.adversarial != benign[:2]).any() or name in NO_COUNT


@pytest.mark.long
def test_a_reloaded_savedmodel_costs_the_same(
    name: str, model: keras.Model, classifier: Classifier, benign: np.ndarray, tmp_path: Path
) -> None:
    logits = keras.Sequential([*model.layers[:-1], keras.layers.Dense(10)])
    logits.build((None, 8, 8, 1))
    logits.layers[-1].set_weights(model.layers[-1].get_weights())
    logits.export(tmp_path / "served", verbose=False)
    reloaded = Classifier.load(tmp_path / "served")
    expected = SMALL[name].run(classifier, benign[:60]).cost
    assert nearly_equal(expected, SMALL[name].run(reloaded, benign[:60]).cost)


def test_an_empty_batch_has_empty_costs(name: str, classifier: Classifier) -> None:
    result = SMALL[name].run(classifier, np.zeros((0, 8, 8, 1)))
    assert result.cost.shape == (0,) and result.adversarial.shape == (0, 8, 8, 1)


def test_repr_rebuilds_the_attack(name: str) -> None:
    attack = SMALL[name]
    assert eval(repr(attack), vars(attacks)) == attack


@pytest.mark.long
def test_one_graph_serves_every_number_of_images(name: str, model: keras.Model) -> None:
    fresh = Classifier(model)
    for count in (1, 5, 2):
        SMALL[name].run(fresh, np.random.default_rng(0).uniform(size=(count, 8, 8, 1)))
    segment, = (graph for key, graph in fresh.graphs.items() if SMALL[name] in key)
    assert segment.experimental_get_tracing_count() == 1


def test_progress_hears_of_every_example(name: str, classifier: Classifier) -> None:
    heard: list[int] = []
    images = np.random.default_rng(0).uniform(size=(30, 8, 8, 1))
    SMALL[name].run(classifier, images, batch_size=8, on_finished=heard.append)
    assert sum(heard) == 30
