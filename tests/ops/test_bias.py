"""The way back through an activation and a bias: the kernel is the composition of small ops, and nothing is copied for nothing."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv.backends import ACTIVATIONS
from tinygradconv.gradcheck import gradcheck
from tinygradconv.ops.bias import activation_slope, bias_backward, checked_activation


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 3, 4, 5), (0, 3), (3, 0)])
def test_the_kernel_is_the_composition(backend, rng, shape, activation):
    g, y = (tgc.Tensor(rng.standard_normal(shape)) for _ in range(2))
    dz, dbias = bias_backward(g, y, activation=activation)
    expected = activation_slope(g, y, activation=activation)
    np.testing.assert_allclose(dz.numpy(), expected.numpy(), rtol=1e-12)
    np.testing.assert_allclose(dbias.numpy(), expected.numpy().reshape(-1, shape[-1]).sum(0) if np.prod(shape) else 0, atol=1e-13)
    assert not dz.requires_grad and dbias.shape == shape[-1:]


def test_without_an_activation_the_cotangent_is_itself(rng):
    g = tgc.Tensor(rng.standard_normal((4, 3)))
    assert bias_backward(g, None, activation=None)[0] is g
    assert activation_slope(g, None, activation=None) is g


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_composition_can_be_differentiated(rng, activation):
    gradcheck(lambda g, y: activation_slope(g, y, activation=activation), [rng.standard_normal((4, 3)), rng.standard_normal((4, 3))])


def test_an_unknown_activation_is_refused():
    assert checked_activation("conv2d", "tanh") == "tanh" and checked_activation("conv2d", None) is None
    with pytest.raises(ValueError, match=r"conv2d: activation must be None or 'relu' or 'tanh', got 'gelu'. Apply others to the result"):
        checked_activation("conv2d", "gelu")
    with pytest.raises(ValueError, match=r"batch_norm: activation must be None or 'relu', got 'tanh'"):
        checked_activation("batch_norm", "tanh", among=("relu",))
