"""Activations against PyTorch, and at the points where formulas break."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import tinygradconv as tgc
from tests.ops.shapes import assert_parity, normal, shapes
from tinygradconv.ops import activation
from tinygradconv.tensor import Tensor

PAIRS = {
    "relu": (activation.relu, lambda F, x: F.relu(x)), "sigmoid": (activation.sigmoid, lambda F, x: x.sigmoid()),
    "silu": (activation.silu, lambda F, x: F.silu(x)), "softplus": (activation.softplus, lambda F, x: F.softplus(x)),
    "gelu": (activation.gelu, lambda F, x: F.gelu(x)),
    "gelu, approximate": (lambda x: activation.gelu(x, approximate=True), lambda F, x: F.gelu(x, approximate="tanh")),
    "elu": (activation.elu, lambda F, x: F.elu(x)), "elu, alpha": (lambda x: activation.elu(x, 0.3), lambda F, x: F.elu(x, 0.3)),
    "leaky_relu": (activation.leaky_relu, lambda F, x: F.leaky_relu(x)),
    "leaky_relu, slope": (lambda x: activation.leaky_relu(x, slope=0.2), lambda F, x: F.leaky_relu(x, 0.2)),
}


@pytest.mark.parametrize("name", PAIRS)
@given(shape=shapes)
def test_activations_agree_with_torch_to_second_order(name, shape):
    F = pytest.importorskip("torch").nn.functional
    f, torch_f = PAIRS[name]
    assert_parity(f, lambda x: torch_f(F, x), [2 * a for a in normal(shape)], factor=100)


@pytest.mark.parametrize("name", [n for n in PAIRS if n != "relu"])
def test_activations_pass_gradcheck_to_second_order(name):
    tgc.gradcheck(PAIRS[name][0], [[-3.0, -0.4, 0.3, 2.0]])


def test_gradients_at_zero_are_those_of_the_left_side():
    x = Tensor([0.0], requires_grad=True)
    for f, expected in ((activation.relu, 0.0), (activation.leaky_relu, 0.01), (lambda x: activation.elu(x, 0.5), 0.5)):
        assert tgc.grad(f(x).sum(), x).item() == pytest.approx(expected)


@pytest.mark.parametrize(("f", "expected"), [
    (activation.sigmoid, [0, 0, 1, 1]), (activation.silu, [0, 0, 1000, np.inf]), (activation.softplus, [0, 0, 1000, np.inf]),
    (activation.elu, [-1, -1, 1000, np.inf]), (activation.relu, [0, 0, 1000, np.inf])])
def test_nothing_overflows(f, expected):
    x = Tensor([-np.inf, -1000.0, 1000.0, np.inf], requires_grad=True)
    y = f(x)
    np.testing.assert_array_equal(y.numpy(), np.asarray(expected, "float32"))
    gradient = tgc.grad(y.sum(), x).numpy()[1:3]
    np.testing.assert_array_equal(gradient, [0, 0] if f is activation.sigmoid else [0, 1])


def test_relu_keeps_only_its_result():
    x = Tensor(np.ones((4, 4), "float32"), requires_grad=True)
    assert list(activation.relu(x).node.kept) == ["y"]
    assert np.isnan(activation.relu(Tensor([np.nan])).item())


def test_integers_give_float32():
    assert activation.relu(Tensor([-1, 2])).dtype == np.float32
    assert activation.gelu(Tensor([-1, 2])).dtype == np.float32
    with pytest.raises(TypeError, match=r"leaky_relu\(\) got 'negative_slope'; tinygradconv follows NumPy: use slope="):
        activation.leaky_relu(Tensor([1.0]), negative_slope=0.1)
    with pytest.raises(TypeError, match="changes no tensor in place"):
        activation.elu(Tensor([1.0]), inplace=True)
