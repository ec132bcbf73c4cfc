"""Philox4x32-10 on a GPU: a thread for each counter, so for four neighbouring words, which it draws in its registers.

Nothing is carried from one thread to another and no bits go through memory: dropout reads x and writes y, four values with one instruction
where they lie at a multiple of 16 bytes. `step` is read from the GPU's memory, so that a captured step goes on counting.
"""
from __future__ import annotations

from functools import cache
from typing import Any

from ..cuda.host import address, blocks
from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, float32, float64, kernel, ptx, scalar_of
from .philox import philox

THREADS = 256


@cache
def quad(T: Scalar) -> tuple[DeviceFunction, DeviceFunction]:
    """(load, store) of four neighbours at a multiple of 16 bytes: one access of 4-byte numbers, two of 8-byte ones."""
    @device
    def load_one(p, i):
        return ptx.load4(p, i)

    @device
    def store_one(p, i, a, b, c, d):
        ptx.store4(p, i, a, b, c, d)

    @device
    def load_two(p, i):
        a, b = ptx.load2(p, i)
        c, d = ptx.load2(p, i + 2)
        return a, b, c, d

    @device
    def store_two(p, i, a, b, c, d):
        ptx.store2(p, i, a, b)
        ptx.store2(p, i + 2, c, d)
    return (load_one, store_one) if T.dtype.itemsize == 4 else (load_two, store_two)


@cache
def random_words() -> CudaKernel:
    """bits[4·i:4·i + 4] of thread i."""
    @kernel("bits: uint32*, size: int64, key: uint64, step: uint64*, aligned: int32", threads=THREADS)
    def random_words(bits, size, key, step, aligned):
        first = cuda.grid(1) * 4
        if first < size:
            words = philox(cuda.grid(1), key, step[0])
            if aligned and first + 4 <= size:
                ptx.store4(bits, first, words[0], words[1], words[2], words[3])
            else:
                for k in range(4):
                    if first + k < size:
                        bits[first + k] = words[k]
    return random_words


@cache
def drop(T: Scalar) -> CudaKernel:
    """y[4·i:4·i + 4] of thread i."""
    load, store = quad(T)

    @device
    def kept(value, word, threshold, scale):
        return value * scale if word >= threshold else T(0)

    @kernel(f"x: {T}*, y: {T}*, size: int64, threshold: uint32, scale: {T}, key: uint64, step: uint64*, aligned: int32", threads=THREADS)
    def drop(x, y, size, threshold, scale, key, step, aligned):
        first = cuda.grid(1) * 4
        if first < size:
            words = philox(cuda.grid(1), key, step[0])
            if aligned and first + 4 <= size:
                a, b, c, d = load(x, first)
                store(y, first, kept(a, words[0], threshold, scale), kept(b, words[1], threshold, scale),
                      kept(c, words[2], threshold, scale), kept(d, words[3], threshold, scale))
            else:
                for k in range(4):
                    if first + k < size:
                        y[first + k] = kept(x[first + k], words[k], threshold, scale)
    return drop


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    return [(random_words, ()), (drop, (float32,)), (drop, (float64,))]


def random_bits(device: Any, bits: Any, key: int, step: int) -> None:
    """reference.random_bits. A thread for each four words. `step` may change between replays of a captured step."""
    if bits.size:
        aligned = address(bits) % 16 == 0
        device.launch(random_words(), blocks(bits.size, 4 * THREADS), bits, bits.size, key, device.number(step, "uint64"), aligned)


def dropout(device: Any, x: Any, y: Any, rate: float, key: int, step: int) -> None:
    """reference.dropout. A thread for each four values. `step` may change between replays of a captured step."""
    if x.size:
        aligned = address(x) % 16 == 0 and address(y) % 16 == 0
        device.launch(drop(scalar_of(x.dtype)), blocks(x.size, 4 * THREADS), x, y, x.size, int(rate * 2 ** 32), 1 / (1 - rate), key,
                      device.number(step, "uint64"), aligned)
