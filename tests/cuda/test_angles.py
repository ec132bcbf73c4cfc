"""Sine, cosine and tangent of the CUDA kernels, emulated: beside Python's, and beside whole numbers with 1400 bits of π."""
from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tinygradconv.kernels.cuda import angles
from tinygradconv.kernels.cuda.angles import cosine, sine, sine_and_cosine, tangent
from tinygradconv.kernels.cuda.language import cuda, float32, float64, kernel

import tinygradconv  # noqa: F401  (makes tinygradconv.kernels importable)

pytest.importorskip("greenlet", reason="the emulator runs each CUDA thread as a greenlet: pip install greenlet")
from tinygradconv.kernels.cuda.emulator import emulate

from .mutants import mutant

WORST = 6381956970095103.0 * 2.0 ** 797                # no float64 is nearer to a multiple of π/2 (Muller, Elementary Functions, 11.1)


def both(x, function=sine_and_cosine):
    """(sin x, cos x) of an array."""
    @kernel("x: float64*, s: float64*, c: float64*, n: int64", threads=64)
    def fill(x, s, c, n):
        i = cuda.grid(1)
        if i < n:
            s[i], c[i] = function(x[i])
    x = np.asarray(x, np.float64)
    s, c = np.empty((2, len(x)))
    emulate(fill, -(-len(x) // 64), x, s, c, len(x))
    return s, c


def pythons(function, x):
    """A function of `math`, of each number of x; NaN of infinities."""
    return np.array([function(value) if math.isfinite(value) else math.nan for value in x])


def ulps(got, expected):
    """How many units in the last place apart; infinities and NaN must be the same."""
    with np.errstate(all="ignore"):
        apart = np.abs(got - expected) / np.spacing(np.abs(expected))
    return np.where((got == expected) | (np.isnan(got) & np.isnan(expected)), 0, apart).max()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(width=64), min_size=1, max_size=20))
@example([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 2.0 ** 20, -(2.0 ** 20), 2.0 ** 52, 2.0 ** 1023, np.pi / 4, -np.pi / 2])
@example([k * np.pi / 2 for k in range(-40, 40)])
def test_sine_and_cosine_are_pythons(x):
    s, c = both(x)
    assert ulps(s, pythons(math.sin, x)) <= 2 and ulps(c, pythons(math.cos, x)) <= 2
    zero = np.asarray(x) == 0
    assert (np.signbit(s) == np.signbit(x))[zero].all()


def half_pi(bits):
    """π/2 · 2^bits, rounded down: π = 16 arctan(1/5) − 4 arctan(1/239) (Machin)."""
    def arctan(x):
        power, total, n = (1 << bits + 64) // x, 0, 1
        while power:
            total += power // n if n % 4 == 1 else -(power // n)
            power, n = power // (x * x), n + 2
        return total
    return (8 * arctan(5) - 2 * arctan(239)) >> 64


def test_the_bits_of_two_over_pi():
    bits = 1400
    inverse = (1 << 2 * bits) // half_pi(bits)
    assert angles.WORDS[:2].tolist() == [0, 0]
    assert angles.WORDS[2:].tolist() == [inverse >> bits - 32 * (i + 1) & 0xFFFFFFFF for i in range(len(angles.WORDS) - 2)]
    parts = Fraction(angles.FIRST) + Fraction(angles.SECOND) + Fraction(angles.THIRD)
    assert abs(parts - Fraction(half_pi(bits), 1 << bits)) < Fraction(2) ** -118


def exactly(x):
    """(sin x, cos x) by way of r = x − q · π/2, in whole numbers."""
    bits = 1400
    exact = Fraction(x) / Fraction(half_pi(bits), 1 << bits)
    q = round(exact)
    r = float((exact - q) * Fraction(half_pi(bits), 1 << bits))
    s, c = math.sin(r), math.cos(r)
    return {0: (s, c), 1: (c, -s), 2: (-s, -c), 3: (-c, s)}[q % 4]


@pytest.mark.parametrize("x", [WORST, -WORST, 2.0 ** 20 + 0.5, 3.0e7, 1.0e22, 1.2345e100, 1.7e308])
def test_what_is_left_of_a_far_angle_has_all_its_bits(x):
    assert max(map(ulps, both([x]), map(np.array, exactly(x)))) <= 2


@pytest.mark.parametrize("T", [float32, float64])
def test_of_both_types(T):
    functions = sine(T), cosine(T), tangent(T)
    s, c, t = functions

    @kernel(f"x: {T}*, y: {T}*", threads=96)
    def fill(x, y):
        i = cuda.threadIdx.x
        y[i], y[96 + i], y[192 + i] = s(x[i]), c(x[i]), t(x[i])
    x = (np.random.default_rng(0).standard_normal(96) * 10.0 ** np.arange(96) ** 0.7).astype(T.dtype)
    y = np.empty(288, T.dtype)
    emulate(fill, 1, x, y)
    exact = x.astype(np.float64)
    for got, function in zip(y.reshape(3, 96), (math.sin, math.cos, math.tan)):
        expected = pythons(function, exact)
        assert ulps(got, expected.astype(T.dtype)) <= (1 if T is float32 else 4)


@pytest.mark.parametrize("old, new", [("shift = m & uint64(LOWER), m >> 32, (e >> 5) + LIMBS, e & 31",
                                       "shift = m & uint64(LOWER), m >> 32, (e >> 5) + LIMBS, e & 15"), ("if q & 1:", "if q & 2:"),
                                      ("n * THIRD", "0.0"),
                                      ("if top >= 2 ** 31:", "if top >= 2 ** 33:"), ("float64(v[3]) * 2.0 ** -96", "0.0")])
def test_mutants_are_found(old, new):
    x = [1.0, 3.0, 355.0 * 2 ** 8, 1.0e6, 5.0e6, 1.0e22, WORST]
    made = mutant(angles, old, new)
    assert max(map(ulps, both(x, made.sine_and_cosine), np.transpose([exactly(value) for value in x]))) > 2
