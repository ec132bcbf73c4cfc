"""Sums: the compiled form against wider sums over every run of axes; accuracy, NaN, and what is left to NumPy."""
from __future__ import annotations

import importlib
import math

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
    finally:
        MODULES[variant].set_threads(1)
    assert results[0] == results[1] == results[2]
