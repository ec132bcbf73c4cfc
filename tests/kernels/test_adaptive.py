"""Pooling by listed windows: hand numbers and naive loops; the adjoint; where a maximum stands."""
from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels.adaptive import reference

WINDOWS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 7)).map(lambda w: (w[0], min(7, w[0] + w[1]))), max_size=6)


def listed(windows):
    """(starts, ends) of windows on seven places."""
    return np.array([start for start, _ in windows], np.int64), np.array([end for _, end in windows], np.int64)


def test_two_windows_that_share_a_place_by_hand():
    x, (starts, ends) = np.array([3., 1, 4, 1, 5]).reshape(1, 5, 1), (np.array([0, 2]), np.array([3, 5]))
    y, back, where = np.full((1, 2, 1), np.nan), np.full((1, 5, 1), np.nan), np.full((1, 2, 1), -1)
    reference.adaptive_mean(x, starts, ends, np.array([1., 10]), y)
    assert y.ravel().tolist() == [8, 100]
    reference.adaptive_spread(np.array([1., 2]).reshape(1, 2, 1), starts, ends, np.array([1., 10]), back)
    assert back.ravel().tolist() == [1, 1, 21, 20, 20]
    reference.adaptive_max(x, starts, ends, y, where)
    assert (y.ravel().tolist(), where.ravel().tolist()) == ([4, 5], [2, 4])


@given(windows=WINDOWS, A=st.integers(0, 3), B=st.integers(1, 3))
def test_every_window_by_itself(windows, A, B):
    random = np.random.default_rng(0)
    x, scale, (starts, ends) = random.integers(0, 3, (A, 7, B)).astype(float), random.standard_normal(len(windows)), listed(windows)
    total, largest, where = (np.full((A, len(windows), B), value) for value in (np.nan, np.nan, -1))
    reference.adaptive_mean(x, starts, ends, scale, total)
    reference.adaptive_max(x, starts, ends, largest, where)
    for a, i, b in np.ndindex(total.shape):
        cells = [x[a, p, b] for p in range(*windows[i])]
        np.testing.assert_allclose(total[a, i, b], sum(cells) * scale[i])
        assert largest[a, i, b] == max(cells)
        assert where[a, i, b] == (a * 7 + windows[i][0] + cells.index(max(cells))) * B + b


@given(windows=WINDOWS, A=st.integers(0, 3), B=st.integers(1, 3))
def test_spreading_is_the_adjoint_of_summing(windows, A, B):
    """⟨g, sum(x)⟩ = ⟨spread(g), x⟩."""
    random = np.random.default_rng(0)
    (starts, ends), scale = listed(windows), random.standard_normal(len(windows))
    x, g = random.standard_normal((A, 7, B)), random.standard_normal((A, len(windows), B))
    y, back = np.full(g.shape, np.nan), np.full(x.shape, np.nan)
    reference.adaptive_mean(x, starts, ends, scale, y)
    reference.adaptive_spread(g, starts, ends, scale, back)
    np.testing.assert_allclose((g * y).sum(), (back * x).sum(), atol=1e-12)


def test_the_first_not_a_number_is_the_maximum():
    x, y, where = np.array([1, np.nan, 9, np.nan]).reshape(1, 4, 1), np.zeros((1, 1, 1)), np.zeros((1, 1, 1), np.int64)
    reference.adaptive_max(x, np.array([0]), np.array([4]), y, where)
    assert np.isnan(y).all() and where.item() == 1
