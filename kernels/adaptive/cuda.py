"""Pooling by listed windows on a GPU: a thread for each value of the result, neighbouring threads along the last axis.

Bytes moved for each float32: adaptive_mean and adaptive_max read a window's places once from memory (again from the cache, where windows
overlap) and write 4 bytes, adaptive_max 12; adaptive_spread asks every window whether it covers a place, which costs no memory.
"""
from __future__ import annotations

from functools import cache
from typing import Any

from ..cuda.host import blocks
from ..cuda.language import CudaKernel, Scalar, cuda, device, float32, float64, kernel, scalar_of
from ..cuda.walk import quotient

THREADS = 256


@device
def position(i, places, B):
    """(a, place, b) of number i of an array (A, places, B)."""
    line = quotient(i, B)
    a = quotient(line, places)
    return a, line - a * places, i - line * B


@cache
def means(T: Scalar) -> CudaKernel:
    """y[a, i, b] = scale[i] · Σ x[a, p, b] over window i's places, summed in float64."""
    @kernel(f"x: {T}*, starts: int64*, ends: int64*, scale: {T}*, y: {T}*, size: int64, P: int64, I: int64, B: int64", threads=THREADS)
    def means(x, starts, ends, scale, y, size, P, I, B):
        at = cuda.grid(1)
        if at < size:
            a, i, b = position(at, I, B)
            total = float64(0)
            for p in range(starts[i], ends[i]):
                total += float64(x[(a * P + p) * B + b])
            y[at] = T(total * float64(scale[i]))
    return means


@cache
def spreads(T: Scalar) -> CudaKernel:
    """x[a, p, b] = Σ scale[i] · g[a, i, b] over the windows i that cover the place p, in their order."""
    @kernel(f"g: {T}*, starts: int64*, ends: int64*, scale: {T}*, x: {T}*, size: int64, P: int64, I: int64, B: int64", threads=THREADS)
    def spreads(g, starts, ends, scale, x, size, P, I, B):
        at = cuda.grid(1)
        if at < size:
            a, p, b = position(at, P, B)
            total = T(0)
            for i in range(I):
                if starts[i] <= p and p < ends[i]:
                    total += g[(a * I + i) * B + b] * scale[i]
            x[at] = total
    return spreads


@cache
def maxima(T: Scalar) -> CudaKernel:
    """y[a, i, b] = max x[a, p, b] over window i's places, the first NaN if there is one; where[a, i, b]: its position in x."""
    @kernel(f"x: {T}*, starts: int64*, ends: int64*, y: {T}*, where: int64*, size: int64, P: int64, I: int64, B: int64", threads=THREADS)
    def maxima(x, starts, ends, y, where, size, P, I, B):
        at = cuda.grid(1)
        if at < size:
            a, i, b = position(at, I, B)
            found = (a * P + starts[i]) * B + b
            best = x[found]
            for p in range(starts[i] + 1, ends[i]):
                place = (a * P + p) * B + b
                value = x[place]
                if best == best and not value <= best:                     # NaN beats all, and is beaten by none
                    best, found = value, place
            y[at], where[at] = best, found
    return maxima


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    return [(template, (T,)) for T in (float32, float64) for template in (means, spreads, maxima)]


def adaptive_mean(device: Any, x: Any, starts: Any, ends: Any, scale: Any, y: Any) -> None:
    """reference.adaptive_mean. A thread for each mean."""
    if y.size:
        device.launch(means(scalar_of(x.dtype)), blocks(y.size, THREADS), x, starts, ends, scale, y, y.size, x.shape[1], *y.shape[1:])


def adaptive_spread(device: Any, g: Any, starts: Any, ends: Any, scale: Any, x: Any) -> None:
    """reference.adaptive_spread. A thread for each place."""
    if x.size:
        device.launch(spreads(scalar_of(g.dtype)), blocks(x.size, THREADS), g, starts, ends, scale, x, x.size, x.shape[1], *g.shape[1:])


def adaptive_max(device: Any, x: Any, starts: Any, ends: Any, y: Any, where: Any) -> None:
    """reference.adaptive_max. A thread for each maximum."""
    if y.size:
        device.launch(maxima(scalar_of(x.dtype)), blocks(y.size, THREADS), x, starts, ends, y, where, y.size, x.shape[1], *y.shape[1:])
