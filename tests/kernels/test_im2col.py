"""im2col and col2im: the reference against loops over windows, Cython against the reference, and the two adjoint."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv.kernels.im2col import reference

from tinygradconv.geometry import WindowGeometry

from .variants import TOLERANCE, TYPES, assert_close, poisoned, random, variants

COMPILED = variants("im2col")


@st.composite
def windows(draw, side=12):
    """Any windows that fit, some of them wholly in the padding, and with ceil_mode some that reach past it."""
    kernel, stride, dilation = ((draw(st.integers(1, 4)), draw(st.integers(1, 4))) for _ in range(3))
    padding = tuple((draw(st.integers(0, 5)), draw(st.integers(0, 5))) for _ in range(2))
    least = [max(1, dilation[i] * (kernel[i] - 1) + 1 - sum(padding[i])) for i in range(2)]
    H, W = (draw(st.integers(n, max(n, side))) for n in least)
    shape = draw(st.integers(0, 3)), H, W, draw(st.sampled_from((0, 1, 3, 8, 9)))
    return WindowGeometry.of("test", shape, kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=draw(st.booleans()))


def filled(implementation, source, shape, geo, *kind):
    """What a kernel makes of `source`."""
    to = poisoned(shape, source.dtype)
    (implementation[kind[0]] if kind else implementation)(source, to, geo)
    return to


@given(windows(side=5))
def test_reference_looks_at_every_cell_of_every_window(geo):
    x, cols = random(1, geo.x_shape, np.float64), random(2, geo.cols_shape, np.float64)
    want_cols, want_x = np.zeros((geo.N, geo.OH, geo.OW, geo.kh, geo.kw, geo.C)), np.zeros(geo.x_shape)
    cells = cols.reshape(want_cols.shape)
    for n, oy, ox, ky, kx in itertools.product(*map(range, want_cols.shape[:5])):
        iy, ix = geo.sy * oy + geo.dy * ky - geo.top, geo.sx * ox + geo.dx * kx - geo.left
        if 0 <= iy < geo.H and 0 <= ix < geo.W:
            want_cols[n, oy, ox, ky, kx] = x[n, iy, ix]
            want_x[n, iy, ix] += cells[n, oy, ox, ky, kx]
    assert_close(filled(reference.im2col, x, geo.cols_shape, geo), want_cols.reshape(geo.cols_shape), 0)
    assert_close(filled(reference.col2im, cols, geo.x_shape, geo), want_x, 1e-13)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("module", COMPILED, ids=lambda module: module.__name__[-2:])
@given(geo=windows())
def test_cython_is_the_reference_for_any_threads(module, kind, geo):
    x, cols = random(1, geo.x_shape, TYPES[kind]), random(2, geo.cols_shape, TYPES[kind])
    for threads in (1, 3):
        module.set_threads(threads)
        assert_close(filled(module.im2col, x, geo.cols_shape, geo, kind), filled(reference.im2col, x, geo.cols_shape, geo), 0)
        assert_close(filled(module.col2im, cols, geo.x_shape, geo, kind), filled(reference.col2im, cols, geo.x_shape, geo), TOLERANCE[kind])


@given(windows())
def test_col2im_is_the_adjoint_of_im2col(geo):
    x, cols = random(1, geo.x_shape, np.float64), random(2, geo.cols_shape, np.float64)
    left = (filled(COMPILED[0].im2col, x, geo.cols_shape, geo, "double") * cols).sum()
    right = (filled(COMPILED[0].col2im, cols, geo.x_shape, geo, "double") * x).sum()
    assert abs(left - right) <= 1e-12 * (1 + np.abs(cols).sum() * np.abs(x).max(initial=0))
