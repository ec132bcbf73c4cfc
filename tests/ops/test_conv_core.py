"""A convolution with what follows it, in one op: the composition of small ops is the oracle in value, first and second derivative."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tinygradconv.gradcheck import GradcheckError, gradcheck
from tinygradconv.ops import conv_core

EXTRAS = list(itertools.product((False, True), (False, True), (False, True), (None, "relu", "tanh")))


def values(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def operands(with_scale, with_bias, with_residual, dtype=np.float64):
    """x, w and what is given of scale, bias and residual, for a convolution of stride 2 with 4 × 3 places."""
    named = {"x": values(2, 7, 6, 3), "w": values(3, 3, 3, 5, seed=1) / 4, "scale": values(5, seed=2), "bias": values(5, seed=3),
             "residual": values(2, 4, 3, 5, seed=4)}
    absent = {name for name, given in (("scale", with_scale), ("bias", with_bias), ("residual", with_residual)) if not given}
    return {name: value.astype(dtype) for name, value in named.items() if name not in absent}


def composed(activation, x, w, scale=None, bias=None, residual=None):
    """The same, op by op."""
    z = tgc.conv2d(x, w, stride=2, padding=1)
    z = z if scale is None else z * scale
    z = z if bias is None else z + bias
    z = z if residual is None else z + residual
    return {None: lambda z: z, "relu": tgc.relu, "tanh": tgc.tanh}[activation](z)


def fused(activation, **tensors):
    return tgc.conv2d(**tensors, stride=2, padding=1, activation=activation)


@pytest.mark.parametrize(("scale", "bias", "residual", "activation"), EXTRAS)
def test_values_and_gradients_are_those_of_the_composition(scale, bias, residual, activation, backend):
    given = operands(scale, bias, residual)
    results = []
    for compute in (fused, composed):
        tensors = {name: tgc.Tensor(value, requires_grad=True) for name, value in given.items()}
        y = compute(activation, **tensors)
        gradients = tgc.grad(y, list(tensors.values()), values(*y.shape, seed=5))
        again = tgc.grad((tgc.grad(y, tensors["x"], values(*y.shape, seed=5), create_graph=True) ** 2).sum(), list(tensors.values()))
        results.append([y.numpy(), *[g.numpy() for g in gradients], *[g.numpy() for g in again]])
    for ours, theirs in zip(*results):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
def test_derivatives_to_second_order(activation):
    given = operands(True, True, True)
    gradcheck(lambda *tensors: fused(activation, **dict(zip(given, tensors))), list(given.values()), order=2)


def test_a_wrong_rule_is_noticed(monkeypatch):
    given = operands(False, True, False)
    monkeypatch.setattr(conv_core, "bias_backward", lambda g, y, *, activation: (g * 1.001, g.sum((0, 1, 2))))
    with pytest.raises(GradcheckError):
        gradcheck(lambda *tensors: fused(None, **dict(zip(given, tensors))), list(given.values()), order=1)


@given(st.integers(0, 2), st.integers(1, 6), st.integers(1, 6), st.integers(1, 19), st.integers(1, 3), st.integers(1, 2),
       st.sampled_from([None, "relu", "tanh"]))
def test_agrees_with_torch(N, H, W, O, kernel, stride, activation):
    torch = pytest.importorskip("torch")
    x, w, bias = (values(*shape, seed=i).astype(np.float32) for i, shape in enumerate([(N, H, W, 2), (kernel, kernel, 2, O), (O,)]))
    y = tgc.conv2d(x, w, bias, stride=stride, padding=kernel // 2, activation=activation)
    theirs = torch.nn.functional.conv2d(torch.tensor(x).permute(0, 3, 1, 2), torch.tensor(w).permute(3, 2, 0, 1), torch.tensor(bias),
                                        stride=stride, padding=kernel // 2)
    theirs = {None: lambda z: z, "relu": torch.relu, "tanh": torch.tanh}[activation](theirs).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(y.numpy(), theirs, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("activation", "kept"), [(None, {"x", "w"}), ("relu", {"x", "w", "y"})])
def test_the_result_is_kept_only_where_an_activation_needs_it(activation, kept):
    given = operands(False, True, True)
    y = fused(activation, **{name: tgc.Tensor(value, requires_grad=True) for name, value in given.items()})
    assert {name for name, value in y.node.kept.items() if value[0] is not None} - {"scale"} == kept


def test_weights_stay_packed_until_they_change():
    x, w = tgc.Tensor(values(1, 6, 6, 3).astype(np.float32)), tgc.Tensor(values(3, 3, 3, 8).astype(np.float32), requires_grad=True)
    with tgc.no_grad():
        first = tgc.conv2d(x, w).numpy().copy()
        np.testing.assert_array_equal(tgc.conv2d(x, w).numpy(), first)
        w.data[...] *= 2
        w.storage.version += 1
        np.testing.assert_allclose(tgc.conv2d(x, w).numpy(), 2 * first, rtol=1e-6)
