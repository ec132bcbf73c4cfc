"""The loop that every tiled product runs, on tensor cores and on CUDA cores alike: along k, a strip of A and one of B at a time.

While the strips of a step, in one half of shared memory, are multiplied, the next two are on their way from global memory to registers.
They are put into the other half, which was read before the last barrier: so one barrier a step suffices. Shared memory is, twice, a strip
of A with one of B behind it; tiles.py and core_tiles.py say how numbers lie within a strip, and how strips are multiplied.
"""
from __future__ import annotations

from typing import NamedTuple

from .language import DeviceFunction, Scalar, cuda, device, int64


class Strips(NamedTuple):
    """How one operand's strips are brought, and how many integers and numbers a thread keeps for that."""

    prepare: DeviceFunction               # prepare(operand, first, places): asks the loader for the lines of this thread
    bring: DeviceFunction                 # bring(operand, places, k, end, held): global memory to registers
    put: DeviceFunction                   # put(start, held): registers to shared memory, from number `start` on
    places: int
    held: int


class Tile(NamedTuple):
    """The loop for a precision, a shape and two loaders: the function itself, and what a kernel has to know of it."""

    walk: DeviceFunction                  # walk(left, right, i0, j0, k, end, sums)
    threads: int
    shared: int                           # bytes of dynamic shared memory
    count: int                            # of `sums`, a local array


def main_loop(T: Scalar, a: Strips, b: Strips, steps: int, second: int, half: int, multiply: DeviceFunction, count: int) -> DeviceFunction:
    """The `walk` of a Tile, whose sums are of type T.

    steps     of k in a strip
    second    where B's strip begins behind A's, and
    half      where the other two strips begin, in numbers of shared memory
    multiply  multiply(start, sums): sums += A · B of the strips that begin at number `start`
    count     sums of a thread
    """
    (prepare_a, bring_a, put_a, places_a, own_a), (prepare_b, bring_b, put_b, places_b, own_b) = a, b

    @device
    def walk(left, right, i0, j0, k, end, sums):
        """sums = A[i0:i0 + rows, k:end] · B[k:end, j0:j0 + columns], as far as this thread holds them."""
        where_a, where_b = cuda.local.array(places_a, int64), cuda.local.array(places_b, int64)
        held_a, held_b = cuda.local.array(own_a, T), cuda.local.array(own_b, T)
        for c in range(count):
            sums[c] = T(0)
        prepare_a(left, i0, where_a)
        prepare_b(right, j0, where_b)
        bring_a(left, where_a, k, end, held_a)
        bring_b(right, where_b, k, end, held_b)
        put_a(0, held_a)
        put_b(second, held_b)
        cuda.syncthreads()
        now = 0
        while k < end:
            k += steps
            if k < end:                                                    # on their way while the current strips are multiplied
                bring_a(left, where_a, k, end, held_a)
                bring_b(right, where_b, k, end, held_b)
            multiply(now, sums)
            if k < end:                                                    # the other half was read before the last barrier
                now = half - now
                put_a(now, held_a)
                put_b(now + second, held_b)
                cuda.syncthreads()
    return walk
