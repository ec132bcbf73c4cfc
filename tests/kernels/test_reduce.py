"""Sums, products and extremes: the compiled form against wider ones over every run of axes; accuracy, NaN, the ways back."""
from __future__ import annotations

import importlib
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv._compiled import isa
from tinygradconv.kernels.reduce import reference

MODULES = {variant: importlib.import_module(f"tinygradconv._compiled.reduce_{variant}") for variant in isa.variants()}
LENGTHS = st.sampled_from([1, 2, 3, 6, 7, 8, 9, 16, 17, 70, 511, 513, 1030])
DTYPES = st.sampled_from([np.float32, np.float64])

pytestmark = pytest.mark.parametrize("variant", MODULES)


def total(module, x, axes):
    """The kernel's answer, from an output that was 99."""
    y = np.full([1 if i in axes else n for i, n in enumerate(x.shape)], 99, x.dtype)
    module.reduce(x, y, "sum", axes)
    return y


@given(shape=st.lists(LENGTHS, min_size=1, max_size=4).filter(lambda shape: math.prod(shape) < 300_000), dtype=DTYPES, data=st.data())
def test_sums_over_any_axes_are_right_to_a_few_roundings(variant, shape, dtype, data):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype) + 1
    axes = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1))))
    want = x.sum(axes, dtype=np.longdouble, keepdims=True) if axes else x
    scale = np.abs(x).sum(axes, dtype=np.float64, keepdims=True) if axes else np.abs(x)
    assert (np.abs(total(MODULES[variant], x, axes) - want) <= 8 * np.finfo(dtype).eps * scale).all()


@given(shape=st.lists(LENGTHS, min_size=1, max_size=4).filter(lambda shape: math.prod(shape) < 300_000), dtype=DTYPES, data=st.data())
def test_products_and_extremes_over_any_axes(variant, shape, dtype, data):
    random, axes = np.random.default_rng(0), tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1)))))
    x = random.standard_normal(shape).astype(dtype)
    if data.draw(st.booleans()):
        x.flat[random.integers(0, x.size, 1 + x.size // 50)] = np.nan
    near = np.where(np.isnan(x), x, 1 + x / 64).astype(dtype)
    for op, values, exact in ("max", x, np.max), ("min", x, np.min), ("prod", near, np.prod):
        y = np.full([1 if i in axes else n for i, n in enumerate(shape)], 99, dtype)
        MODULES[variant].reduce(values, y, op, axes)
        want = exact(values.astype(np.longdouble), axis=axes, keepdims=True)
        np.testing.assert_allclose(y, want, rtol=0 if op != "prod" else 200 * np.finfo(dtype).eps)


@given(shape=st.lists(LENGTHS, min_size=1, max_size=4).filter(lambda shape: math.prod(shape) < 100_000), dtype=DTYPES, data=st.data())
def test_a_mean_is_the_sum_rounded_and_then_divided(variant, shape, dtype, data):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype) + 1
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1)))))
    for run in MODULES[variant].reduce, reference.reduce:
        y = total(SimpleNamespace(reduce=run), x, axes)
        mean = np.full_like(y, 99)
        run(x, mean, "mean", axes)
        assert (mean == y / dtype(math.prod(shape[i] for i in axes))).all()


@pytest.mark.parametrize("op", ["sum", "mean", "max", "any"])
def test_the_axes_may_be_left_out_of_the_result(variant, op):
    x = np.random.default_rng(0).standard_normal((6, 300, 5)).astype(np.float32)
    for axes in (0,), (1,), (0, 1), (0, 2), (0, 1, 2), ():
        for run in MODULES[variant].reduce, reference.reduce:
            kept, dropped = (np.zeros(shape, bool if op == "any" else x.dtype) for shape in (
                [1 if i in axes else n for i, n in enumerate(x.shape)], [n for i, n in enumerate(x.shape) if i not in axes]))
            run(x, kept, op, axes)
            run(x, dropped, op, axes)
            assert kept.tobytes() == dropped.tobytes() and kept.any()


def test_the_mean_of_nothing_is_nan(variant):
    y = np.zeros((2, 1), np.float32)
    MODULES[variant].reduce(np.zeros((2, 0), np.float32), y, "mean", (1,))
    assert np.isnan(y).all()


def naive_ways_back(g, x, axes):
    """(of the maximum, of the product), value by value."""
    most, product = np.zeros(x.shape), np.zeros(x.shape)
    for kept in np.ndindex(*[1 if i in axes else n for i, n in enumerate(x.shape)]):
        group = [at for at in np.ndindex(*x.shape) if all(i in axes or at[i] == kept[i] for i in range(x.ndim))]
        values = [x[at] for at in group]
        most[group[int(np.argmax(values))]] = g[kept]
        for k, at in enumerate(group):
            product[at] = g[kept] * math.prod(values[:k] + values[k + 1:])
    return most, product


@given(shape=st.lists(st.sampled_from([1, 2, 3, 5]), min_size=1, max_size=4), compiled=st.booleans(), dtype=DTYPES, data=st.data())
def test_the_ways_back_are_those_of_a_plain_loop(variant, shape, compiled, dtype, data):
    module, axes = MODULES[variant] if compiled else reference, tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1)))))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = random.integers(-2, 3, shape).astype(dtype)                                 # many are equal, and many 0
    if data.draw(st.booleans()):
        x.flat[random.integers(x.size)] = np.nan
    y = np.max(x, axis=axes, keepdims=True)
    g, most, product = random.standard_normal(y.shape).astype(dtype), np.full(shape, 99, dtype), np.full(shape, 99, dtype)
    module.extreme_backward(g, x, y, most, axes)
    module.prod_backward(g, x, product, axes)
    for got, want in zip((most, product), naive_ways_back(g, x, axes)):
        np.testing.assert_allclose(got, want, rtol=1e-5 if dtype == np.float32 else 1e-13)
    again = np.full(shape, 99, dtype)
    dropped = [n for i, n in enumerate(shape) if i not in axes]
    module.extreme_backward(g.reshape(dropped), x, y.reshape(dropped), again, axes)
    assert again.tobytes() == most.tobytes()


@pytest.mark.parametrize("shape, axes", [((3, 40, 700), (1,)), ((4000,), (0,)), ((70, 600), (1,)), ((2, 3, 40, 30), (1, 2)),
                                         ((5, 4, 3), (2, 0))])
def test_long_ways_back_are_the_references(variant, shape, axes):
    x = np.random.default_rng(0).standard_normal(shape) / 50 + 1
    y, filled = x.min(axes, keepdims=True), []
    g = np.random.default_rng(1).standard_normal(y.shape)
    for module in MODULES[variant], reference:
        least, product = np.full(shape, np.nan), np.full(shape, np.nan)
        module.extreme_backward(g, x, y, least, axes)
        module.prod_backward(g, x, product, axes)
        filled.append((least, product))
    np.testing.assert_array_equal(filled[0][0], filled[1][0])
    np.testing.assert_allclose(filled[0][1], filled[1][1], rtol=1e-11)
    assert np.count_nonzero(filled[0][0]) == y.size


@pytest.mark.parametrize("shape, axes", [((600_000,), (0,)), ((300_000, 2), (0,)), ((3, 100_000), (1,)), ((40, 70, 50, 3), (0, 1, 2))])
def test_long_float32_sums_lose_less_than_half_a_millionth(variant, shape, axes):
    x = np.random.default_rng(0).random(shape, dtype=np.float32)
    np.testing.assert_allclose(total(MODULES[variant], x, axes), x.sum(axes, dtype=np.float64, keepdims=True), rtol=2e-7)


def test_not_a_number_and_infinity_come_through(variant):
    x = np.ones((600, 5), np.float32)
    x[70, 1], x[599, 2], x[0, 3], x[1, 3] = np.nan, np.inf, np.inf, -np.inf
    np.testing.assert_array_equal(total(MODULES[variant], x, (0,)), [[600, np.nan, np.inf, np.nan, 600]])


def test_what_is_no_plain_sum_goes_to_numpy(variant):
    module, x = MODULES[variant], np.arange(24.0).reshape(2, 3, 4)
    for a, axes in (x, (0, 2)), (x.T, (0,)), (x[:, :0], (1,)), (x.astype(np.int64), (1,)), (x, ()):
        np.testing.assert_array_equal(total(module, a, axes), a.sum(axes, keepdims=True))
    y, at, running = np.empty((2, 1, 4)), np.empty((2, 1, 4), np.int64), np.empty_like(x)
    module.reduce(x, y, "max", (1,))
    module.arg_reduce(x, at, "argmax", 1)
    module.cumulative_sum(x, running, 1, True)
    np.testing.assert_array_equal(y, x[:, 2:])
    assert (at == 2).all()
    reference.cumulative_sum(x, want := np.empty_like(x), 1, True)
    np.testing.assert_array_equal(running, want)


def test_thread_count_changes_no_bit(variant):
    random, results = np.random.default_rng(0), []
    arrays = [random.standard_normal(shape).astype(np.float32) for shape in ((200_001,), (70_000, 6), (40, 9000), (50, 30, 100))]
    try:
        for threads in 1, 2, 3:
            MODULES[variant].set_threads(threads)
            results.append([total(MODULES[variant], x, axes).tobytes() for x in arrays for axes in ((0,), tuple(range(x.ndim)))])
            for x in arrays:
                y, back, product = np.empty((1, *x.shape[1:]), np.float32), np.empty_like(x), np.empty_like(x)
                MODULES[variant].reduce(x, y, "max", (0,))
                MODULES[variant].extreme_backward(y, x, y, back, (0,))
                MODULES[variant].prod_backward(y, x, product, (0,))
                results[-1] += [y.tobytes(), back.tobytes(), product.tobytes()]
    finally:
        MODULES[variant].set_threads(1)
    assert results[0] == results[1] == results[2]
