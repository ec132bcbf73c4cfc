"""Reshaping, permuting, broadcasting: against NumPy for values, by parity with PyTorch for derivatives."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygradconv as tgc
from tests.ops.shapes import assert_parity, close, normal, shapes
from tinygradconv.ops import shape as ops
from tinygradconv.tensor import Tensor


@given(shape=shapes, data=st.data())
def test_permutations_and_flips_agree_with_torch(shape, data):
    torch = pytest.importorskip("torch")
    order = data.draw(st.permutations(range(len(shape))))
    axes = tuple(i for i in range(len(shape)) if data.draw(st.booleans()))
    (x,) = normal(shape)
    assert_parity(lambda x: ops.permute_dims(x * x, order), lambda x: torch.permute(x * x, order), [x])
    assert_parity(lambda x: ops.flip(x * x, axes), lambda x: torch.flip(x * x, axes), [x])


@given(shape=shapes, data=st.data())
def test_expand_and_squeeze_are_numpy_s(shape, data):
    (x,) = normal(shape)
    ndim = len(shape) + 2
    axes = tuple(data.draw(st.lists(st.integers(-ndim, ndim - 1), min_size=2, max_size=2, unique_by=lambda i: i % ndim)))
    wide = ops.expand_dims(x, axes)
    close(wide, np.expand_dims(x, axes))
    close(ops.squeeze(wide, axes), x)
    close(ops.squeeze(x), np.squeeze(x))


@given(shape=shapes, data=st.data())
def test_broadcasting_and_its_adjoint_agree_with_torch(shape, data):
    pytest.importorskip("torch")
    small = tuple(data.draw(st.sampled_from([n, 1])) for n in shape)[data.draw(st.integers(0, len(shape))):]
    x, big = normal(small, shape)
    assert_parity(lambda x: ops.broadcast_to(x * x, shape), lambda x: (x * x).broadcast_to(shape), [x])
    assert_parity(lambda x: ops.sum_to(x * x, small), lambda x: (x * x).sum_to_size(small), [big])


def test_reshape_works_out_one_length_and_matrix_transpose_swaps_two_axes():
    x = np.arange(24.0).reshape(2, 3, 4)
    close(Tensor(x).reshape(4, -1), x.reshape(4, -1))
    close(Tensor(x).reshape((6, 4)), x.reshape(6, 4))
    close(Tensor(x).flatten(), x.ravel())
    close(Tensor(x).mT, np.swapaxes(x, 1, 2))
    close(Tensor(x).T, x.T)
    close(ops.moveaxis(x, 0, -1), np.moveaxis(x, 0, -1))
    close(ops.reshape(np.zeros((0, 3)), (3, 0)), np.zeros((3, 0)))


def test_views_cost_no_memory_and_share_their_version():
    x = Tensor(np.zeros((4, 6), "float32"))
    for view in (x.reshape(6, 4), x.T, x[1:3], x[None], ops.flip(x), x.broadcast_to((2, 4, 6)), x[0, 0]):
        assert np.shares_memory(view.data, x.data) and view.storage is x.storage
    assert x.T.reshape((24,)).storage is not x.storage               # a copy: the order of the values changed


def test_a_permuted_tensor_can_be_reshaped_and_differentiated():
    tgc.gradcheck(lambda x: (x.T.reshape((2, 6)) ** 3)[:, ::-2], [np.arange(12.0).reshape(4, 3) / 7])


@pytest.mark.parametrize(("call", "message"), [
    (lambda x: x.reshape(5, -1), r"reshape: x has shape \(2, 3\), 6 values, which do not fit into \(5, -1\)"),
    (lambda x: x.reshape(-1, -1), "only one length may be -1"),
    (lambda x: x.permute_dims((0,)), "x has 2 axes, so axes must name 2"),
    (lambda x: x.permute_dims((0, 0)), "names an axis twice"),
    (lambda x: x.permute_dims((0, 2)), "axis 2 is out of range for a tensor with 2 axes"),
    (lambda x: x.squeeze(0), r"axis 0 of x has length 2, not 1"),
    (lambda x: x.broadcast_to((2, 4)), r"\(2, 3\), which does not broadcast to \(2, 4\)"),
    (lambda x: ops.sum_to(x, (4,)), "does not broadcast to the shape"),
    (lambda x: ops.matrix_transpose(x[0]), "at least two axes"),
])
def test_errors_name_shapes(call, message):
    with pytest.raises(ValueError, match=message):
        call(Tensor(np.zeros((2, 3))))


def test_a_torch_spelling_gets_an_answer():
    x = Tensor(np.zeros((2, 1)))
    with pytest.raises(TypeError, match=r"squeeze\(\) got 'dim'; tinygradconv follows NumPy: use axis="):
        x.squeeze(dim=1)
    with pytest.raises(TypeError, match=r"permute_dims\(\) got 'dims'; tinygradconv follows NumPy: use axes="):
        ops.permute_dims(x, dims=(1, 0))
    with pytest.raises(TypeError, match=r"flip\(\) got 'input'; tinygradconv follows NumPy: use x="):
        ops.flip(input=x)
    with pytest.raises(TypeError, match=r"flip\(\) got 'colour'; its parameters are: x, axis"):
        ops.flip(x, colour=1)
