"""What a convolution's launch is told of its geometry: tiles, grid, how k is cut, and the numbers that the kernels of correlate.py take.

All of it is a function of the geometry, the mode and the width of loads, and is worked out once for each; a layer's next step finds it.
"""
from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

from ..cuda.core_tiles import CoreShape
from ..cuda.division import LARGEST, reciprocal
from ..cuda.engines import Choice, Plan, plan
from ..cuda.host import blocks
from ..cuda.tiles import Shape

# Tiles for each mode and width of loads, with how much of a multiprocessor they put to use (engines.py): a large tile reads shared memory
# less often for each product, a narrow one does not compute columns that are not there.
SHAPES: dict[tuple[str, int], tuple[Choice, ...]] = {
    ("float32", 4): ((CoreShape(128, 128, 8, 8, 1), 1.0), (CoreShape(128, 64, 8, 4, 2), 0.85), (CoreShape(128, 16, 8, 4, 4), 0.55)),
    ("float32", 1): ((CoreShape(64, 32, 4, 4, 2), 1.0),),
    ("float64", 1): ((CoreShape(64, 32, 4, 4, 2), 1.0),),
    ("tf32", 4): ((Shape(128, 128, 64, 32), 1.0), (Shape(128, 64, 32, 32), 0.8)),
    ("bf16", 4): ((Shape(128, 128, 64, 32), 1.0), (Shape(128, 64, 32, 32), 0.8)),
}
MOST_CELLS, MOST_PIXELS = 1 << 30, LARGEST - 4096      # along an axis of a padded image; of all images: a last tile may reach further
MOST_STEPS = 1 << 15                       # in a stride: two of them are multiplied in 32 bits


class Layout(NamedTuple):
    """The tile, blocks of the grid, parts that k is cut into, and the kernel's numbers, but for the size of what it fills."""

    shape: tuple[int, ...]
    grid: tuple[int, int]
    parts: int
    numbers: tuple[int, ...]


def planned(mode: str, vector: int, products: int, M: int, N: int, K: int) -> Plan:
    """The tiles of `products` matrix products of M × K by K × N, and how k is cut."""
    return plan(SHAPES[mode, vector], products, M, N, K)


@lru_cache(maxsize=4096)
def forward(geo: Any, mode: str, vector: int) -> Layout:
    """For forward_tiles: pixels of y × output channels, k the taps and channels."""
    check("conv2d", geo)
    lines, K, wide = geo.N * geo.OH * geo.OW, geo.kh * geo.kw * (geo.C // geo.groups), geo.O // geo.groups
    return _tiled(planned(mode, vector, geo.groups, lines, wide, K), geo.groups, lines, wide, (*_windows(geo, lines), wide, geo.O, K))


@lru_cache(maxsize=4096)
def grad_weight(geo: Any, mode: str, vector: int) -> Layout:
    """For grad_weight_tiles: taps and channels × output channels, k the pixels of y."""
    check("conv2d_grad_weight", geo)
    lines, K, wide = geo.kh * geo.kw * (geo.C // geo.groups), geo.N * geo.OH * geo.OW, geo.O // geo.groups
    return _tiled(planned(mode, vector, geo.groups, lines, wide, K), geo.groups, lines, wide, (*_windows(geo, lines), wide, geo.O, K))


@lru_cache(maxsize=4096)
def grad_input(geo: Any, mode: str, vector: int) -> Layout:
    """For grad_input_tiles: pixels of a phase of x × input channels, k the taps of the phase and output channels."""
    check("conv2d_grad_input", geo)
    (rows, apart_y, inverse_y), (columns, apart_x, inverse_x) = _phases(geo.H, geo.sy, geo.dy), _phases(geo.W, geo.sx, geo.dx)
    products, lines = min(geo.sy, geo.H) * min(geo.sx, geo.W) * geo.groups, geo.N * rows * columns
    depth, wide, most_y, most = geo.O // geo.groups, geo.C // geo.groups, blocks(geo.kh, apart_y), blocks(geo.kw, apart_x)
    numbers = (lines, *_divisor(rows * columns), *_divisor(columns), geo.sy, geo.sx, apart_y, apart_x, inverse_y, inverse_x, geo.dy, geo.dx,
               geo.top, geo.left, geo.kh, geo.kw, geo.H, geo.W, wide, geo.groups, geo.OH, geo.OW, geo.O, *_divisor(depth),
               *_divisor(most), reciprocal(max(1, most - 1)), -(geo.dy * apart_y // geo.sy), -(geo.dx * apart_x // geo.sx),
               apart_y * geo.kw * wide * geo.O, apart_x * wide * geo.O)
    return _tiled(planned(mode, vector, products, lines, wide, most_y * most * depth), products, lines, wide, numbers)


def check(name: str, geo: Any) -> None:
    """ValueError where a kernel would have to count further than it can."""
    height, width = geo.H + sum(geo.pad_y), geo.W + sum(geo.pad_x)
    if max(height, width) >= MOST_CELLS:
        raise ValueError(f"{name}: on a GPU a padded image has fewer than {MOST_CELLS:,} rows and columns, got {height:,} × {width:,}. "
                         "Use less padding, or x.to('cpu')")
    numbers = max((max(geo.H, geo.span[0]) * geo.W + geo.span[1]) * geo.C, (max(geo.OH, geo.span[0]) * geo.OW + geo.span[1]) * geo.O,
                  math.prod(geo.w_shape))
    if numbers > LARGEST:
        raise ValueError(f"{name}: on a GPU an image, what a window spans of it, and the weights have at most {LARGEST:,} numbers, "
                         f"got {numbers:,}. Use x.to('cpu')")
    if max(geo.sy, geo.sx) >= MOST_STEPS:
        raise ValueError(f"{name}: on a GPU a stride is less than {MOST_STEPS:,}, got {geo.sy} × {geo.sx}. Use x.to('cpu')")
    pixels = geo.N * max(geo.OH * geo.OW, geo.H * geo.W)
    if pixels > MOST_PIXELS:
        raise ValueError(f"{name}: on a GPU all images together have at most {MOST_PIXELS:,} pixels, got {pixels:,}. Split the batch")


def _tiled(made: Plan, products: int, M: int, N: int, numbers: tuple[int, ...]) -> Layout:
    """The layout of so many matrix products of M rows and N columns."""
    across = blocks(N, made.shape[1])
    tiles = blocks(M, made.shape[0]) * across
    return Layout(made.shape, (products * tiles, made.parts), made.parts, (*numbers, across, tiles, made.part))


def _divisor(d: int) -> tuple[int, int]:
    """A number and its reciprocal."""
    return d, reciprocal(d)


def _windows(geo: Any, lines: int) -> tuple[int, ...]:
    """loaders.WINDOWS of a geometry: what forward and grad-weight gather from x."""
    return (lines, *_divisor(geo.OH * geo.OW), *_divisor(geo.OW), geo.sy, geo.sx, -geo.top, -geo.left, geo.H, geo.W, geo.C,
            *_divisor(geo.C // geo.groups), *_divisor(geo.kw), geo.dy, geo.dx)


def _phases(size: int, step: int, dilation: int) -> tuple[int, int, int]:
    """Along an axis, for grad-input: (pixels of a phase, apart, inverse), the last two as correlate.phase has them."""
    common = math.gcd(step, dilation)
    apart = step // common
    return blocks(size, step), apart, pow(dilation // common, -1, apart) if apart > 1 else 0
