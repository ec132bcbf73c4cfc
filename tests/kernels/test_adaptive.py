"""Pooling by listed windows: hand numbers and naive loops; the adjoint; where a maximum stands; every compiled form."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels.adaptive import reference

from .variants import assert_close, poisoned, variants

MODULES = variants("adaptive")
DTYPES = st.sampled_from([np.float32, np.float64])
WINDOWS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 7)).map(lambda w: (w[0], min(7, w[0] + w[1]))), max_size=6)
CHANNELS = st.sampled_from([1, 2, 3, 8, 17, 255, 256, 300, 515])           # a strip of columns has 256

pytestmark = pytest.mark.parametrize("module", [reference, *MODULES], ids=lambda m: m.__name__)


def kernel(module, name, dtype):
    """A kernel for this dtype; the definition takes any."""
    function = getattr(module, name)
    return function if module is reference else function["float" if dtype == np.float32 else "double"]


def listed(windows):
    """(starts, ends) of windows on seven places."""
    return np.array([start for start, _ in windows], np.int64), np.array([end for _, end in windows], np.int64)


def test_two_windows_that_share_a_place_by_hand(module):
    x, (starts, ends) = np.array([3., 1, 4, 1, 5]).reshape(1, 5, 1), (np.array([0, 2]), np.array([3, 5]))
    y, back, where = np.full((1, 2, 1), np.nan), np.full((1, 5, 1), np.nan), np.full((1, 2, 1), -1)
    kernel(module, "adaptive_mean", x.dtype)(x, starts, ends, np.array([1., 10]), y)
    assert y.ravel().tolist() == [8, 100]
    kernel(module, "adaptive_spread", x.dtype)(np.array([1., 2]).reshape(1, 2, 1), starts, ends, np.array([1., 10]), back)
    assert back.ravel().tolist() == [1, 1, 21, 20, 20]
    kernel(module, "adaptive_max", x.dtype)(x, starts, ends, y, where)
    assert (y.ravel().tolist(), where.ravel().tolist()) == ([4, 5], [2, 4])


@given(windows=WINDOWS, A=st.integers(0, 3), B=st.integers(1, 3))
def test_every_window_by_itself(module, windows, A, B):
    random = np.random.default_rng(0)
    x, scale, (starts, ends) = random.integers(0, 3, (A, 7, B)).astype(float), random.standard_normal(len(windows)), listed(windows)
    total, largest, where = (np.full((A, len(windows), B), value) for value in (np.nan, np.nan, -1))
    kernel(module, "adaptive_mean", x.dtype)(x, starts, ends, scale, total)
    kernel(module, "adaptive_max", x.dtype)(x, starts, ends, largest, where)
    for a, i, b in np.ndindex(total.shape):
        cells = [x[a, p, b] for p in range(*windows[i])]
        np.testing.assert_allclose(total[a, i, b], sum(cells) * scale[i])
        assert largest[a, i, b] == max(cells)
        assert where[a, i, b] == (a * 7 + windows[i][0] + cells.index(max(cells))) * B + b


@given(windows=WINDOWS, A=st.integers(0, 3), B=st.integers(1, 3))
def test_spreading_is_the_adjoint_of_summing(module, windows, A, B):
    """⟨g, sum(x)⟩ = ⟨spread(g), x⟩."""
    random = np.random.default_rng(0)
    (starts, ends), scale = listed(windows), random.standard_normal(len(windows))
    x, g = random.standard_normal((A, 7, B)), random.standard_normal((A, len(windows), B))
    y, back = np.full(g.shape, np.nan), np.full(x.shape, np.nan)
    kernel(module, "adaptive_mean", x.dtype)(x, starts, ends, scale, y)
    kernel(module, "adaptive_spread", x.dtype)(g, starts, ends, scale, back)
    np.testing.assert_allclose((g * y).sum(), (back * x).sum(), atol=1e-12)


@given(windows=WINDOWS, A=st.integers(0, 3), B=CHANNELS, dtype=DTYPES)
def test_many_channels_are_the_definitions(module, windows, A, B, dtype):
    random, (starts, ends) = np.random.default_rng(0), listed(windows)
    x, g = random.integers(-3, 4, (A, 7, B)).astype(dtype), random.standard_normal((A, len(windows), B)).astype(dtype)
    scale, filled = random.uniform(0.5, 2, len(windows)).astype(dtype), []
    for each in module, reference:
        y, back, most, where = (poisoned(shape, kind) for shape, kind in ((g.shape, dtype), (x.shape, dtype), (g.shape, dtype),
                                                                         (g.shape, np.float64)))
        where = where.view(np.int64)
        kernel(each, "adaptive_mean", dtype)(x, starts, ends, scale, y)
        kernel(each, "adaptive_spread", dtype)(g, starts, ends, scale, back)
        kernel(each, "adaptive_max", dtype)(x, starts, ends, most, where)
        filled.append((y, back, most, where))
    for got, want, tolerance in zip(*filled, (1e-6 if dtype == np.float32 else 1e-14,) * 2 + (0, 0)):
        assert_close(got, want, tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_first_not_a_number_is_the_maximum(module, dtype):
    for column in ([1, np.nan, 9, np.nan], [np.nan, np.nan, 9, 1]):
        x, y, where = np.repeat(np.array(column, dtype), 9).reshape(1, 4, 9), np.zeros((1, 1, 9), dtype), np.zeros((1, 1, 9), np.int64)
        kernel(module, "adaptive_max", dtype)(x, np.array([0]), np.array([4]), y, where)
        assert np.isnan(y).all() and (where.ravel() // 9 == np.isnan(column).argmax()).all()


def test_thread_count_changes_no_bit(module):
    if module is reference:
        return
    random, results = np.random.default_rng(0), []
    x, i = random.standard_normal((6, 61, 300)).astype(np.float32), np.arange(17)
    starts, ends = i * 61 // 17, -(-(i + 1) * 61 // 17)
    try:
        for threads in 1, 2, 3:
            module.set_threads(threads)
            y, back, where = poisoned((6, 17, 300), np.float32), poisoned(x.shape, np.float32), np.empty((6, 17, 300), np.int64)
            kernel(module, "adaptive_mean", x.dtype)(x, starts, ends, (1 / (ends - starts)).astype(np.float32), y)
            kernel(module, "adaptive_spread", x.dtype)(y, starts, ends, (1 / (ends - starts)).astype(np.float32), back)
            kernel(module, "adaptive_max", x.dtype)(x, starts, ends, y, where)
            results.append((y.tobytes(), back.tobytes(), where.tobytes()))
    finally:
        module.set_threads(1)
    assert results[0] == results[1] == results[2]
