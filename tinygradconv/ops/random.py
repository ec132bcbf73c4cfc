"""Random numbers without a generator to carry about: each is a function of (key, step, element).

The bits are Philox4x32-10 (kernels/random), the same on every device. A *key* of 64 bits names a stream: `key_of(seed, purpose)`.
A *step* counts the draws from it. Numbers are made from the bits on the host.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from tinygradconv.backends import CPU
from tinygradconv.backends.live import Live
from tinygradconv.geometry import described, integer
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.tensor import DEFAULT_DTYPE, Tensor

Shape = int | Sequence[int]


def key_of(seed: int, purpose: str) -> int:
    """A key of 64 bits for `purpose` under `seed`: blake2b of "seed/purpose" in 8 bytes. Each purpose has a stream of its own.

    >>> key_of(0, "conv1.weight") == key_of(0, "conv1.weight"), key_of(0, "a") == key_of(1, "a")
    (True, False)
    """
    seed = integer("seed", seed, at_least=0, where="key_of")
    if not isinstance(purpose, str):
        raise TypeError(f"key_of: purpose must be text, got {described(purpose)}")
    return int.from_bytes(blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest(), "little")


def word64(where: str, name: str, value: Any) -> Any:
    """`value` as an integer of 64 bits, 0 … 2⁶⁴ − 1; errors begin with `where`. A Live number is checked when it has a value."""
    if type(value) is Live:
        value.checks.append(lambda known: word64(where, name, known))
        return value
    number = integer(name, value, at_least=0, where=where)
    if number >> 64:
        raise ValueError(f"{where}: {name} must be less than 2⁶⁴, got {number}")
    return number


def _drawn(where: str, count: int, key: Any, step: Any) -> np.ndarray:
    """`count` random words of 32 bits."""
    bits = np.empty(count, np.uint32)
    CPU.run("random_bits", bits, word64(where, "key", key), word64(where, "step", step))
    return bits


def _sized(where: str, shape: Shape) -> tuple[int, ...]:
    return tuple(integer("shape", n, at_least=0, where=where) for n in (shape if isinstance(shape, (tuple, list)) else (shape,)))


def _unit(where: str, count: int, key: Any, step: Any) -> np.ndarray:
    """`count` float64 in [0, 1), multiples of 2⁻⁵³: element e is made of words 2e and 2e + 1."""
    words = _drawn(where, 2 * count, key, step).reshape(-1, 2).astype(np.uint64)
    return ((words[:, 0] >> np.uint64(5)) * 2.0 ** 26 + (words[:, 1] >> np.uint64(6))) * 2.0 ** -53


def _float(where: str, dtype: Any) -> np.dtype:
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"{where}: dtype must be float32 or float64, got {np.dtype(dtype)}")
    return np.dtype(dtype)


@numpy_names
def random_bits(shape: Shape, *, key: int, step: int = 0) -> Tensor:
    """uint32: element e (in row-major order) is word e % 4 of Philox4x32-10 of the counter (e // 4, step) under `key`."""
    shape = _sized("random_bits", shape)
    return Tensor.of(_drawn("random_bits", math.prod(shape), key, step).reshape(shape))


@numpy_names
def uniform(shape: Shape, *, key: int, step: int = 0, low: float = 0.0, high: float = 1.0, dtype: Any = DEFAULT_DTYPE) -> Tensor:
    """low + (high − low)·u with u uniform in [0, 1): multiples of 2⁻²⁴ in float32, of 2⁻⁵³ in float64. `high` itself is never drawn.

    ValueError unless low < high and both are finite.
    """
    shape, dtype = _sized("uniform", shape), _float("uniform", dtype)
    if not (low < high and math.isfinite(high - low)):
        raise ValueError(f"uniform: low must be less than high, both finite, got low {low} and high {high}")
    count = math.prod(shape)
    if dtype == np.float32:
        u = (_drawn("uniform", count, key, step) >> np.uint32(8)) * 2.0 ** -24
    else:
        u = _unit("uniform", count, key, step)
    values = (low + (high - low) * u).astype(dtype)
    below = np.nextafter(dtype.type(high), dtype.type(-np.inf))         # rounding may have reached high
    return Tensor.of(np.minimum(values, below, out=values).reshape(shape))


@numpy_names
def normal(shape: Shape, *, key: int, step: int = 0, mean: float = 0.0, deviation: float = 1.0, dtype: Any = DEFAULT_DTYPE) -> Tensor:
    """mean + deviation·z, z standard normal: Box and Muller's √(−2 ln(1 − u))·(cos 2πv, sin 2πv), in float64, rounded to `dtype`.

    Elements 2i and 2i + 1 are made of the one Philox block i. ValueError where `deviation` is negative. Source: Box and Muller 1958.
    """
    shape, dtype = _sized("normal", shape), _float("normal", dtype)
    if not deviation >= 0:
        raise ValueError(f"normal: deviation must be at least 0, got {deviation}")
    count = math.prod(shape)
    u, v = _unit("normal", count + count % 2, key, step).reshape(-1, 2).T
    radius, angle = np.sqrt(-2 * np.log1p(-u)), 2 * np.pi * v
    z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[:count]
    return Tensor.of((mean + deviation * z).astype(dtype).reshape(shape))


@numpy_names
def permutation(n: int, *, key: int, step: int = 0) -> Tensor:
    """0 … n − 1 in random order, int64: the order that sorts n random words of 64 bits (equal words keep their order)."""
    n = integer("n", n, at_least=0, where="permutation")
    return Tensor.of(np.argsort(_drawn("permutation", 2 * n, key, step).view(np.uint64), kind="stable").astype(np.int64))
