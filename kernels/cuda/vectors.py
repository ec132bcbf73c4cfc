"""Neighbouring numbers in one load, or zeros."""
from __future__ import annotations

from functools import cache

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
