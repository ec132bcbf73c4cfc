"""Sine, cosine and tangent of any number, to about one unit in the last place, in registers alone.

CUDA's own keep an array on the stack for angles that are far away. Here x is first brought to r = x − q · π/2 between −π/4 and π/4, held
as two float64, by subtracting π/2 in three parts whose products with q are exact (Cody and Waite 1980), or beyond 2²⁰ by multiplying the 53
bits of x with those bits of 2/π that decide the quadrant and what is left of it (Payne and Hanek 1983). Sine and cosine of r are fdlibm's
polynomials. Numbers of type float32 are computed as float64 and rounded.
"""
from __future__ import annotations

from functools import cache

import numpy as np

from .language import DeviceFunction, Scalar, cuda, device, float64, int64, ptx, uint32, uint64

QUARTER, FAR = 0.7853981633974483, 2.0 ** 20
TWO_OVER_PI = 0.6366197723675814
FIRST, SECOND, THIRD = 1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21          # π/2: 33 bits, 33 bits, the rest
HALF_PI, HALF_PI_REST = 1.5707963267948966, 6.123233995736766e-17
# 2/π, 32 bits each, after two words of zeros.
WORDS = np.array([
    0, 0, 0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB, 0xDEBBC561, 0xB7246E3A,
    0x424DD2E0, 0x06492EEA, 0x09D1921C, 0xFE1DEB1C, 0xB129A73E, 0xE88235F5, 0x2EBB4484, 0xE99C7026, 0xB45F7E41, 0x3991D639,
    0x835339F4, 0x9C845F8B, 0xBDF9283B, 0x1FF897FF, 0xDE05980F, 0xEF2F118B, 0x5A0A6D1F, 0x6D367ECF, 0x27CB09B7, 0x4F463F66,
    0x9E5FEA2D, 0x7527BAC7, 0xEBE5F17B, 0x3D0739F7, 0x8A5292EA, 0x6BFB5FB1, 0x1F8D5D08, 0x56033046], np.uint32)
LIMBS = 8
LOWER = 2 ** 32 - 1


@device
def near(x):
    """(q, r, the rest of r) of |x| < 2²⁰."""
    n = ptx.rint(x * TWO_OVER_PI)
    a, b = x - n * FIRST, n * SECOND
    s = a - b
    t = s - a
    rest = (a - (s - t)) - (b + t) - n * THIRD                # what a − b lost in rounding, and the third part
    r = s + rest
    return int64(n), r, (s - r) + rest


@device
def far(x):
    """(q, r, the rest of r) of 2²⁰ ≤ |x| < ∞: |x| = m · 2ᵉ, and of m · 2ᵉ · 2/π all that is a multiple of 4 is left away."""
    bits = ptx.bits_of(x)
    m, e = (bits & uint64(2 ** 52 - 1)) | uint64(2 ** 52), int64((bits >> 52) & uint64(0x7FF)) - 1075
    m0, m1, word, shift = m & uint64(LOWER), m >> 32, (e >> 5) + LIMBS, e & 31
    product = cuda.local.array(LIMBS, uint32)                  # of m and eight words, the lowest limb first
    low, high, carry, before = uint64(0), uint64(0), uint64(0), uint64(0)
    for limb in range(LIMBS):
        w = uint64(WORDS[word - limb])
        low, high = m0 * w + (low >> 32), m1 * w + (high >> 32)
        carry = (low & uint64(LOWER)) + before + (carry >> 32)
        product[limb], before = uint32(carry), high & uint64(LOWER)
    v = cuda.local.array(5, uint64)
    for i in range(5):
        both = (uint64(product[7 - i]) << 32) | uint64(product[6 - i])
        v[i] = (uint64(both << shift) >> 32) & uint64(LOWER)
    q, top = int64(v[0]), int64(v[1])
    if top >= 2 ** 31:                                         # more than half of a quadrant: less than none of the next
        q, top = q + 1, top - 2 ** 32
    whole, part = float64(top) * 2.0 ** -32, float64(v[2]) * 2.0 ** -64
    f = whole + part
    rest = (whole - f) + part + (float64(v[3]) * 2.0 ** -96 + float64(v[4]) * 2.0 ** -128)
    r = f * HALF_PI
    tail = ptx.fma(f, HALF_PI, -r) + (f * HALF_PI_REST + rest * HALF_PI)
    return (-q, -r, -tail) if x < 0.0 else (q, r, tail)


@device
def sine_of_rest(r, rest):
    """sin(r + rest), |r| ≤ π/4."""
    z = r * r
    p = 8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04 + z * (2.75573137070700676789e-06 + z * (
        -2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)))
    return r - ((z * (0.5 * rest - z * r * p) - rest) + z * r * 1.66666666666666324348e-01)


@device
def cosine_of_rest(r, rest):
    """cos(r + rest), |r| ≤ π/4."""
    z = r * r
    p = z * (4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * (2.48015872894767294178e-05 + z * (
        -2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)))))
    most = 1.0 - 0.5 * z
    return most + (((1.0 - most) - 0.5 * z) + (z * p - r * rest))


@device
def sine_and_cosine(x):
    """(sin x, cos x) of a float64; NaN of an infinity."""
    q, r, rest = int64(0), x - x if x - x != 0.0 else x, 0.0
    if abs(x) > QUARTER and x - x == 0.0:
        q, r, rest = near(x) if abs(x) < FAR else far(x)
    s, c = sine_of_rest(r, rest), cosine_of_rest(r, rest)
    if q & 1:
        s, c = c, -s
    return (-s, -c) if q & 2 else (s, c)


@cache
def sine(T: Scalar) -> DeviceFunction:
    """sin x."""
    @device
    def sine(x):
        return T(sine_and_cosine(float64(x))[0])
    return sine


@cache
def cosine(T: Scalar) -> DeviceFunction:
    """cos x."""
    @device
    def cosine(x):
        return T(sine_and_cosine(float64(x))[1])
    return cosine


@cache
def tangent(T: Scalar) -> DeviceFunction:
    """tan x = sin x / cos x."""
    @device
    def tangent(x):
        s, c = sine_and_cosine(float64(x))
        return T(s / c)
    return tangent
