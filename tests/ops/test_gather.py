"""Indexing, take, gather and scatter_add, against NumPy (values) and PyTorch (derivatives)."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygradconv as tgc
from tests.ops.shapes import assert_parity, close, normal
from tinygradconv.ops import gather as ops
from tinygradconv.tensor import Tensor

ONE, TWO = np.array([2, 0, -1]), np.array([[1], [0]])
MASK = np.array([[True, False, True, True], [False, False, True, False], [True, True, False, False]])
INDICES = [
    2, -1, (0, 1), (0, 1, 2), np.int64(1), slice(None, None, -1), (slice(2, 0, -1), slice(None, None, 2)), ..., (..., 0), (None, 1),
    (1, None, ..., None), slice(5, 9), slice(0, 0), ONE, [0, 2], [], (ONE, ONE), (ONE, TWO),
    (slice(None), ONE), (ONE, slice(None), ONE), (slice(None), ONE, TWO),
    (0, slice(None), ONE), (ONE, None, TWO), (..., ONE), MASK, (MASK, 1), (slice(1), MASK[0]), (MASK[:, 0], ONE[:2]), True, False,
    (None, MASK, ...), ([0, 1], slice(None, None, -2)), np.array(1), (np.zeros((0, 2), int),), (slice(None), [True, False, False, True]),
]


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_indexing_is_numpy_s_to_second_order(index):
    (x,) = normal((3, 4, 5))
    flat = np.arange(x.size).reshape(x.shape)[index]
    close(Tensor(x)[index], x[index])
    t = Tensor(x, requires_grad=True)
    (g,) = tgc.grad((t[index] ** 3).sum(), [t], create_graph=True)
    expected, second = np.zeros(x.size), np.zeros(x.size)
    np.add.at(expected, flat, 3 * x[index] ** 2)
    np.add.at(second, flat, 6 * x[index])
    close(g, expected.reshape(x.shape))
    if flat.size:
        close(tgc.grad(g.sum(), t), second.reshape(x.shape))


@given(data=st.data(), shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
def test_random_indices_are_numpy_s(data, shape):
    x = np.arange(float(np.prod(shape))).reshape(shape)
    basic = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    close(Tensor(x)[basic], np.asarray(x[basic]))
    if shape and 0 not in shape:
        arrays = data.draw(hnp.integer_array_indices(shape))
        close(Tensor(x)[arrays], x[arrays])
        close(Tensor(x)[tuple(Tensor(a) for a in arrays)], x[arrays])
    mask = data.draw(hnp.arrays(bool, shape))
    close(Tensor(x)[mask], x[mask])


def test_a_basic_index_is_a_view_and_an_array_index_a_copy():
    x = Tensor(np.zeros((3, 4)))
    assert np.shares_memory(x[1:, ::2].data, x.data) and isinstance(x[0, 0].data, np.ndarray)
    assert not np.shares_memory(x[[0, 1]].data, x.data)


@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
def test_take_agrees_with_torch(data, shape):
    torch = pytest.importorskip("torch")
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    n = shape[axis]
    indices = data.draw(hnp.arrays(np.int64, hnp.array_shapes(max_dims=2, max_side=4), elements=st.integers(-n, n - 1)))
    (x,) = normal(shape)
    close(ops.take(x, indices, axis), np.take(x, indices, axis))
    close(ops.take(x, indices % n), np.take(x, indices % n))
    one = indices.reshape(-1) % n
    assert_parity(lambda x: ops.take(x * x, one, axis), lambda x: torch.index_select(x * x, axis, torch.tensor(one)), [x])


@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
def test_gather_and_scatter_add_agree_with_torch(data, shape):
    torch = pytest.importorskip("torch")
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    long = list(shape)
    long[axis] = data.draw(st.integers(1, 6))
    indices = data.draw(hnp.arrays(np.int64, tuple(long), elements=st.integers(0, shape[axis] - 1)))
    x, values = normal(shape, long)
    theirs = torch.tensor(indices)
    close(ops.take_along_axis(x, indices, axis), np.take_along_axis(x, indices, axis))
    close(ops.take_along_axis(x, indices - shape[axis], axis), np.take_along_axis(x, indices, axis))
    assert_parity(lambda x: ops.gather(x * x, indices, axis), lambda x: torch.gather(x * x, axis, theirs), [x])
    assert_parity(lambda x, v: ops.scatter_add(x * x, indices, v * v, axis), lambda x, v: (x * x).scatter_add(axis, theirs, v * v),
                  [x, values])


def test_lengths_of_one_broadcast():
    (x,) = normal((3, 4))
    close(ops.take_along_axis(x, np.array([[1, -1]]), 1), x[:, [1, -1]])
    close(ops.scatter_add(x, [[0]], 1.0, axis=0), x + np.array([[1.0], [0], [0]]))


def test_scatter_add_is_deterministic_and_adds_in_float64():
    values = np.full(100_000, 0.1, np.float32)
    got = ops.scatter_add(Tensor([0.0]), np.zeros(100_000, int), values)
    assert got.item() == np.float32(values.sum(dtype=np.float64))
    assert ops.scatter_add(Tensor([1, 2]), [0, 0], [5, 6]).tolist() == [12, 2]


def test_take_along_passes_gradcheck():
    tgc.gradcheck(lambda x: ops.take_along_axis(x ** 3, np.array([[0, 0, 2]]), 1), [np.arange(6.0).reshape(2, 3)])


@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda x: x[5], IndexError, r"x has shape \(3, 4\), the index is 5"),
    (lambda x: x[[0, 7]], IndexError, r"index 7 is out of bounds for axis 0 with size 3; x has shape \(3, 4\)"),
    (lambda x: x[0, 0, 0], IndexError, "too many indices"),
    (lambda x: x[[0.5]], IndexError, "integer"),
    (lambda x: x[np.zeros((3, 3), bool)], IndexError, "boolean index did not match"),
    (lambda x: ops.take(x, [4], 1), IndexError, "take: index 4 is out of range for axis 1 of length 4; indices run from 0 to 3"),
    (lambda x: ops.take(x, [-4], 0), IndexError, "take: index -4 is out of range for axis 0 of length 3"),
    (lambda x: ops.take(x, [0.5], 0), TypeError, "take: indices must be integers, got float32"),
    (lambda x: ops.gather(x, [0], 0), ValueError, r"gather: indices must have as many axes as x: indices has shape \(1,\)"),
    (lambda x: ops.gather(x, np.zeros((2, 3), int), 0), ValueError, "must agree, or be 1, on every axis but axis 0"),
    (lambda x: ops.gather(x, np.zeros((2, 4), int), dim=0), TypeError, r"gather\(\) got 'dim'; tinygradconv follows NumPy: use axis="),
    (lambda x: ops.scatter_add(x, index=np.zeros((2, 4), int), values=1.0), TypeError, "use indices="),
    (lambda x: ops.scatter_add(x, np.zeros((2, 4), int), np.zeros((5, 4)), 0), ValueError, "scatter_add: values of shape"),
])
def test_errors_say_where(call, kind, message):
    with pytest.raises(kind, match=message):
        call(Tensor(np.zeros((3, 4))))
