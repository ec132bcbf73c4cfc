"""Draws that the augmentations need beyond uniform and normal ones; each is a function of (key, step, element).

Images may be some rows of a larger batch, whose other rows another rank has (Loader's `shard`). `of_rows` then draws for the whole batch
and gives the numbers of these rows, so that an image is changed as it would be with all the others beside it.
"""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import numpy as np

from tinygradconv.backends import CPU
from tinygradconv.ops.random import key_of, normal, uniform

_place: ContextVar[tuple[int, int] | None] = ContextVar("place in a batch", default=None)


@contextlib.contextmanager
def part_of_batch(first: int, total: int) -> Iterator[None]:
    """Within the block images are those from `first` on of a batch of `total`."""
    token = _place.set((first, total))
    try:
        yield
    finally:
        _place.reset(token)


def of_rows(draw: Callable[[int], np.ndarray], count: int, axis: int = -1) -> np.ndarray:
    """draw(count), numbers for so many images along `axis`; where they are a part of a batch, their part of draw(total)."""
    place = _place.get()
    if place is None:
        return draw(count)
    first, total = place
    return np.take(draw(total), np.arange(first, first + count), axis)


def words(rows: int, count: int, *, key: int, step: int) -> np.ndarray:
    """(rows, count) uint32, random: so many for each image. They are random_bits((rows, count)), without a tensor around them: of a small
    batch that op takes longer than the drawing.
    """
    def draw(n: int) -> np.ndarray:
        bits = np.empty(rows * n, np.uint32)
        CPU.run("random_bits", bits, key, step)
        return bits.reshape(rows, n)
    return of_rows(draw, count)


def fractions(rows: int, count: int, *, key: int, step: int) -> np.ndarray:
    """(rows, count) float64, uniform in [0, 1): so many for each image."""
    return of_rows(lambda n: uniform((rows, n), key=key, step=step, dtype=np.float64).numpy(), count)


def below(fraction: np.ndarray, limits: int | np.ndarray) -> np.ndarray:
    """Integers 0 … limits − 1, int64, all as likely as each other, of fractions that are uniform in [0, 1)."""
    return np.minimum((fraction * limits).astype(np.int64), np.asarray(limits) - 1)


def beta(count: int, alpha: float, *, key: int, step: int) -> np.ndarray:
    """(count,) float64 of the distribution Beta(α, α): g / (g + h) of two gamma variables of shape α."""
    g, h = (_log_gamma(count, alpha, key_of(key, f"{name} gamma of step {step}")) for name in ("first", "second"))
    return np.exp(g - np.logaddexp(g, h))             # by logarithms: with a small α both may be too small for a float


def _log_gamma(count: int, shape: float, key: int) -> np.ndarray:
    """The logarithms of `count` gamma variables.

    Rejection from a cubed normal; one of a shape below 1 is one of shape + 1 times u^(1/shape). Every element goes through rounds of its
    own numbers until one is accepted (95 of 100 are in the first), so it does not depend on how many there are. Source: Marsaglia and
    Tsang 2000.
    """
    d = (shape if shape >= 1 else shape + 1) - 1 / 3
    logs, turn = np.full(count, np.nan), 0
    while np.isnan(logs).any():
        x = normal((count,), key=key_of(key, "normal"), step=turn, dtype=np.float64).numpy()
        u = fractions(1, count, key=key_of(key, "accept"), step=turn)[0]
        v = (1 + x / np.sqrt(9 * d)) ** 3
        log_v = np.log(np.where(v > 0, v, 1))
        accepted = (v > 0) & (np.log1p(-u) < 0.5 * x * x + d - d * v + d * log_v)
        logs = np.where(np.isnan(logs) & accepted, np.log(d) + log_v, logs)
        turn += 1
    if shape < 1:
        logs += np.log1p(-fractions(1, count, key=key_of(key, "power"), step=0)[0]) / shape
    return logs
