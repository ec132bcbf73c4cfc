"""In which precision, and in which tiles, a convolution is computed on the GPU: a function of its sizes alone."""
from __future__ import annotations

from typing import Any, NamedTuple

from ..cuda.core_tiles import CoreShape, core_spread, core_tile
from ..cuda.host import blocks
from ..cuda.language import DeviceFunction, Scalar, float32, float64
from ..cuda.loading import Loader
from ..cuda.tiles import Shape, spread, tile

# Tiles for each mode and width of loads, with how much of a multiprocessor they put to use (estimates, to be measured): a large tile reads
# shared memory less often for each product, a narrow one does not compute columns that are not there.
SHAPES: dict[tuple[str, int], tuple[tuple[tuple[int, ...], float], ...]] = {
    ("float32", 4): ((CoreShape(128, 128, 8, 8, 1), 1.0), (CoreShape(128, 64, 8, 4, 2), 0.85), (CoreShape(128, 16, 8, 4, 4), 0.55)),
    ("float32", 1): ((CoreShape(64, 32, 4, 4, 2), 1.0),),
    ("float64", 1): ((CoreShape(64, 32, 4, 4, 2), 1.0),),
    ("tf32", 4): ((Shape(128, 128, 64, 32), 1.0), (Shape(128, 64, 32, 32), 0.8)),
    ("bf16", 4): ((Shape(128, 128, 64, 32), 1.0), (Shape(128, 64, 32, 32), 0.8)),
}
SASS = {"tf32": "HMMA.1688.F32.TF32", "bf16": "HMMA.16816.F32.BF16"}
MULTIPROCESSORS = 128                      # that are to be kept busy: a number for all GPUs, so that all of them compute the same bits
PART = 256                                 # of k, at least, where it is cut
UNIT = 64                                  # parts are multiples of it: of the step of every loop


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


def plan(mode: str, vector: int, products: int, M: int, N: int, K: int) -> Plan:
    """How `products` matrix products of M × K by K × N are best made, as far as their sizes tell.

    The time of each choice is that of a multiprocessor's blocks, one after the other: what their tiles compute, parts of them that are not
    there included, over how well it is put to use. One that has less than half the blocks that fit is no faster than with half of them.
    """
    def cut(shape: tuple[int, ...]) -> tuple[int, float]:
        """(parts of k, blocks of each multiprocessor) with tiles of this shape."""
        tiles = products * blocks(M, shape[0]) * blocks(N, shape[1])
        parts = max(1, min(K // PART, 2 * MULTIPROCESSORS * at_once(shape) // max(tiles, 1)))
        return parts, tiles * parts / MULTIPROCESSORS

    def time(choice: tuple[tuple[int, ...], float]) -> float:
        shape, use = choice
        parts, each = cut(shape)
        return shape[0] * shape[1] / use * max(each, at_once(shape) / 2, 1.0) / parts

    shape = min(SHAPES[mode, vector], key=time)[0]
    part = max(UNIT, blocks(blocks(K, cut(shape)[0]), UNIT) * UNIT)
    return Plan(shape, max(1, blocks(K, part)), part)
