"""Pooling kernels: hand numbers, naive loops, torch, adjointness; the Cython form against the definition."""
from __future__ import annotations

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygradconv._compiled import isa, memory
from tinygradconv.kernels.pool import reference

from tinygradconv.geometry import WindowGeometry

MODULES = {variant: importlib.import_module(f"tinygradconv._compiled.pool_{variant}") for variant in isa.variants()}
CHANNELS = [1, 3, 6, 7, 8, 9, 16, 17, 24, 32, 41]


def compiled(variant, name, dtype):
    """The Cython kernel for this instruction set and dtype."""
    return getattr(MODULES[variant], name)["float" if dtype == np.float32 else "double"]


def poisoned(shape, dtype):
    """An output array in which a forgotten element shows: NaN, or an integer that is no tap."""
    return np.full(shape, np.nan if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max, dtype)


@st.composite
def windows(draw, channels=CHANNELS):
    """Geometries with padding up to the window, dilation, gaps between windows, ceil_mode, and no images at all."""
    k, s, d = (tuple(draw(st.integers(1, top)) for _ in range(2)) for top in (4, 5, 3))
    span = [d[i] * (k[i] - 1) + 1 for i in range(2)]
    pad = tuple(tuple(draw(st.integers(0, k[i])) for _ in range(2)) for i in range(2))
    size = tuple(draw(st.integers(max(1, span[i] - sum(pad[i])), span[i] + 9)) for i in range(2))
    return WindowGeometry.of("test", (draw(st.integers(0, 3)), *size, draw(st.sampled_from(channels))), k, stride=s, padding=pad,
                             dilation=d, ceil_mode=draw(st.booleans()))


def image(geo, dtype, seed=0, levels=None):
    """Random values; with `levels`, few different ones, so that maxima tie."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(geo.x_shape) if levels is None else rng.integers(0, levels, geo.x_shape)).astype(dtype)


def cells(geo, oy, ox):
    """The (ky, kx, iy, ix) of one window that lie inside the image, in window order."""
    for ky in range(geo.kh):
        for kx in range(geo.kw):
            iy, ix = geo.sy * oy + geo.dy * ky - geo.top, geo.sx * ox + geo.dx * kx - geo.left
            if 0 <= iy < geo.H and 0 <= ix < geo.W:
                yield ky, kx, iy, ix


def naive_maximum(x, geo):
    """Maximum and tap by loops over single numbers."""
    y, where = np.full(geo.y_shape, -np.inf, x.dtype), np.full(geo.y_shape, geo.kh * geo.kw, np.int32)
    for at in np.ndindex(*geo.y_shape):
        n, oy, ox, c = at
        for ky, kx, iy, ix in cells(geo, oy, ox):
            value = x[n, iy, ix, c]
            if where[at] == geo.kh * geo.kw or value > y[at] or (np.isnan(value) and not np.isnan(y[at])):
                y[at], where[at] = value, ky * geo.kw + kx
    return y, where


def places(where, geo):
    """The cell iy·W + ix of each window that a tap names."""
    oy, ox = np.arange(geo.OH)[:, None, None], np.arange(geo.OW)[:, None]
    ky, kx = np.divmod(where.astype(np.int64), geo.kw)
    return (geo.sy * oy + geo.dy * ky - geo.top) * geo.W + geo.sx * ox + geo.dx * kx - geo.left


def run_maximum(kernel, x, geo):
    """(y, where) of a max_pool2d kernel into poisoned arrays."""
    y, where = poisoned(geo.y_shape, x.dtype), poisoned(geo.y_shape, np.uint8 if geo.kh * geo.kw <= 255 else np.int32)
    kernel(x, y, where, geo)
    return y, where


# ---- the definition

def test_maximum_of_the_windows_of_a_small_image():
    x = np.array([[1, 3, 2, 9], [7, 4, 8, 1], [5, 0, 6, 6], [2, 2, 6, 6]], np.float32).reshape(1, 4, 4, 1)
    geo = WindowGeometry.of("test", x.shape, 2)
    y, where = run_maximum(reference.max_pool2d, x, geo)
    assert y.ravel().tolist() == [7, 9, 5, 6]
    assert where.ravel().tolist() == [2, 1, 0, 0]                  # of the four sixes the first


def test_ceil_mode_keeps_the_smaller_last_region():
    x = np.array([1, 5, 2, 4, 3], np.float64).reshape(1, 1, 5, 1)
    geo = WindowGeometry.of("test", x.shape, (1, 3), stride=2, ceil_mode=True)
    assert run_maximum(reference.max_pool2d, x, geo)[0].ravel().tolist() == [5, 4]
    geo = WindowGeometry.of("test", x.shape, (1, 2), stride=2, ceil_mode=True)
    assert run_maximum(reference.max_pool2d, x, geo)[0].ravel().tolist() == [5, 4, 3]


@given(windows(channels=[1, 3]), st.sampled_from([None, 2]))
def test_reference_maximum_is_the_naive_one(geo, levels):
    x = image(geo, np.float64, levels=levels)
    x[image(geo, np.float64, seed=1) > 1.5] = np.nan
    x[image(geo, np.float64, seed=2) > 1.5] = -np.inf
    for got, wanted in zip(run_maximum(reference.max_pool2d, x, geo), naive_maximum(x, geo)):
        np.testing.assert_array_equal(got, wanted)


@given(windows(channels=[1, 3]))
def test_reference_window_sum_is_the_naive_one(geo):
    x, rng = image(geo, np.float64), np.random.default_rng(1)
    weights, scale = rng.standard_normal((geo.kh, geo.kw)), rng.standard_normal((geo.OH, geo.OW))
    wanted = np.zeros(geo.y_shape)
    for oy, ox in np.ndindex(geo.OH, geo.OW):
        for ky, kx, iy, ix in cells(geo, oy, ox):
            wanted[:, oy, ox] += scale[oy, ox] * weights[ky, kx] * x[:, iy, ix]
    y = poisoned(geo.y_shape, np.float64)
    reference.window_sum(x, weights, scale, y, geo)
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-12)


@given(windows())
def test_reference_adjoints_give_the_same_inner_product(geo):
    """⟨A x, g⟩ = ⟨x, Aᵀ g⟩ for both pairs."""
    x, g, rng = image(geo, np.float64), np.random.default_rng(3).standard_normal(geo.y_shape), np.random.default_rng(4)
    weights, scale = rng.standard_normal((geo.kh, geo.kw)), rng.standard_normal((geo.OH, geo.OW))
    _, where = run_maximum(reference.max_pool2d, x, geo)
    y, back = poisoned(geo.y_shape, np.float64), poisoned(geo.x_shape, np.float64)
    reference.pool_gather(x, where, y, geo)
    reference.pool_scatter(g, where, back, geo)
    np.testing.assert_allclose((y * g).sum(), (x * back).sum(), rtol=1e-10, atol=1e-10)
    reference.window_sum(x, weights, scale, y, geo)
    reference.window_spread(g, weights, scale, back, geo)
    np.testing.assert_allclose((y * g).sum(), (x * back).sum(), rtol=1e-10, atol=1e-10)


# ---- against torch

@pytest.mark.parametrize("variant", ["reference", *MODULES])
@pytest.mark.parametrize("options", [dict(kernel_size=2), dict(kernel_size=3, stride=2),
                                     dict(kernel_size=3, stride=2, padding=1, ceil_mode=True),
                                     dict(kernel_size=(2, 3), stride=(3, 1), padding=(1, 0), dilation=(1, 2))], ids=str)
def test_maximum_and_its_gradient_are_torchs(variant, options):
    torch = pytest.importorskip("torch")
    geo = WindowGeometry.of("test", (2, 9, 11, 5), **options)
    x, g = image(geo, np.float32, levels=4), np.random.default_rng(1).standard_normal(geo.y_shape).astype(np.float32)
    names = ("max_pool2d", "pool_gather", "pool_scatter")
    maximum, gather, scatter = (getattr(reference, name) if variant == "reference" else compiled(variant, name, x.dtype) for name in names)
    y, where = run_maximum(maximum, x, geo)
    leaf = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    theirs, index = torch.nn.functional.max_pool2d(leaf, **options, return_indices=True)
    np.testing.assert_array_equal(y, theirs.detach().numpy().transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(places(where, geo), index.numpy().transpose(0, 2, 3, 1))
    theirs.backward(torch.tensor(g.transpose(0, 3, 1, 2)))
    again, back = poisoned(geo.y_shape, np.float32), poisoned(geo.x_shape, np.float32)
    gather(x, where, again, geo)
    scatter(g, where, back, geo)
    np.testing.assert_array_equal(again, y)
    np.testing.assert_allclose(back, leaf.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("variant", ["reference", *MODULES])
@pytest.mark.parametrize("options", [dict(kernel_size=2), dict(kernel_size=3, stride=2, padding=1, ceil_mode=True)], ids=str)
def test_average_and_its_gradient_are_torchs(variant, options):
    torch = pytest.importorskip("torch")
    geo = WindowGeometry.of("test", (2, 10, 8, 6), **options)
    x, g = image(geo, np.float32), np.random.default_rng(1).standard_normal(geo.y_shape).astype(np.float32)
    forward, adjoint = (getattr(reference, name) if variant == "reference" else compiled(variant, name, x.dtype)
                        for name in ("window_sum", "window_spread"))
    weights, scale = np.ones((geo.kh, geo.kw), np.float32), (1 / geo.cells_inside).astype(np.float32)
    y, back = poisoned(geo.y_shape, np.float32), poisoned(geo.x_shape, np.float32)
    forward(x, weights, scale, y, geo)
    adjoint(g, weights, scale, back, geo)
    leaf = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    theirs = torch.nn.functional.avg_pool2d(leaf, **options, count_include_pad=False)
    theirs.backward(torch.tensor(g.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(y, theirs.detach().numpy().transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(back, leaf.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-6)


# ---- the Cython form

@pytest.mark.parametrize("variant", MODULES)
@given(geo=windows(), dtype=st.sampled_from([np.float32, np.float64]), levels=st.sampled_from([None, 2]))
def test_compiled_maximum_is_the_references(variant, geo, dtype, levels):
    x = image(geo, dtype, levels=levels)
    x[image(geo, np.float64, seed=1) > 1.5] = np.nan
    x[image(geo, np.float64, seed=2) > 1.5] = -np.inf
    y, where = run_maximum(compiled(variant, "max_pool2d", dtype), x, geo)
    y_wanted, where_wanted = run_maximum(reference.max_pool2d, x, geo)
    np.testing.assert_array_equal(y, y_wanted)
    np.testing.assert_array_equal(where, where_wanted)
    gathered, wanted = poisoned(geo.y_shape, dtype), poisoned(geo.y_shape, dtype)
    compiled(variant, "pool_gather", dtype)(x, where, gathered, geo)
    reference.pool_gather(x, where, wanted, geo)
    np.testing.assert_array_equal(gathered, wanted)
    g = np.random.default_rng(3).integers(-9, 9, geo.y_shape).astype(dtype)
    back, wanted = poisoned(geo.x_shape, dtype), poisoned(geo.x_shape, dtype)
    compiled(variant, "pool_scatter", dtype)(g, where, back, geo)
    reference.pool_scatter(g, where, wanted, geo)
    np.testing.assert_array_equal(back, wanted)


@pytest.mark.parametrize("variant", MODULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("C", [3, 8, 17, 40])
@pytest.mark.parametrize("kernel", [(15, 17), (16, 16), (1, 300)])
def test_taps_of_large_windows_take_four_bytes(variant, dtype, C, kernel):
    geo = WindowGeometry.of("test", (2, 17, 301, C), kernel, stride=3, padding=((1, 0), (0, 2)))
    x, g = image(geo, dtype, levels=50), np.random.default_rng(3).integers(-9, 9, geo.y_shape).astype(dtype)
    y, where = run_maximum(compiled(variant, "max_pool2d", dtype), x, geo)
    assert where.dtype == (np.uint8 if kernel == (15, 17) else np.int32)
    y_wanted, where_wanted = run_maximum(reference.max_pool2d, x, geo)
    np.testing.assert_array_equal(y, y_wanted)
    np.testing.assert_array_equal(where, where_wanted)
    for name, source, shape in ("pool_gather", x, geo.y_shape), ("pool_scatter", g, geo.x_shape):
        got, wanted = poisoned(shape, dtype), poisoned(shape, dtype)
        compiled(variant, name, dtype)(source, where, got, geo)
        getattr(reference, name)(source, where, wanted, geo)
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("variant", MODULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(N=st.integers(0, 3), kernel=st.tuples(st.integers(1, 3), st.integers(1, 4)), places=st.tuples(st.integers(1, 4), st.integers(1, 5)),
       C=st.sampled_from([*CHANNELS, 4, 5]))
def test_adjoints_of_windows_that_tile_the_image(variant, dtype, N, kernel, places, C):
    geo = WindowGeometry.of("test", (N, kernel[0] * places[0], kernel[1] * places[1], C), kernel)
    assert geo.y_shape == (N, *places, C)
    rng = np.random.default_rng(3)
    g, weights, scale = (rng.integers(-9, 9, shape).astype(dtype) for shape in (geo.y_shape, kernel, places))
    where = run_maximum(reference.max_pool2d, image(geo, dtype, levels=3), geo)[1]
    for name, parameters in ("pool_scatter", (where,)), ("window_spread", (weights, scale)):
        got, wanted = poisoned(geo.x_shape, dtype), poisoned(geo.x_shape, dtype)
        compiled(variant, name, dtype)(g, *parameters, got, geo)
        getattr(reference, name)(g, *parameters, wanted, geo)
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("variant", MODULES)
@given(geo=windows(), dtype=st.sampled_from([np.float32, np.float64]))
def test_compiled_sum_and_spread_are_the_references(variant, geo, dtype):
    x, g, rng = image(geo, dtype), np.random.default_rng(3).standard_normal(geo.y_shape).astype(dtype), np.random.default_rng(4)
    weights, scale = rng.standard_normal((geo.kh, geo.kw)).astype(dtype), rng.standard_normal((geo.OH, geo.OW)).astype(dtype)
    tolerance = dict(rtol=0, atol=2e-5 if dtype == np.float32 else 1e-13)
    for name, source, shape in ("window_sum", x, geo.y_shape), ("window_spread", g, geo.x_shape):
        got, wanted = poisoned(shape, dtype), poisoned(shape, np.float64)
        compiled(variant, name, dtype)(source, weights, scale, got, geo)
        getattr(reference, name)(source.astype(np.float64), weights.astype(np.float64), scale.astype(np.float64), wanted, geo)
        np.testing.assert_allclose(got, wanted, **tolerance)


@pytest.mark.parametrize("variant", MODULES)
@pytest.mark.parametrize("shape", [(1, 40, 40, 48), (3, 33, 31, 17), (9, 28, 28, 6)])
@pytest.mark.parametrize("options", [dict(kernel_size=3, stride=2, padding=1), dict(kernel_size=2)], ids=str)
def test_thread_count_changes_no_bit(variant, shape, options):
    geo = WindowGeometry.of("test", shape, **options)
    x, g = image(geo, np.float32), np.random.default_rng(1).standard_normal(geo.y_shape).astype(np.float32)
    weights, scale = np.ones((geo.kh, geo.kw), np.float32), (1 / geo.cells_inside).astype(np.float32)
    results = []
    try:
        for threads in 1, 2, 3:
            MODULES[variant].set_threads(threads)
            y, where = run_maximum(compiled(variant, "max_pool2d", x.dtype), x, geo)
            filled = [y, where, *(poisoned(s, np.float32) for s in (geo.y_shape, geo.x_shape, geo.y_shape, geo.x_shape))]
            compiled(variant, "pool_gather", x.dtype)(x, where, filled[2], geo)
            compiled(variant, "pool_scatter", x.dtype)(g, where, filled[3], geo)
            compiled(variant, "window_sum", x.dtype)(x, weights, scale, filled[4], geo)
            compiled(variant, "window_spread", x.dtype)(g, weights, scale, filled[5], geo)
            results.append([a.tobytes() for a in filled])
    finally:
        MODULES[variant].set_threads(1)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("variant", MODULES)
@pytest.mark.parametrize("options", [dict(kernel_size=2), dict(kernel_size=3, stride=2, padding=1)], ids=str)
def test_gradients_too_large_for_the_caches_are_the_same(variant, options):
    """From 4 MB on, where every register has a whole address, they are stored past the caches."""
    geo = WindowGeometry.of("test", (1, 256, 256, 16), **options)
    rng = np.random.default_rng(2)
    g, where = rng.integers(-9, 9, geo.y_shape).astype(np.float32), rng.integers(0, geo.kh * geo.kw, geo.y_shape).astype(np.uint8)
    weights, scale = (rng.integers(-3, 4, shape).astype(np.float32) for shape in ((geo.kh, geo.kw), (geo.OH, geo.OW)))
    for name, parameters in ("pool_scatter", (where,)), ("window_spread", (weights, scale)):
        got, wanted = memory.array(geo.x_shape, np.float32), poisoned(geo.x_shape, np.float32)
        assert got.ctypes.data % 64 == 0 and got.nbytes == 1 << 22
        got[...] = np.nan
        compiled(variant, name, np.float32)(g, *parameters, got, geo)
        getattr(reference, name)(g, *parameters, wanted, geo)
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("variant", MODULES)
def test_a_window_wholly_in_the_padding_is_minus_infinity_and_passes_nothing_back(variant):
    x = np.ones((1, 2, 2, 4), np.float32)
    geo = WindowGeometry.of("test", x.shape, 1, stride=1, padding=1)
    for kernel in reference.max_pool2d, compiled(variant, "max_pool2d", x.dtype):
        y, where = run_maximum(kernel, x, geo)
        assert np.all(y[0, 0] == -np.inf) and np.all(where[0, 0] == 1)
        assert np.all(y[0, 1:3, 1:3] == 1)
    g, back, again = np.ones(geo.y_shape, np.float32), poisoned(geo.x_shape, np.float32), poisoned(geo.y_shape, np.float32)
    compiled(variant, "pool_scatter", x.dtype)(g, where, back, geo)
    compiled(variant, "pool_gather", x.dtype)(x, where, again, geo)
    assert np.all(back == 1) and again.sum() == 16


def test_poisoned_notices_an_element_that_nobody_filled():
    y = poisoned((3,), np.float32)
    y[:2] = 0
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(y, np.zeros(3))


def test_large_global_average_rounds_little():
    """Rows of a window are summed apart, so 200 × 200 equal cells lose nothing that one running float32 sum would."""
    x = np.full((1, 200, 200, 16), 0.1, np.float32)
    geo = WindowGeometry.of("test", x.shape, 200)
    for variant in MODULES:
        y = poisoned(geo.y_shape, np.float32)
        compiled(variant, "window_sum", x.dtype)(x, np.ones((200, 200), np.float32), np.full((1, 1), 1 / 40000, np.float32), y, geo)
        np.testing.assert_allclose(y, 0.1, rtol=3e-6)
