"""softmax and log_softmax along any axis, against PyTorch, and at infinity."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tests.ops.shapes import assert_parity, normal, shapes
from tinygradconv.ops.softmax import log_softmax, softmax
from tinygradconv.tensor import Tensor


@given(shape=shapes.filter(len), data=st.data())
def test_softmax_agrees_with_torch_to_second_order(shape, data):
    pytest.importorskip("torch")
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    (x,) = normal(shape)
    assert_parity(lambda x: softmax(x, axis), lambda x: x.softmax(axis), [3 * x])
    assert_parity(lambda x: log_softmax(x, axis), lambda x: x.log_softmax(axis), [3 * x])


@pytest.mark.parametrize("f", [softmax, log_softmax])
def test_softmax_passes_gradcheck(f):
    tgc.gradcheck(lambda x: f(x, 0), [[[0.1, -2.0], [1.0, 0.5], [0.0, 3.0]]])


def test_nothing_overflows_and_impossible_stays_impossible():
    x = [[1000.0, 1000.0], [-1000.0, -np.inf]]
    np.testing.assert_array_equal(softmax(x).numpy(), [[0.5, 0.5], [1, 0]])
    np.testing.assert_allclose(log_softmax(x).numpy(), [[-np.log(2)] * 2, [0, -np.inf]], rtol=1e-6)


def test_integers_give_float32_and_errors_name_the_axis():
    assert softmax([1, 1]).tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="softmax: axis 1 is out of range for a tensor with 1 axes"):
        softmax([1.0], 1)
    with pytest.raises(ValueError, match="log_softmax: axis must be one integer"):
        log_softmax(Tensor([[1.0]]), (0, 1))
    with pytest.raises(TypeError, match=r"softmax\(\) got 'dim'; tinygradconv follows NumPy: use axis="):
        softmax([1.0], dim=0)
