"""Reductions over any axes, against NumPy and PyTorch; accuracy, ties, zeros and infinities."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels.reduce.reference import reduce as reduce_kernel

import tinygradconv as tgc
from tests.ops.shapes import assert_parity, close, normal, shapes, with_axis
from tinygradconv.ops import reduce as ops
from tinygradconv.ops import spread
from tinygradconv.tensor import Tensor


def _dims(shape, axis):
    """The axes as a list of integers, which is what torch takes."""
    return list(range(len(shape))) if axis is None else [axis] if isinstance(axis, int) else list(axis)


@pytest.mark.parametrize("name", ["sum", "mean", "var", "std", "logsumexp"])
@given(case=with_axis())
def test_sums_and_spreads_agree_with_torch_to_second_order(name, case):
    torch = pytest.importorskip("torch")
    shape, axis, keepdims = case
    dims = _dims(shape, axis)
    (x,) = normal(shape)
    f = getattr(ops, name, None) or getattr(spread, name)
    if not dims or name in ("var", "std") and np.prod([shape[i] for i in dims]) < 2:
        return                                             # torch takes no axes as all axes; a spread of one value is tested below
    if name in ("var", "std"):
        assert_parity(lambda x: f(x, axis, correction=1, keepdims=keepdims),
                      lambda x: getattr(torch, name)(x, dim=dims, correction=1, keepdim=keepdims), [x], factor=1e3)
    else:
        assert_parity(lambda x: f(x, axis, keepdims=keepdims), lambda x: getattr(torch, name)(x, dim=dims, keepdim=keepdims), [x])


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod", "var", "std", "any", "all"])
@given(case=with_axis())
def test_values_are_numpy_s_over_any_axes(name, case):
    shape, axis, keepdims = case
    (x,) = normal(shape)
    axis = tuple(axis) if isinstance(axis, list) else axis
    f = getattr(ops, name, None) or getattr(spread, name)
    close(f(x, axis, keepdims=keepdims), getattr(np, name)(x, axis=axis, keepdims=keepdims))


@pytest.mark.parametrize("name", ["max", "min"])
@given(case=with_axis())
def test_extremes_agree_with_torch_to_second_order(name, case):
    torch = pytest.importorskip("torch")
    shape, axis, keepdims = case
    (x,) = normal(shape)
    if _dims(shape, axis):
        assert_parity(lambda x: getattr(ops, name)(x * x, axis, keepdims=keepdims),
                      lambda x: getattr(torch, "a" + name)(x * x, dim=_dims(shape, axis), keepdim=keepdims), [x])


def test_the_first_among_equals_gets_the_gradient():
    x = Tensor([[1.0, 2.0, 2.0], [2.0, 0.0, 2.0]], requires_grad=True)
    assert tgc.grad(x.max(), x).tolist() == [[0, 1, 0], [0, 0, 0]]
    assert tgc.grad(x.max(1).sum(), x).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert tgc.grad(x.max(0).sum(), x).tolist() == [[0, 1, 1], [1, 0, 0]]
    assert tgc.grad(x.min(()).sum(), x).tolist() == [[1, 1, 1], [1, 1, 1]]
    assert np.isnan(Tensor([1.0, np.nan, 3.0]).max().item())


@given(case=with_axis(), zeros=st.integers(0, 3))
def test_products_are_right_where_values_are_zero(case, zeros):
    torch = pytest.importorskip("torch")
    shape, axis, keepdims = case
    (x,) = normal(shape)
    x.reshape(-1)[:zeros] = 0

    def by_multiplying(x):
        y = x.permute([*(i for i in range(x.ndim) if i not in dims), *dims]).reshape(*[n for i, n in enumerate(shape) if i not in dims], -1)
        out = torch.ones_like(y[..., 0])
        for i in range(y.shape[-1]):
            out = out * y[..., i]
        return out.reshape([1 if i in dims else n for i, n in enumerate(shape)]) if keepdims else out
    dims = [i % len(shape) for i in _dims(shape, axis)]
    assert_parity(lambda x: spread.prod(x, axis, keepdims=keepdims), by_multiplying, [x], factor=100)


def test_products_pass_gradcheck_with_two_zeros():
    tgc.gradcheck(lambda x: spread.prod(x, 1), [[[0.0, 2.0, 0.0, -1.5, 3.0], [0.0, 1.0, 2.0, 3.0, 4.0]]])


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@given(case=with_axis())
def test_positions_are_numpy_s(name, case):
    shape, axis, keepdims = case
    (x,) = normal(shape)
    axis = axis if axis is None or isinstance(axis, int) else None
    close(getattr(ops, name)(np.round(x), axis, keepdims=keepdims), getattr(np, name)(np.round(x), axis=axis, keepdims=keepdims))


@given(shape=shapes, data=st.data())
def test_running_sums_agree_with_torch(shape, data):
    pytest.importorskip("torch")
    (x,) = normal(shape)
    if not shape:
        return close(ops.cumsum(x), np.cumsum(x))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    assert_parity(lambda x: ops.cumsum(x * x, axis), lambda x: (x * x).cumsum(axis), [x])
    assert_parity(lambda x: ops.cumsum(x * x, axis, reverse=True), lambda x: (x * x).flip(axis).cumsum(axis).flip(axis), [x])


@pytest.mark.parametrize(("shape", "axes"), [
    ((300_000, 2), (0,)), ((40, 70, 50, 3), (0, 1, 2)), ((3, 100_000, 1), (1,)), ((200, 3, 500), (0, 2)), ((2, 1000, 129), (1,)),
    ((600_000,), (0,))])
def test_float32_sums_of_many_values_are_accurate(shape, axes):
    x = np.random.default_rng(0).random(shape, dtype=np.float32)
    exact = x.sum(axes, dtype=np.float64)
    np.testing.assert_allclose(Tensor(x).sum(axes).numpy(), exact, rtol=5e-7)
    y = np.empty([1 if i in axes else n for i, n in enumerate(shape)][::-1], np.float32)
    reduce_kernel(x.T, y, "sum", tuple(len(shape) - 1 - i for i in axes))             # any strides
    np.testing.assert_allclose(y.T.reshape(exact.shape), exact, rtol=5e-7)


def test_one_value_after_another_is_not_that_accurate():
    x = np.full(300_000, 0.1, np.float32)
    assert abs(np.cumsum(x)[-1] - x.sum(dtype=np.float64)) > 1e-4 * 30_000


def test_sums_of_integers_are_wide_and_sums_of_nothing_are_zero():
    assert Tensor(np.full(300, 200, np.uint8)).sum().item() == 60_000
    assert Tensor([True, True, False]).sum().item() == 2 and Tensor([True, True]).sum(()).dtype == np.int64
    empty = Tensor(np.zeros((0, 3), "float32"), requires_grad=True)
    assert empty.sum(0).tolist() == [0, 0, 0] and spread.prod(empty).item() == 1 and tgc.grad(spread.prod(empty), empty).shape == (0, 3)
    assert np.isnan(empty.mean().item()) and spread.logsumexp(empty, 0).tolist() == [-np.inf] * 3
    assert ops.any(empty).item() is False and ops.all(empty).item() is True
    assert Tensor([1, 2]).mean().item() == 1.5 and Tensor([1, 2]).mean().dtype == np.float32


def test_no_axes_change_nothing():
    x = Tensor([[1.0, -2.0]], requires_grad=True)
    for y in (x.sum(()), x.mean(()), x.max(()), x.min(axis=()), x.prod(())):
        assert y.tolist() == x.tolist() and tgc.grad(y.sum(), x).tolist() == [[1, 1]]
    assert x.var(()).tolist() == [[0, 0]]


def test_log_sum_exp_neither_overflows_nor_loses_infinities():
    inf = np.inf
    x = Tensor([[1000.0, 1000.0], [-1000.0, -inf], [-inf, -inf], [inf, 0.0]], requires_grad=True)
    y = spread.logsumexp(x, 1)
    np.testing.assert_allclose(y.numpy(), [1000 + np.log(2), -1000, -inf, inf], rtol=1e-6)
    np.testing.assert_allclose(tgc.grad(y.sum(), x).numpy()[:3], [[0.5, 0.5], [1, 0], [0, 0]], rtol=1e-4)


def test_a_constant_has_no_spread_and_its_gradient_is_zero():
    x = Tensor([2.0, 2.0, 2.0], requires_grad=True)
    assert x.std().item() == 0 and tgc.grad(x.std(), x).tolist() == [0, 0, 0]
    assert np.isnan(Tensor([1.0]).var(correction=1).item())


@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda x: x.sum(dim=1), TypeError, r"sum\(\) got 'dim'; tinygradconv follows NumPy: use axis="),
    (lambda x: x.mean(axis=0, keepdim=True), TypeError, r"mean\(\) got 'keepdim'; tinygradconv follows NumPy: use keepdims="),
    (lambda x: x.var(ddof=1), TypeError, r"var\(\) got 'ddof'; tinygradconv follows NumPy: use correction="),
    (lambda x: x.sum(2), ValueError, "sum: axis 2 is out of range for a tensor with 2 axes"),
    (lambda x: x.sum((0, -2)), ValueError, "sum: axis .* names an axis twice"),
    (lambda x: x.sum(0.5), TypeError, "sum: axis must be an integer, got 0.5"),
    (lambda x: x[:0].max(0), ValueError, r"max: there is no max of no values; x has shape \(0, 3\)"),
    (lambda x: x[:0].argmin(), ValueError, "argmin: there is no argmin of no values"),
    (lambda x: x.argmax((0, 1)), ValueError, "argmax: axis must be one integer or None"),
    (lambda x: x.cumsum((0, 1)), ValueError, "cumsum: axis must be one integer or None"),
])
def test_errors_say_what_to_do(call, kind, message):
    with pytest.raises(kind, match=message):
        call(Tensor(np.zeros((2, 3))))
