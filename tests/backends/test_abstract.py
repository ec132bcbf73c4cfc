"""Arrays that are only a shape: the same ops, the same tape, no memory."""
from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import tinygradconv as tgc
from tinygradconv import Tensor
from tinygradconv.backends import ABSTRACT, AbstractArray


def abstract(shape, dtype=np.float32, *, requires_grad=False):
    tensor = Tensor.of(ABSTRACT.empty(shape, dtype))
    return tensor.requires_grad_() if requires_grad else tensor


def test_ops_give_shapes_and_dtypes():
    x, w = abstract((1000, 300)), abstract((300, 20))
    y = tgc.tanh(x @ w + 1.0).reshape(10, 100, 20).permute_dims(2, 0, 1)[:5].sum(axis=0)
    assert (y.shape, y.dtype, y.device) == ((10, 100), np.float32, "abstract")
    assert isinstance(y.data, AbstractArray)
    assert "abstract" in repr(y)


def test_the_tape_keeps_what_real_running_keeps():
    def f(x, w):
        return tgc.tanh(x @ w)
    real = f(Tensor(np.ones((4, 3)), requires_grad=True), Tensor(np.ones((3, 2)), requires_grad=True))
    shapes = f(abstract((4, 3), np.float64, requires_grad=True), abstract((3, 2), np.float64, requires_grad=True))
    assert {k: t.shape for k, (t, _) in real.node.kept.items()} == {k: t.shape for k, (t, _) in shapes.node.kept.items()}


def test_nothing_is_allocated():
    tracemalloc.start()
    x = abstract((10_000, 10_000), requires_grad=True)
    y = tgc.exp(x @ x) * 2
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert y.nbytes == 400_000_000 and peak < 1_000_000


def test_there_are_no_values():
    with pytest.raises(TypeError, match=r"shape \(2, 2\) has a shape but no values"):
        abstract((2, 2)).numpy()
