"""Values picked out by their positions on a GPU, a thread each; and added back, which is a sort and then sums of neighbours.

scatter_add may not let threads add to one place as they come: the sums would depend on who came first. So the pairs (position, i) are
sorted, as one whole number each; then the values of a place lie side by side, in the order of i, and are added in that order, by parts of
64, then the parts. The sort is Batcher's bitonic network (1968), padded to a power of two: what is compared does not depend on the numbers,
so every step is one pass over memory, and the last nine of each round are made in shared memory, by a block for each 512 numbers.
"""
from __future__ import annotations

from functools import cache
from typing import Any

from ..cuda.host import blocks
from ..cuda.language import CudaKernel, Scalar, cuda, float32, float64, int32, int64, kernel, scalar_of, uint8

THREADS, EACH = 256, 4
TILE = 2 * THREADS                         # numbers of a block in the sort, a pair for each thread
PART = 64
ALL = (float32, float64, int32, int64, uint8)              # uint8 is bool too
NUMBERS = ALL[:4]
LAST = 2 ** 63 - 1                         # sorts behind every pair


@cache
def gather_values(T: Scalar) -> CudaKernel:
    """y[i] = x[where[i]]; a thread takes four that lie 256 apart."""
    @kernel(f"x: {T}*, where: int64*, y: {T}*, size: int64, x_size: int64", threads=THREADS)
    def gather_values(x, where, y, size, x_size):
        first = cuda.blockIdx.x * (THREADS * EACH) + cuda.threadIdx.x
        held = cuda.local.array(EACH, T)
        for k in range(EACH):
            i = first + k * THREADS
            if i < size:
                held[k] = x[max(0, min(where[i], x_size - 1))]
        for k in range(EACH):
            i = first + k * THREADS
            if i < size:
                y[i] = held[k]
    return gather_values


@cache
def fill_zero(T: Scalar) -> CudaKernel:
    """x = 0."""
    @kernel(f"x: {T}*, size: int64", threads=THREADS)
    def fill_zero(x, size):
        i = cuda.grid(1)
        if i < size:
            x[i] = T(0)
    return fill_zero


@cache
def pair_keys() -> CudaKernel:
    """keys[i] = where[i] · 2³² + i, and LAST beyond the last."""
    @kernel("where: int64*, keys: int64*, size: int64, padded: int64", threads=THREADS)
    def pair_keys(where, keys, size, padded):
        i = cuda.grid(1)
        if i < padded:
            keys[i] = (where[i] << 32) | i if i < size else LAST
    return pair_keys


@cache
def exchange() -> CudaKernel:
    """The pairs that lie `apart` in runs of `run` numbers brought into order, rising in even runs and falling in odd ones."""
    @kernel("keys: int64*, run: int64, apart: int64, padded: int64", threads=THREADS)
    def exchange(keys, run, apart, padded):
        t = cuda.grid(1)
        i = 2 * t - (t & (apart - 1))
        if i < padded:
            a, b = keys[i], keys[i + apart]
            if (a > b) == ((i & run) == 0):
                keys[i], keys[i + apart] = b, a
    return exchange


@cache
def sort_tiles() -> CudaKernel:
    """All rounds from runs of `least` to runs of `most` numbers, as far as pairs lie within a block's 512."""
    @kernel("keys: int64*, least: int64, most: int64", threads=THREADS)
    def sort_tiles(keys, least, most):
        held = cuda.shared.array(TILE, int64)
        t, start = cuda.threadIdx.x, cuda.blockIdx.x * TILE
        held[t], held[t + THREADS] = keys[start + t], keys[start + t + THREADS]
        cuda.syncthreads()
        run = least
        while run <= most:
            apart = min(run >> 1, THREADS)
            while apart > 0:
                i = 2 * t - (t & (apart - 1))
                a, b = held[i], held[i + apart]
                if (a > b) == (((start + i) & run) == 0):
                    held[i], held[i + apart] = b, a
                cuda.syncthreads()
                apart >>= 1
            run <<= 1
        keys[start + t], keys[start + t + THREADS] = held[t], held[t + THREADS]
    return sort_tiles


@cache
def part_sums(T: Scalar, S: Scalar) -> CudaKernel:
    """partial[s] = the values of one place from s on, up to the next multiple of 64; for every s at which such a part begins."""
    @kernel(f"keys: int64*, g: {T}*, partial: {S}*, size: int64", threads=THREADS)
    def part_sums(keys, g, partial, size):
        s = cuda.grid(1)
        if s < size:
            place = keys[s] >> 32
            if s % PART == 0 or keys[s - 1] >> 32 != place:
                total, end = S(0), min(size, s - s % PART + PART)
                while s < end and keys[s] >> 32 == place:
                    total += S(g[keys[s] & 0xFFFFFFFF])
                    s += 1
                partial[cuda.grid(1)] = total
    return part_sums


@cache
def place_sums(T: Scalar, S: Scalar) -> CudaKernel:
    """x[place] = the sum of its parts, by the thread that stands where the place's first value is."""
    @kernel(f"keys: int64*, partial: {S}*, x: {T}*, size: int64", threads=THREADS)
    def place_sums(keys, partial, x, size):
        s = cuda.grid(1)
        if s < size:
            place = keys[s] >> 32
            if s == 0 or keys[s - 1] >> 32 != place:
                total = partial[s]
                s += PART - s % PART
                while s < size and keys[s] >> 32 == place:
                    total += partial[s]
                    s += PART
                x[place] = T(total)
    return place_sums


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    return [*((gather_values, (T,)) for T in ALL), *((template, ()) for template in (pair_keys, exchange, sort_tiles)),
            *((fill_zero, (T,)) for T in NUMBERS), *((template, (T, sum_type(T))) for T in NUMBERS for template in (part_sums, place_sums))]


def sum_type(T: Scalar) -> Scalar:
    """What numbers are added up in: float64, or int64."""
    return float64 if T.dtype.kind == "f" else int64


def gather(device: Any, x: Any, where: Any, y: Any) -> None:
    """reference.gather. A thread for each four values."""
    if y.size:
        device.launch(gather_values(scalar_of(x.dtype)), blocks(y.size, THREADS * EACH), x, where, y, y.size, x.size)


def scatter_add(device: Any, g: Any, where: Any, x: Any) -> None:
    """reference.scatter_add. A thread for each pair of the sort, then one for each 64 values of a place, then one for each place.

    Float64 sums are rounded after every 64 values too. ValueError: more than 2³¹ places or values.
    """
    T, size = scalar_of(x.dtype), g.size
    if max(x.size, size) > 2 ** 31:
        raise ValueError(f"scatter_add: on a GPU there may be at most 2³¹ places and values, got {x.size} and {size}")
    if x.size:
        device.launch(fill_zero(T), blocks(x.size, THREADS), x, x.size)
    if size:
        keys, partial = _sorted(device, where), device.empty((size,), sum_type(T).dtype)
        device.launch(part_sums(T, sum_type(T)), blocks(size, THREADS), keys, g, partial, size)
        device.launch(place_sums(T, sum_type(T)), blocks(size, THREADS), keys, partial, x, size)


def _sorted(device: Any, where: Any) -> Any:
    """The pairs (position, i), sorted."""
    padded = max(TILE, 1 << (where.size - 1).bit_length())
    keys = device.empty((padded,), "int64")
    device.launch(pair_keys(), blocks(padded, THREADS), where, keys, where.size, padded)
    device.launch(sort_tiles(), padded // TILE, keys, 2, TILE)
    run = 2 * TILE
    while run <= padded:
        apart = run // 2
        while apart >= TILE:
            device.launch(exchange(), blocks(padded, TILE), keys, run, apart, padded)
            apart //= 2
        device.launch(sort_tiles(), padded // TILE, keys, run, run)
        run *= 2
    return keys
