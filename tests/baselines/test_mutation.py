"""Mutation operators on a two-layer model made by hand: which weights change, and how."""

import keras
import numpy as np
import pytest

from a2d_tf import InvalidInputError
from a2d_baselines import mutation
from a2d_baselines.mutation import OPERATORS, Mutable, Neurons

layers = keras.layers


def by_hand():
    """Two layers of 20 and 10 neurons; every weight is another number."""
    return [
        Neurons(np.arange(60, dtype=np.float32).reshape(3, 20), np.arange(100, 120, dtype="f4")),
        Neurons(np.arange(200, 400, dtype=np.float32).reshape(20, 10), np.arange(10, dtype="f4")),
    ]


def mutate(name, rate, seed=0, before=None):
    return OPERATORS[name](before or by_hand(), rate, np.random.default_rng(seed))


def changed_columns(before, after):
    return [
        np.flatnonzero((old.kernel != new.kernel).any(axis=0))
        for old, new in zip(before, after, strict=True)
    ]


def same_biases(before, after):
    return all((old.bias == new.bias).all() for old, new in zip(before, after, strict=True))


def test_nai_turns_the_sign_of_a_neurons_weights_and_bias():
    before, after = by_hand(), mutate("nai", 0.1)
    columns = changed_columns(before, after)
    assert sum(map(len, columns)) == 3  # of 30 neurons
    for old, new, chosen in zip(before, after, columns, strict=True):
        sign = np.ones(old.kernel.shape[1])
        sign[chosen] = -1
        np.testing.assert_array_equal(new.kernel, old.kernel * sign)
        np.testing.assert_array_equal(new.bias, old.bias * sign)


def test_ws_permutes_a_neurons_incoming_weights():
    before, after = by_hand(), mutate("ws", 0.1, seed=1)
    columns = changed_columns(before, after)
    assert sum(map(len, columns)) == 3 and same_biases(before, after)
    for old, new, chosen in zip(before, after, columns, strict=True):
        np.testing.assert_array_equal(np.sort(new.kernel, axis=0), np.sort(old.kernel, axis=0))
        assert (new.kernel != old.kernel).any(axis=0).sum() == len(chosen)


@pytest.mark.parametrize("rate, counts", [
    (0.15, (3, 2)),  # 3.0, and 1.5 rounded up
    (0.12, (2, 2)),  # 2.4 rounded down, and 1.2 rounded up
])
def test_ns_permutes_neurons_within_a_layer(rate, counts):
    before = by_hand()
    most = [0, 0]
    for seed in range(30):
        after = mutate("ns", rate, seed)
        assert same_biases(before, after)
        for place, (old, new) in enumerate(zip(before, after, strict=True)):
            # The columns are the same ones in another order.
            assert {*map(tuple, new.kernel.T)} == {*map(tuple, old.kernel.T)}
            moved = int((new.kernel != old.kernel).any(axis=0).sum())
            most[place] = max(most[place], moved)
    assert tuple(most) == counts


def test_ns_leaves_small_layers_alone():
    small = [Neurons(np.arange(27, dtype=np.float32).reshape(3, 9), None)]
    after = mutate("ns", 1.0, before=small + by_hand())
    np.testing.assert_array_equal(after[0].kernel, small[0].kernel)
    with pytest.raises(InvalidInputError, match="at least 10 neurons for NS, got none"):
        mutate("ns", 1.0, before=small)


def test_gf_draws_a_share_of_all_weights_around_themselves():
    before, after = by_hand(), mutate("gf", 0.1)
    flat = [np.concatenate([one.ravel() for layer in some for one in layer])
            for some in (before, after)]
    assert (flat[0] != flat[1]).sum() == 29  # of 60 + 20 + 200 + 10
    noise: list[float] = []
    for seed in range(200):
        after = mutate("gf", 0.5, seed)
        moved = (after[1].kernel - before[1].kernel).ravel()
        noise.extend(moved[moved != 0])
    # The deviation of its own tensor, 57.7, and not that of all weights.
    assert np.std(noise) == pytest.approx(before[1].kernel.std(), rel=0.03)
    assert abs(np.mean(noise)) < 1.5


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_copy_and_are_determined_by_the_seed(name):
    before = by_hand()
    first, again, other = (mutate(name, 0.3, seed, before) for seed in (3, 3, 4))
    for old, kept in zip(before, by_hand(), strict=True):
        np.testing.assert_array_equal(old.kernel, kept.kernel)
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.kernel, same.kernel)
    assert any((one.kernel != two.kernel).any() for one, two in zip(first, other, strict=True))
    # A tiny rate still changes something, of neurons and weights.
    if name != "ns":
        assert sum(map(len, changed_columns(before, mutate(name, 1e-6)))) == 1


def test_neurons_of_every_kind_of_layer():
    nested = keras.Sequential([keras.Input((4, 4, 6)), layers.Conv2DTranspose(5, 2)])
    model = keras.Sequential([
        keras.Input((8, 8, 2)), layers.Conv2D(3, 3, use_bias=False), layers.BatchNormalization(),
        layers.DepthwiseConv2D(3, depth_multiplier=2), nested, layers.SeparableConv2D(4, 2),
        layers.Flatten(), layers.Dense(10),
    ])
    mutable = Mutable(model)
    read = mutable.layers()
    assert [(one.kernel.shape, one.bias is not None) for one in read] == [
        ((18, 3), False), ((9, 6), True), ((24, 5), True), ((4, 5), False), ((5, 4), True),
        ((64, 10), True),
    ]
    for variable, tensor in zip(mutable.variables, mutable.tensors(read), strict=True):
        np.testing.assert_array_equal(variable.numpy(), tensor)
    # The third output channel of the transposed convolution.
    changed = [Neurons(kernel * 1, bias) for kernel, bias in read]
    changed[2].kernel[:, 2] = 7
    tensor = dict(zip(map(id, mutable.variables), mutable.tensors(changed)))
    assert (tensor[id(nested.layers[0].kernel)][:, :, 2] == 7).all()


def test_layers_within_layers_are_found():
    image = keras.Input((4, 4, 3))
    inner = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(3, 1)])
    sequence = layers.Reshape((16, 3))(layers.add([image, inner(image)]))
    sequence = layers.Bidirectional(layers.GRU(2, return_sequences=True))(sequence)
    sequence = layers.TimeDistributed(layers.Dense(5))(sequence)
    sequence = layers.MultiHeadAttention(2, 3)(sequence, sequence)
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(sequence)))
    found = {id(kernel.kernel) for kernel in mutation._kernels(model)}
    named = [one for one in model.trainable_variables if one.name == "kernel"]
    assert found == {id(one) for one in named} and len(named) == 9


def test_a_model_without_kernels_is_refused():
    model = keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten()])
    with pytest.raises(InvalidInputError, match="Dense or convolutional layers to mutate"):
        mutation.Mutable(model)
