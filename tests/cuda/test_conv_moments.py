"""Sums that a convolution leaves for the batch norm behind it, emulated: against float64 of NumPy, and with one mistake at a time."""
from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from tinygradconv.kernels.conv import correlate, layout
from tinygradconv.kernels.conv import cuda as conv
from tinygradconv.kernels.conv import moments as conv_moments
from tinygradconv.kernels.cuda import columns, engines
from tinygradconv.kernels.cuda import moments as cuda_moments
from tinygradconv.kernels.cuda.tiles import Shape
from tinygradconv.kernels.norm import cuda as norm
from tinygradconv.kernels.norm import cuda_batch

from .convolutions import SMALLEST, EmulatedDevice, fresh, geometry
from .mutants import mutant_of_several

from tinygradconv.kernels.cuda.emulator import KernelFault  # isort: skip  (convolutions asks for greenlet first)

__all__ = ["fresh"]                        # a fixture
ONE_WARP = {(precision, 4): ((Shape(32, 32, 32, 32), 1.0),) for precision in ("tf32", "bf16")}
CONV, NORM = (cuda_moments, conv_moments, correlate, conv), (columns, cuda_moments, cuda_batch, norm)
NARROW = columns, "THREADS = 512", "THREADS = 64", 1
NARROWER = mutant_of_several(NORM, NARROW)         # with smaller blocks, of which less is to be emulated
ODD = geometry((2, 3, 6, 3), 3, 5, padding=1)                                  # three rows of tiles, the last one shorter
FOURS = geometry((1, 5, 7, 4), 1, 20)                                          # two tiles side by side
GROUPS = geometry((1, 5, 7, 8), 1, 10, groups=2)
STRIDE = geometry((1, 9, 9, 2), 2, 4, stride=2, padding=1)
MANY = geometry((1, 10, 10, 2), 1, 17)                                         # seven parts, three for each of the larger ones


class Counting(EmulatedDevice):
    """A device that counts its launches, and keeps their kernels' names."""

    def __init__(self, precision="fp32"):
        super().__init__(precision)
        self.names = []

    def launch(self, kernel, grid, *arguments, reaches=()):
        self.names.append(kernel.name)
        super().launch(kernel, grid, *arguments, reaches=reaches)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Everything runs in small tiles."""
    monkeypatch.setattr(layout, "SHAPES", SMALLEST | ONE_WARP)


def convolved(geo, dtype=np.float32, precision="fp32", kernels=conv, bias=0.0, after=0, spoilt=None):
    """(y, what was left of it, the device)."""
    rng, device, left = np.random.default_rng(geo.C), Counting(precision), {}
    x, w = (rng.standard_normal(shape).astype(dtype) for shape in (geo.x_shape, geo.w_shape))
    if spoilt is not None:
        x[0, 2, 2, 0] = spoilt
    y = device.empty(geo.y_shape, dtype)
    with np.errstate(all="ignore"):
        kernels.conv2d_forward(device, x, w, None, np.full(geo.O, bias, dtype), None, None, y, after, geo, left)
    return y, left, device


def normalised(y, left, device, kernels=NARROWER):
    """(z, mean, variance) of the batch norm of y."""
    M, C = y.size // y.shape[-1], y.shape[-1]
    z, mean, variance = (device.empty(shape, y.dtype) for shape in ((M, C), (C,), (C,)))
    scale, shift = np.linspace(0.5, 2, C).astype(y.dtype), np.linspace(-1, 1, C).astype(y.dtype)
    with np.errstate(all="ignore"):
        kernels.batch_norm_forward(device, y.reshape(M, C), scale, shift, None, z, mean, variance, None, 1e-5, 0, left)
    return z, mean, variance


def check(geo, dtype=np.float32, precision="fp32", kernels=conv, norms=NARROWER, **more):
    """The sums are those of y, part by part, and what is made of them is right."""
    y, left, device = convolved(geo, dtype, precision, kernels, **more)
    (_, sums, rows), exact = left[y.ctypes.data], y.reshape(-1, geo.O).astype(np.float64)
    assert len(sums) == -(-len(exact) // rows)
    for part, found in enumerate(sums):
        d = exact[part * rows:(part + 1) * rows] - exact[part * rows]
        np.testing.assert_allclose(found, [d.sum(0), (d * d).sum(0)], rtol=1e-12, atol=1e-12 * np.abs(d).max() ** 2)
    check_statistics(y, left, device, norms)
    assert device.names == ["forward_tiles", "normalise"] and not left


def check_statistics(y, left, device, norms):
    """Mean and variance are float64's, rounded; and the values are those of the batch norm's own sums."""
    z, mean, variance = normalised(y, left, device, norms)
    exact, slack = y.reshape(-1, mean.size).astype(np.float64), np.finfo(y.dtype).eps * (2 if y.itemsize == 4 else 50)
    for found, expected in ((mean, exact.mean(0)), (variance, exact.var(0)), (z, normalised(y, None, Counting(), NARROWER)[0])):
        np.testing.assert_allclose(found, expected, rtol=slack, atol=slack)          # in float64 NumPy's mean is no better than ours


@cache
def many():
    """(y, what was left) of a convolution of many parts, for all who ask."""
    return convolved(MANY, bias=1e4)[:2]


def check_many(norms):
    """The same where parts are added up before the others read them."""
    (y, left), device = many(), Counting()
    check_statistics(y, dict(left), device, norms)
    assert device.names == ["gathered", "normalise"]


MODES = {"one by one": (ODD, np.float32, "fp32"), "in fours": (FOURS, np.float32, "fp32"), "groups": (GROUPS, np.float32, "fp32"),
         "a stride": (STRIDE, np.float32, "fp32"), "float64": (ODD, np.float64, "fp32"), "tf32": (FOURS, np.float32, "tf32"),
         "bf16": (FOURS, np.float32, "bf16")}


@pytest.mark.parametrize("name", MODES)
def test_sums_are_those_of_what_is_stored_however_far_from_zero(name):
    check(*MODES[name], bias=1e4)


def test_a_relu_comes_before_the_sums():
    check(GROUPS, after=1)


@pytest.mark.parametrize("mode, vector, shape", [(*key, shape) for key, shapes in layout.SHAPES.items() for shape, _ in shapes[-1:]
                                                 if key[0].startswith("float")])
def test_tiles_as_they_are(mode, vector, shape, monkeypatch):
    monkeypatch.setattr(layout, "SHAPES", {(mode, vector): ((shape, 1.0),)})
    check(geometry((2, 3, 23, 4), 1, 4) if vector > 1 else geometry((1, 3, 23, 3), 1, 5), np.dtype(mode).type, bias=1e4)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_a_wild_value_spoils_what_it_spoils_without_sums(value):
    y, left, device = convolved(ODD, spoilt=value)
    for ours, theirs in zip(normalised(y, left, device), normalised(y, None, device)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_in_whole_blocks():
    check(GROUPS, norms=norm)


def test_many_parts_become_few_before_they_are_read_by_every_block():
    check_many(mutant_of_several(NORM, NARROW, FEW))


def test_no_sums_are_left_where_k_is_cut_or_groups_are_few_and_the_batch_norm_makes_them(monkeypatch):
    monkeypatch.setattr(engines, "PART", 8)
    monkeypatch.setattr(engines, "UNIT", 16)
    for geo in (geometry((1, 4, 5, 4), 3, 4, padding=1), geometry((1, 4, 4, 5), 3, 5, groups=5, padding=1)):
        y, left, device = convolved(geo)
        assert not left
        normalised(y, left, device)
        assert device.names[-2:] == ["moments", "normalise"]


def test_sums_of_another_array_are_left_alone():
    y, left, device = convolved(ODD)
    normalised(y.copy(), left, device)
    assert list(left) == [y.ctypes.data] and device.names == ["forward_tiles", "moments", "normalise"]
    assert left[y.ctypes.data][0] is y                                         # which holds the memory: no other can have the address


def test_without_being_asked_no_sums_are_made():
    device = Counting()
    y = device.empty(ODD.y_shape, np.float32)
    conv.conv2d_forward(device, np.ones(ODD.x_shape, np.float32), np.ones(ODD.w_shape, np.float32), None, None, None, None, y, 0, ODD)
    assert device.names == ["forward_tiles"] and y[0, 1, 2, 0] == 27


# (the module, its text, what stands there instead)
MUTANTS = {
    "a row beyond the image is counted": (correlate, "MOMENTS and i < lines", "MOMENTS and i <= lines"),
    "no row is the first": (conv_moments, "if held[0] == float64(0):", "if held[0] == float64(1):"),
    "the neighbour's origin": (conv_moments, "held[1], held[4] = centre(a), centre(b)", "held[1], held[4] = centre(b), centre(a)"),
    "the neighbour's sums": (conv_moments, "(1 + 3 * (t & 1))", "(1 + 3 * (1 - t & 1))"),
    "sums are put where others still read": (conv_moments, f"        cuda.syncthreads(){' ' * 49}# nobody", "        # nobody"),
    "sums are read before they are there": (conv_moments, "held[k]\n        cuda.syncthreads()", "held[k]"),
    "a thread is left out": (conv_moments, "range(1, lanes)", "range(2, lanes)"),
    "the part beside": (conv_moments, "2 * part * channels", "part * channels"),
    "the first group's channels": (conv_moments, "+ first + j", "+ j"),
    "a column too many": (conv_moments, "j < wide", "j <= wide"),
    "the squares stay where they were": (cuda_moments, "squares + away * (2 * total", "squares + away * (total"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_the_convolution_is_found(name):
    module, old, new = MUTANTS[name]
    made = mutant_of_several(CONV, (module, old, new, 1))
    with pytest.raises((AssertionError, KernelFault)):
        check(GROUPS, kernels=made, bias=1.0)


def test_the_kernels_are_right_where_their_mutants_are_not():
    check(GROUPS, bias=1.0)


FEW = norm, "MOST = BLOCKS * SLICE  ", "MOST = 4  ", 1
NORM_MUTANTS = {
    "all parts are measured from one number": (cuda_batch, "centre(x[row * C + c]) - origin", "centre(x[c]) - origin"),
    "the last part is as long as the others": (cuda_batch, "float64(min(rows, M - row))", "float64(rows)"),
    "the last part is lost": (cuda_batch, "min(count, first + times)", "min(count - 1, first + times)"),
    "larger parts measured from the first row of all": (cuda_batch, "centre(x[first * rows * C + c])", "centre(x[c])"),
    "larger parts as long as they were": (norm, "return fewer, rows * times, ", "return fewer, rows, "),
    "every block has all parts": (cuda_batch, "cuda.blockIdx.y * times", "0"),
}


@pytest.mark.parametrize("name", NORM_MUTANTS)
def test_a_mutant_of_the_batch_norm_is_found(name):
    made = mutant_of_several(NORM, NARROW, FEW, (*NORM_MUTANTS[name], 1))
    with pytest.raises((AssertionError, KernelFault)):
        check_many(made)
