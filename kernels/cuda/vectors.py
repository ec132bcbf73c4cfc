"""Neighbouring numbers in one load, or zeros; and several of them in one store."""
from __future__ import annotations

from functools import cache
from typing import Any

from .host import address, vector_width
from .language import DeviceFunction, Scalar, device, ptx


@cache
def fetch(T: Scalar, vector: int) -> DeviceFunction:
    """A function of (p, at, inside): p[at:at + vector] in one load, as a tuple; zeros where they are not inside."""
    @device
    def one(p, at, inside):
        return (p[at] if inside else T(0),)

    @device
    def two(p, at, inside):
        return ptx.load2(p, at) if inside else (T(0), T(0))

    @device
    def four(p, at, inside):
        return ptx.load4(p, at) if inside else (T(0), T(0), T(0), T(0))
    return {1: one, 2: two, 4: four}[vector]


@cache
def part(width: int) -> DeviceFunction:
    """A function of (array, at): array[at:at + width] as a tuple."""
    @device
    def one(array, at):
        return (array[at],)

    @device
    def two(array, at):
        return array[at], array[at + 1]

    @device
    def three(array, at):
        return array[at], array[at + 1], array[at + 2]

    @device
    def four(array, at):
        return array[at], array[at + 1], array[at + 2], array[at + 3]
    return {1: one, 2: two, 3: three, 4: four}[width]


@cache
def moved(width: int) -> tuple[DeviceFunction, DeviceFunction]:
    """(bring, put), functions of (p, at, held, k): held[k:k + width], a local array's, from or to p[at:at + width] in one access."""
    @device
    def bring_one(p, at, held, k):
        held[k] = p[at]

    @device
    def put_one(p, at, held, k):
        p[at] = held[k]

    @device
    def bring_four(p, at, held, k):
        held[k], held[k + 1], held[k + 2], held[k + 3] = ptx.load4(p, at)

    @device
    def put_four(p, at, held, k):
        ptx.store4(p, at, held[k], held[k + 1], held[k + 2], held[k + 3])
    return {1: (bring_one, put_one), 4: (bring_four, put_four)}[width]


def fours(C: int, *arrays: Any) -> int:
    """4 where rows of C float32 can be moved four at a time in all these arrays, of one dtype (None: none); else 1."""
    there = [array for array in arrays if array is not None]
    dtype = there[0].dtype
    return vector_width(dtype, tuple(map(address, there)), (C,)) if dtype.itemsize == 4 else 1
