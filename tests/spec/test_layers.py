"""Every layer builds, runs and differentiates; its output has the inferred shape; what it computes is what its op computes."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tinygradconv import Tensor
from tinygradconv import spec as spec_module
from tinygradconv.gradcheck import gradcheck
from tinygradconv.ops import adaptive, conv, norm, pool
from tinygradconv.spec import (
    ELU,
    GELU,
    LRN,
    RBF,
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    BatchNorm,
    ChannelMaxPool,
    Constant,
    Conv,
    Conv1d,
    ConvTranspose,
    ConvTranspose1d,
    Dense,
    DistancePool,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    GroupNorm,
    Identity,
    LayerNorm,
    LeakyReLU,
    LogSoftmax,
    LpPool,
    MaxPool,
    Pad,
    PadChannels,
    ReLU,
    Reshape,
    Residual,
    Scale,
    ScaledTanh,
    Scope,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Spec,
    Subsample,
    Sum,
    SumPool,
    TableConv,
    Tanh,
    Uniform,
)
from tinygradconv.spec.base import KINDS, Layer

IMAGE, SEQUENCE, VECTOR = (6, 5, 4), (7, 4), (6,)
CASES = [
    (Conv(6, 3, padding="same"), IMAGE), (Conv(6, (3, 2), stride=2, groups=2, bias=False), IMAGE),
    (Conv(2, 2, dilation=2, padding=((1, 0), (0, 1))), IMAGE),
    (Conv1d(6, 3, padding=(1, 0), dilation=2), SEQUENCE), (Conv1d(6, 3, padding="same", stride=2), SEQUENCE),
    (ConvTranspose(6, 3, stride=2, padding=1, output_padding=1), IMAGE),
    (ConvTranspose(4, (3, 2), stride=2, padding="same", groups=2), IMAGE),
    (ConvTranspose1d(4, 3, stride=2, padding=(1, 0), groups=2), SEQUENCE), (Dense(5), VECTOR), (Dense(5, bias=False), VECTOR),
    (BatchNorm(), IMAGE), (BatchNorm(), SEQUENCE), (BatchNorm(), VECTOR), (LayerNorm(), IMAGE), (LayerNorm(axes=3), IMAGE),
    (LayerNorm(affine=False), VECTOR),
    (GroupNorm(2), IMAGE), (GroupNorm(4, affine=False), SEQUENCE), (LRN(), IMAGE), (LRN(3, alpha=0.5), SEQUENCE),
    *[(layer, shape) for layer in (ReLU(), LeakyReLU(0.2), ELU(), GELU(), GELU(approximate=True), SiLU(), Softplus(), Sigmoid(), Tanh(),
                    ScaledTanh(), ScaledTanh(0.5, 2.0))
      for shape in (IMAGE, VECTOR)],
    (Softmax(), VECTOR), (LogSoftmax(), SEQUENCE),
    (MaxPool(2), IMAGE), (MaxPool(3, stride=2, padding=1, ceil_mode=True), IMAGE), (MaxPool(2), SEQUENCE),
    (AvgPool(3, stride=2, padding=1), IMAGE),
    (AvgPool(2, ceil_mode=True), SEQUENCE), (SumPool((2, 3), stride=1), IMAGE), (SumPool(2, padding=(1, 0)), SEQUENCE), (LpPool(2), IMAGE),
    (LpPool(2, 3.0), SEQUENCE),
    (DistancePool(3, padding=1), IMAGE), (DistancePool(2, weights=((1.0, 0.5), (0.5, 0.0))), IMAGE),
    (DistancePool(2, weights=(2.0, 1.0)), SEQUENCE),
    (AdaptiveAvgPool(3), IMAGE), (AdaptiveAvgPool((2, 5)), IMAGE), (AdaptiveAvgPool(3), SEQUENCE), (AdaptiveMaxPool(4), IMAGE),
    (AdaptiveMaxPool(2), SEQUENCE),
    (GlobalAvgPool(), IMAGE), (GlobalAvgPool(), SEQUENCE), (GlobalMaxPool(), IMAGE), (ChannelMaxPool(2), IMAGE),
    (Flatten(), IMAGE), (Flatten(), VECTOR), (Reshape((3, 2)), VECTOR), (Reshape((4, 5, 6)), IMAGE), (Dropout(0.3), IMAGE),
    (Pad(1), IMAGE), (Pad((2, 1), "edge"), IMAGE), (Pad(((1, 0), (0, 2)), "reflect"), IMAGE), (Pad((2, 0), value=1.5), SEQUENCE),
    (PadChannels(9), IMAGE), (PadChannels(4), SEQUENCE), (PadChannels(9), VECTOR), (Subsample(2), IMAGE), (Subsample(3), SEQUENCE),
    (Identity(), VECTOR), (Scale(), IMAGE), (Scale(init=Uniform(0.5), bias_init=Constant(0.25)), SEQUENCE), (Scale(), VECTOR),
    (TableConv(((0,), (0, 2, 3), (1, 3)), 3, padding=1), IMAGE), (TableConv(((3, 1), (1, 3)), (2, 3), stride=2, bias=False), IMAGE),
    (RBF(("##..#. ", "...###", "#.#.#.")), VECTOR),
]
ids = [f"{layer}-{len(shape)}" for layer, shape in CASES]


def batch(shape, n=2, dtype=np.float64, seed=0):
    """Values no two of which are equal or near 0, so that maxima and kinks are far from ties."""
    values = np.random.default_rng(seed).permutation(n * int(np.prod(shape))) + 0.5
    return ((values - values.mean()) / values.std()).reshape(n, *shape).astype(dtype)


def test_every_layer_has_a_case():
    ours = {name for name, kind in KINDS.items() if issubclass(kind, Layer) and kind.__module__.startswith("tinygradconv.")}
    assert {type(layer).__name__ for layer, _ in CASES} == ours


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=ids)
def test_the_output_has_the_inferred_shape(layer, shape, backend):
    model, x = layer.build(shape), batch(shape, 3, np.float32)
    for train in (False, True):
        y = model(x, train=train)
        assert y.shape == (3, *layer.infer(shape).output_shape)
        assert y.dtype == np.float32 and np.isfinite(y.numpy()).all()


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=ids)
def test_gradients_of_input_and_parameters(layer, shape):
    model = layer.build(shape, dtype="float64")
    names = list(model.parameters)
    x = batch(shape)

    def output(x, *parameters):
        model.parameters = dict(zip(names, parameters))
        model.counter.value = 0
        return model(x, train=True)

    gradcheck(output, [x, *[parameter.numpy() for parameter in model.parameters.values()]], order=1)      # the ops check the second


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=ids)
def test_the_table_says_what_is_learned(layer, shape):
    table, model = layer.table(shape), layer.build(shape)
    assert table.totals["parameters"] == model.parameter_count == sum(p.size for p in model.parameters.values())
    assert table.rows[0].output == layer.infer(shape).output_shape


X = batch(IMAGE)


@pytest.mark.parametrize(("layer", "x", "op"), [
    (Conv(6, 3, stride=2, padding=1, dilation=1, groups=2), X,
     lambda x, p: conv.conv2d(x, p["weight"], p["bias"], stride=2, padding=1, groups=2)),
    (ConvTranspose(6, 3, stride=2, padding=1, output_padding=1, dilation=2), X,
     lambda x, p: conv.conv2d_transpose(x, p["weight"], p["bias"], stride=2, padding=1, output_padding=1, dilation=2)),
    (Conv1d(3, 2, stride=2, padding=(1, 0)), X[:, 0], lambda x, p: conv.conv1d(x, p["weight"], p["bias"], stride=2, padding=(1, 0))),
    (ConvTranspose1d(3, 2, stride=2), X[:, 0], lambda x, p: conv.conv1d_transpose(x, p["weight"], p["bias"], stride=2)),
    (Dense(3), X[:, 0, 0], lambda x, p: x @ p["weight"] + p["bias"]),
    (LayerNorm(epsilon=0.1), X, lambda x, p: norm.layer_norm(x, p["weight"], p["bias"], epsilon=0.1)),
    (GroupNorm(2, epsilon=0.1), X, lambda x, p: norm.group_norm(x, 2, p["weight"], p["bias"], epsilon=0.1)),
    (LRN(3, alpha=0.1, beta=0.5, k=1), X, lambda x, p: norm.local_response_norm(x, 3, alpha=0.1, beta=0.5, k=1)),
    (MaxPool(3, stride=2, padding=1, dilation=1, ceil_mode=True), X, lambda x,
        p: pool.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)),
    (LpPool(2, 3.0, stride=1), X, lambda x, p: pool.lp_pool2d(x, 2, 3.0, stride=1)),
    (DistancePool(2, weights=((1, 2), (3, 4))), X, lambda x, p: pool.distance_pool2d(x, 2, [[1, 2], [3, 4]])),
    (AdaptiveMaxPool((2, 4)), X, lambda x, p: adaptive.adaptive_max_pool2d(x, (2, 4))),
    (Subsample(2), X, lambda x, p: x[:, ::2, ::2]),
    (PadChannels(X.shape[-1] + 3), X, lambda x, p: tgc.pad(x, ((0, 0), (0, 0), (0, 0), (1, 2)))),
    (ScaledTanh(1.5, 0.5), X, lambda x, p: Tensor.of(1.5 * np.tanh(0.5 * x.numpy()))),
    (Scale(init=Uniform(0.5), bias_init=Constant(0.25)), X, lambda x, p: Tensor.of(x.numpy() * p["weight"].numpy() + 0.25)),
    (RBF(("##..", ".#.#")), X[:, 0, 0], lambda x, p: Tensor.of(np.stack([-((x.numpy() - code) ** 2).sum(1) for code in
                                                                       ([1, 1, -1, -1], [-1, 1, -1, 1])], 1))),
    (Softmax(), X, lambda x, p: tgc.exp(x) / tgc.exp(x).sum(-1, keepdims=True)),
], ids=lambda value: repr(value) if isinstance(value, Layer) else "")
def test_every_argument_reaches_the_op(layer, x, op):
    model = layer.build(x.shape[1:], dtype="float64")
    np.testing.assert_allclose(model(x).numpy(), op(Tensor.of(x), model.parameters).numpy(), rtol=1e-12)


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=ids)
def test_repr_is_the_code_and_json_gives_the_same_layer(layer, shape):
    assert eval(repr(layer), {name: getattr(spec_module, name) for name in spec_module.__all__}) == layer == Spec.from_json(layer.to_json())


# ---- TableConv

TABLES = st.integers(1, 5).flatmap(lambda maps: st.tuples(st.just(maps), st.lists(
    st.sets(st.integers(0, maps - 1), min_size=1).map(sorted), min_size=1, max_size=6)))


@given(TABLES, st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 1), st.integers(1, 2))
def test_table_conv_is_a_sum_of_the_connected_single_convolutions(table, kh, kw, stride, padding, dilation):
    maps, connections = table
    layer = TableConv(connections, (kh, kw), stride=stride, padding=padding, dilation=dilation, bias_init=Uniform(1.0))
    model, x = layer.build((7, 6, maps), dtype="float64"), np.random.default_rng(0).normal(size=(2, 7, 6, maps))
    weight, bias, number, outputs = model.parameters["weight"].numpy(), model.parameters["bias"].numpy(), 0, []
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    for o, row in enumerate(connections):
        total = bias[o]
        for one in row:                                     # each connection has a filter of its own, in the order of the table
            cells = [weight[ky, kx, number] * padded[:, ky * dilation:, kx * dilation:, one][
                :, :padded.shape[1] - (kh - 1) * dilation:stride, :padded.shape[2] - (kw - 1) * dilation:stride]
                for ky in range(kh) for kx in range(kw)]
            total, number = total + sum(cells), number + 1
        outputs.append(total)
    assert number == weight.shape[2]
    np.testing.assert_allclose(model(x).numpy(), np.stack(outputs, 3), atol=1e-12)
    y = model(x).shape
    assert layer.infer((7, 6, maps)).steps[0].macs == y[1] * y[2] * kh * kw * number


def test_a_table_of_all_connections_is_a_convolution():
    every, dense = TableConv([range(3), range(3)], 3), Conv(2, 3)
    x, model, other = batch((5, 5, 3)), every.build((5, 5, 3), dtype="float64"), dense.build((5, 5, 3), dtype="float64")
    filters = other.parameters["weight"].numpy()            # (3, 3, I, O): the table's filters run by output map, then by input map
    model.parameters["weight"] = Tensor(filters.transpose(0, 1, 3, 2).reshape(3, 3, 6))
    np.testing.assert_allclose(model(x).numpy(), other(x).numpy(), rtol=1e-12)
    assert every.table((5, 5, 3)).totals["macs"] == dense.table((5, 5, 3)).totals["macs"]


# ---- Adaptive pooling to the size that is there

@pytest.mark.parametrize("layer", [AdaptiveAvgPool((6, 5)), AdaptiveMaxPool((6, 5))])
def test_adaptive_pooling_to_the_size_that_is_there_costs_nothing(layer):
    (row,) = layer.table(IMAGE).rows
    assert row.activation_bytes == row.kept_bytes == 0 and row.output == IMAGE
    x = Tensor(X)
    assert layer.build(IMAGE, dtype="float64")(x) is x


def blocks(channels):
    """Layers that keep a (H, W, C) image one."""
    return st.one_of(
        st.builds(lambda n, k, s, p, b: Conv(n, k, stride=s, padding=p, bias=b), st.integers(1, 5), st.integers(1, 3), st.integers(1, 2),
                  st.one_of(st.integers(0, 2), st.just("same")), st.booleans()),
        st.builds(lambda k, s, c: MaxPool(k, stride=s, ceil_mode=c), st.integers(1, 3), st.one_of(st.none(), st.integers(1, 3)),
            st.booleans()),
        st.builds(lambda k, p: AvgPool(k, padding=min(p, k // 2)), st.integers(1, 3), st.integers(0, 1)),
        st.builds(lambda n, k, s: ConvTranspose(n, k, stride=s), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2)),
        st.sampled_from([ReLU(), BatchNorm(), LayerNorm(), Dropout(0.2), LRN(), Residual(BatchNorm() >> Tanh()), Conv(2, 1) | Identity(),
                         Sum(a=ReLU(), b=Tanh()), Scope(conv=Conv(3, 3, padding=1), _relu=ReLU()), AdaptiveAvgPool(3)]))


@given(st.lists(blocks(3), min_size=1, max_size=5), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3))
def test_inference_agrees_with_running(layers, height, width, channels):
    spec = Residual(Identity(), Identity())
    for layer in layers:
        spec = spec >> layer
    spec = spec >> Flatten() >> Dense(3)
    try:
        network = spec.infer((height, width, channels))
    except ValueError:
        return                                              # does not fit; every such text is pinned in test_infer.py
    model, shapes = spec.build((height, width, channels)), {}
    x = batch((height, width, channels), 2, np.float32)
    for path, step in network.ends.items():
        shapes[path] = network.steps[step].shape
    for path, value in model.features(x, list(shapes)).items():
        assert value.shape == (2, *shapes[path]), path
    assert spec.table((height, width, channels)).totals["parameters"] == model.parameter_count
