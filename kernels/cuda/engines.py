"""What multiplies in each mode, and in which tiles: a function of the sizes alone.

CUDA cores in exact "float32" and "float64" (core_tiles.py), tensor cores in "tf32" and "bf16" (tiles.py).
"""
from __future__ import annotations

from typing import Any, NamedTuple

from .core_tiles import CoreShape, core_spread, core_tile
from .host import blocks
from .language import DeviceFunction, Scalar, float32, float64
from .loading import Loader
from .tiles import Shape, spread, tile

SASS = {"tf32": "HMMA.1688.F32.TF32", "bf16": "HMMA.16816.F32.BF16"}
MULTIPROCESSORS = 128                      # that are to be kept busy: a number for all GPUs, so that all of them compute the same bits
PART = 256                                 # of k, at least, where it is cut
UNIT = 64                                  # parts are multiples of it: of the step of every loop
Choice = tuple[tuple[int, ...], float]     # a shape of tiles, and how much of a multiprocessor they put to use (estimates, to be measured)


class Engine(NamedTuple):
    """A main loop, as a template uses it; `options` are those of its kernel."""

    walk: DeviceFunction
    spread: DeviceFunction
    count: int
    options: dict[str, Any]


class Plan(NamedTuple):
    """The tile, and into how many parts of which length k is cut."""

    shape: tuple[int, ...]
    parts: int
    part: int


def mode_of(precision: str, dtype: Any, vector: int) -> str:
    """What computes arrays of this dtype. Numbers that are loaded one by one take longer to be found than to be multiplied exactly."""
    if dtype == float64.dtype:
        return "float64"
    return precision if vector > 1 and precision in SASS else "float32"


def type_of(mode: str) -> Scalar:
    """What the arrays of a mode hold."""
    return float64 if mode == "float64" else float32


def engine_of(mode: str, shape: tuple[int, ...], left: Loader, right: Loader, store: DeviceFunction) -> Engine:
    """The main loop of a mode over two loaders, and what hands its sums to `store`."""
    if mode in SASS:
        walk, threads, shared, count = tile(mode, Shape(*shape), left, right)
        options = {"threads": threads, "shared": shared, "min_blocks": at_once(shape), "requires": (SASS[mode],)}
        return Engine(walk, spread(Shape(*shape), store), count, options)
    T = type_of(mode)
    walk, threads, shared, count = core_tile(T, CoreShape(*shape), left, right)
    options = {"threads": threads, "shared": shared, "min_blocks": at_once(shape)}
    return Engine(walk, core_spread(T, CoreShape(*shape), store), count, options)


def at_once(shape: tuple[int, ...]) -> int:
    """Blocks that are to fit on a multiprocessor at once. Of tensor-core tiles two often do; had they to, registers would spill."""
    return shape.at_once if isinstance(shape, CoreShape) else 1 if Shape(*shape).sums > 32 else 2


def plan(choices: tuple[Choice, ...], products: int, M: int, N: int, K: int) -> Plan:
    """How `products` matrix products of M × K by K × N are best made, as far as their sizes tell.

    The time of each choice is that of a multiprocessor's blocks, one after the other: what their tiles compute, parts of them that are not
    there included, over how well it is put to use. One that has less than half the blocks that fit is no faster than with half of them.
    """
    def cut(shape: tuple[int, ...]) -> tuple[int, float]:
        """(parts of k, blocks of each multiprocessor) with tiles of this shape."""
        tiles = products * blocks(M, shape[0]) * blocks(N, shape[1])
        parts = max(1, min(K // PART, 2 * MULTIPROCESSORS * at_once(shape) // max(tiles, 1)))
        return parts, tiles * parts / MULTIPROCESSORS

    def time(choice: Choice) -> float:
        shape, use = choice
        parts, each = cut(shape)
        return shape[0] * shape[1] / use * max(each, at_once(shape) / 2, 1.0) / parts

    shape = min(choices, key=time)[0]
    part = max(UNIT, blocks(blocks(K, cut(shape)[0]), UNIT) * UNIT)
    return Plan(shape, max(1, blocks(K, part)), part)


__all__ = ["SASS", "Choice", "Engine", "Plan", "at_once", "engine_of", "mode_of", "plan", "type_of"]
