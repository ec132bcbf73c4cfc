"""CUDA kernels of pool/, emulated, against the reference back end."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.cuda import columns
from tinygradconv.kernels.pool import cuda as kernels
from tinygradconv.kernels.pool import cuda_images, cuda_long, cuda_windows, reference

from tinygradconv.geometry import WindowGeometry

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import EmulatedDevice, InvalidAddress, Race

from .mutants import mutant_of_several

DEVICE = EmulatedDevice()
ANY = (AssertionError, InvalidAddress, Race)
MODULES = (columns, cuda_windows, cuda_images, cuda_long, kernels)
NARROW = (columns, "THREADS = 512", "THREADS = 64", 1)
SMALL = mutant_of_several(MODULES, NARROW)         # with smaller blocks for long windows: less is to be emulated


@st.composite
def windows(draw):
    """Geometries with padding up to the window, dilation, gaps between windows, ceil_mode, and no images at all."""
    k, s, d = (tuple(draw(st.integers(1, top)) for _ in range(2)) for top in (3, 4, 3))
    span = [d[i] * (k[i] - 1) + 1 for i in range(2)]
    pad = tuple(tuple(draw(st.integers(0, k[i])) for _ in range(2)) for i in range(2))
    size = tuple(draw(st.integers(max(1, span[i] - sum(pad[i])), span[i] + 4)) for i in range(2))
    return WindowGeometry.of("test", (draw(st.integers(0, 2)), *size, draw(st.sampled_from([1, 3, 4, 8]))), k, stride=s, padding=pad,
                             dilation=d, ceil_mode=draw(st.booleans()))


def image(shape, dtype, seed):
    """Few different numbers, so that maxima tie, and now and then NaN or −∞."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, shape).astype(dtype)
    x[rng.random(shape) < 0.1], x[rng.random(shape) < 0.1] = np.nan, -np.inf
    return x


def same(made, name, operands, shape, dtype, geo, *more):
    """The kernel fills what its definition fills."""
    filled = [(DEVICE.empty(shape, kind), np.empty(shape, kind)) for kind in (dtype, *more)]
    getattr(made, name)(DEVICE, *operands, *(ours for ours, _ in filled), geo)
    getattr(reference, name)(*operands, *(theirs for _, theirs in filled), geo)
    for ours, theirs in filled:
        np.testing.assert_array_equal(ours, theirs)
    return filled[-1][1]


def check(made, geo, dtype=np.float32, taps=np.uint8):
    """All five kernels; sums are in the definition's order, so they are the same to the bit."""
    x, g = image(geo.x_shape, dtype, 0), np.random.default_rng(1).standard_normal(geo.y_shape).astype(dtype)
    where = same(made, "max_pool2d", (x,), geo.y_shape, dtype, geo, taps)
    for there in (where, np.random.default_rng(3).integers(0, geo.kh * geo.kw + 1, geo.y_shape).astype(taps)):
        same(made, "pool_gather", (x, there), geo.y_shape, dtype, geo)           # the second time taps may lie in the padding
        same(made, "pool_scatter", (g, there), geo.x_shape, dtype, geo)
    weights, scale = g.sum() + np.arange(geo.kh * geo.kw, dtype=dtype).reshape(geo.kh, geo.kw), g.sum((0, 3), dtype=dtype)
    x = np.random.default_rng(2).standard_normal(geo.x_shape).astype(dtype)
    same(made, "window_sum", (x, weights, scale), geo.y_shape, dtype, geo)
    same(made, "window_spread", (g, weights, scale), geo.x_shape, dtype, geo)


@settings(max_examples=25, deadline=None)
@given(windows(), st.sampled_from([np.float32, np.float64]), st.sampled_from([np.uint8, np.int32]))
def test_every_kernel_is_its_definition(geo, dtype, taps):
    check(kernels, geo, dtype, taps)


def check_long(made, shape=(1, 12, 30, 4), dtype=np.float32):
    """A weighted sum over windows of at least 32 cells, some of them beside the image, against float64."""
    geo = WindowGeometry.of("test", shape, (min(shape[1], 7), min(shape[2], 40)), stride=(5, 25), padding=((0, 0), (2, 0)),
                             ceil_mode=True)
    x, weights, scale = (np.random.default_rng(seed).standard_normal(size).astype(dtype)
                         for seed, size in enumerate((shape, (geo.kh, geo.kw), (geo.OH, geo.OW))))
    assert geo.kh * geo.kw >= kernels.LONG
    y, exact = DEVICE.empty(geo.y_shape, dtype), np.empty(geo.y_shape)
    made.window_sum(DEVICE, x, weights, scale, y, geo)
    reference.window_sum(x.astype(np.float64), weights.astype(np.float64), scale.astype(np.float64), exact, geo)
    np.testing.assert_allclose(y, exact, rtol=np.finfo(dtype).eps, atol=1e-13)


@pytest.mark.parametrize(("shape", "dtype"), [((2, 1, 70, 3), np.float32), ((2, 6, 7, 33), np.float64), ((1, 1, 50, 36), np.float32)])
def test_few_windows_of_many_cells(shape, dtype):
    check_long(SMALL, shape, dtype)


def test_more_than_a_block():
    check(kernels, WindowGeometry.of("test", (2, 9, 13, 12), 3, stride=2, padding=1))


def test_windows_of_many_cells_have_taps_of_four_bytes():
    geo = WindowGeometry.of("test", (1, 3, 130, 1), (2, 129), padding=((0, 0), (0, 1)), stride=1)
    x = np.zeros(geo.x_shape, np.float32)
    x[0, 2, 129], x[0, 1, 128] = 2, 1
    where = same(kernels, "max_pool2d", (x,), geo.y_shape, np.float32, geo, np.int32)
    assert where.max() > 255


def test_arrays_whose_addresses_do_not_allow_wide_loads():
    geo = WindowGeometry.of("test", (1, 4, 4, 4), 2)
    x = np.random.default_rng(0).standard_normal(65).astype(np.float32)[1:].reshape(geo.x_shape)
    taps = np.zeros(17, np.uint8)[1:].reshape(geo.y_shape)
    same(kernels, "max_pool2d", (x,), geo.y_shape, np.float32, geo, np.uint8)
    y = DEVICE.empty(geo.y_shape, np.float32)
    kernels.max_pool2d(DEVICE, x.copy(), y, taps, geo)
    assert (y == x.reshape(2, 2, 2, 2, 4).max((1, 3))).all()


def test_results_that_are_too_many_to_count_are_made_in_several_launches(monkeypatch):
    geo = WindowGeometry.of("test", (3, 5, 4, 3), 2, stride=1)
    monkeypatch.setattr(kernels, "LARGEST", 2 * 5 * 4 * 3)
    launched = []
    monkeypatch.setattr(EmulatedDevice, "launch", lambda self, kernel, grid, *arguments, launch=EmulatedDevice.launch:
                        (launched.append(kernel.name), launch(self, kernel, grid, *arguments)))
    check(kernels, geo)
    assert launched.count("spread_sums") == 2


def test_an_image_that_is_too_large_is_refused():
    geo = WindowGeometry.of("test", (1, 2**31, 1, 1), 2, padding=((0, 0), (0, 1)))
    x = np.zeros(1, np.float32)
    with pytest.raises(ValueError, match=r"0\+2147483648\+0 by 0\+1\+1 cells of 1 channels, is too large: .* Pool its parts"):
        kernels.window_sum(DEVICE, x, x, x, x, geo)


CHECK = "uint32(iy) < uint32(H) and"
MUTANTS = {
    "one thread too many": (cuda_windows, "if i < size:", "if i <= size:", 2),
    "a row above the image": (cuda_windows, "if uint32(iy) < uint32(H):", "if iy < H:", 2),
    "a column too many": (cuda_windows, "if uint32(ix) < uint32(W):", "if uint32(ix) < uint32(W + 1):", 2),
    "NaN does not win": (cuda_windows, "not held[j] <= best[j]", "held[j] > best[j]", 1),
    "the last maximum": (cuda_windows, "not held[j] <= best[j]", "not held[j] < best[j]", 1),
    "padding is a value": (cuda_windows, "if taps[j] == none or (", "if (", 1),
    "a tap outside": (cuda_images, CHECK, "", 1),
    "the first window is not seen": (cuda_images, "divided(before - 1, r_s) + 1", "divided(before, r_s) + 1", 1),
    "a window too many": (cuda_images, "min(divided(place, r_s), places - 1)", "divided(place, r_s)", 1),
    "holes are filled": (cuda_images, "if kx * dx == right:", "if True:", 1),
    "cells without their weights": (cuda_long, "weights[tap]", "weights[lane]", 1),
    "another window's share": (cuda_long, "scale[oy * OW + ox]", "scale[ox * OW + oy]", 1),
    "lanes are left out": (cuda_long, "over_lanes(values, lane, lanes, across)", "over_lanes(values, lane, lanes - 1, across)", 1),
    "windows in another order": (cuda_images, "int32(last_y - a)", "int32(last_y + 1 - count_y + a)", 1),
}
GEOMETRIES = [WindowGeometry.of("test", (1, 5, 7, 4), (3, 2), stride=1, padding=((1, 1), (2, 2)), dilation=(1, 2)),
              WindowGeometry.of("test", (2, 5, 6, 1), 3, stride=2, padding=1, ceil_mode=True)]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name):
    made = mutant_of_several(MODULES, NARROW, MUTANTS[name])
    with pytest.raises(ANY):
        check_long(made)
        for geo in GEOMETRIES:
            check(made, geo)


def test_the_kernels_are_right_where_their_mutants_are_not():
    check_long(kernels)
    for geo in GEOMETRIES:
        check(kernels, geo)


def test_configurations_hold_what_is_launched():
    made = kernels.configurations()
    assert len(set(made)) == len(made)
