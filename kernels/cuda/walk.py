"""How a thread finds an element of an array that lies anyhow: device functions, and the parameters that they need.

host.axis_arguments makes the arguments: how many axes, five lengths (the innermost first; the outermost axis needs none), and six steps.
"""
from __future__ import annotations

from .language import device, int64, uint64

AXES = "size: int64, axes: int64, n0: int64, n1: int64, n2: int64, n3: int64, n4: int64"


def step_parameters(*names: str) -> str:
    """The part of a kernel's signature for the six steps of each operand: "a0: int64, …, b5: int64"."""
    return ", ".join(f"{name}{axis}: int64" for name in names for axis in range(6))


@device
def quotient(a, b):
    """a // b of numbers that are not negative: unsigned division needs no rounding down."""
    return int64(uint64(a) // uint64(b))


@device
def coordinates(i, axes, n0, n1, n2, n3, n4):
    """The position of element i along each of two to six axes, the innermost first, the outermost last of six."""
    c1, c2, c3, c4 = 0, 0, 0, 0
    rest = quotient(i, n0)
    c0 = i - rest * n0
    if axes > 2:
        i, rest = rest, quotient(rest, n1)
        c1 = i - rest * n1
    if axes > 3:
        i, rest = rest, quotient(rest, n2)
        c2 = i - rest * n2
    if axes > 4:
        i, rest = rest, quotient(rest, n3)
        c3 = i - rest * n3
    if axes > 5:
        i, rest = rest, quotient(rest, n4)
        c4 = i - rest * n4
    return c0, c1, c2, c3, c4, rest


@device
def offset(i, axes, n0, n1, n2, n3, n4, s0, s1, s2, s3, s4, s5):
    """How far element i lies from the first; of one axis, that is a step for each."""
    if axes == 1:
        return i * s5
    return place(coordinates(i, axes, n0, n1, n2, n3, n4), s0, s1, s2, s3, s4, s5)


@device
def place(c, s0, s1, s2, s3, s4, s5):
    """How far the element at coordinates c lies from the first."""
    return c[0] * s0 + c[1] * s1 + c[2] * s2 + c[3] * s3 + c[4] * s4 + c[5] * s5
