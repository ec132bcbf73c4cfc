"""im2col and col2im of CUDA kernels, emulated, against the reference back end."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.im2col import cuda as kernels
from tinygradconv.kernels.im2col import reference

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)
from tinygradconv.geometry import WindowGeometry

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, InvalidAddress

from .mutants import mutant

DEVICE = EmulatedDevice()


@st.composite
def windows(draw):
    """Windows over small images: any stride, dilation, padding on each side."""
    kernel, stride, dilation = (tuple(draw(st.integers(1, most)) for _ in range(2)) for most in (3, 3, 2))
    padding = tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(2))
    least = [max(1, dilation[i] * (kernel[i] - 1) + 1 - sum(padding[i])) for i in range(2)]
    H, W = (draw(st.integers(n, n + 3)) for n in least)
    return WindowGeometry.of("test", (draw(st.integers(0, 2)), H, W, draw(st.sampled_from((1, 2, 3)))), kernel, stride=stride,
                             padding=padding, dilation=dilation, ceil_mode=draw(st.booleans()))


def check(made, geo, dtype):
    """Both ways, to the bit: nothing is computed on one, and the other adds in the reference's order."""
    x = np.random.default_rng(0).standard_normal(geo.x_shape).astype(dtype)
    cols, expected = DEVICE.empty(geo.cols_shape, dtype), np.empty(geo.cols_shape, dtype)
    made.im2col(DEVICE, x, cols, geo)
    reference.im2col(x, expected, geo)
    assert (cols == expected).all()
    g = np.random.default_rng(1).standard_normal(geo.cols_shape).astype(dtype)
    back, expected = DEVICE.empty(geo.x_shape, dtype), np.empty(geo.x_shape, dtype)
    made.col2im(DEVICE, g, back, geo)
    reference.col2im(g, expected, geo)
    assert (back == expected).all()


@settings(max_examples=40, deadline=None)
@given(windows(), st.sampled_from([np.float32, np.float64]))
def test_im2col_and_col2im_are_the_references(geo, dtype):
    check(kernels, geo, dtype)


PREY = WindowGeometry.of("test", (1, 8, 5, 4), 2, stride=(2, 1), padding=((1, 0), (1, 1)), dilation=(1, 2))
MUTANTS = {
    "a row above the image": ("0 <= iy < H and", "-1 <= iy < H and", (InvalidAddress, AssertionError)),
    "a column beside the image": ("0 <= ix < W else", "0 <= ix <= W else", (InvalidAddress, AssertionError)),
    "a thread too many": ("if i < size:\n            window", "if i <= size:\n            window", InvalidAddress),
    "windows between the steps": ("oy * sy == iy - dy * ky and oy", "oy", AssertionError),
    "a window below the last": ("and oy < OH", "and oy <= OH", (InvalidAddress, AssertionError)),
    "no dilation": ("max(ix - dx * kx, 0)", "max(ix - kx, 0)", AssertionError),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name):
    old, new, fault = MUTANTS[name]
    with pytest.raises(fault):
        check(mutant(kernels, old, new), PREY, np.float32)


def test_the_kernels_are_right_where_their_mutants_are_not():
    check(kernels, PREY, np.float32)


def test_configurations_hold_what_is_launched():
    made = kernels.configurations()
    assert len(set(made)) == len(made) == 4
