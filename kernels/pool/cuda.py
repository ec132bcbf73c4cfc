"""Pooling on a GPU: a thread for a few neighbouring channels (four float32, one load) of one cell of the result.

Gradients are gathered, not scattered: a cell of the image looks for the windows that cover it, ⌈kh/sy⌉ · ⌈kw/sx⌉ of them at most, so that
nothing is added atomically and nothing is set to zero first. Its windows are visited in the order of their taps, as by the definition.

Bytes moved for each float32 of the image, with R cells of the image for each window (2×2 windows side by side: R = 4):

    max_pool2d      4 + 5/R    reads x, writes y and a byte for the tap        pool_scatter     4 + 5/R    reads g and taps, writes x
    window_sum      4 + 4/R    reads x, writes y                               window_spread    4 + 4/R    reads g, writes x
    pool_gather     9/R        reads taps and what they name, writes y

Where windows overlap, what they share is read from memory once and from a cache after that. A thread finds its cell by multiplications with
reciprocals (kernels/cuda/division.py), which count below 2³¹: a result with more groups of channels is made in several launches.
"""
from __future__ import annotations

from typing import Any

from ..cuda.columns import columns
from ..cuda.division import LARGEST, reciprocal
from ..cuda.host import address, blocks
from ..cuda.language import Scalar, float32, float64, int32, scalar_of, uint8
from ..cuda.vectors import fours
from .cuda_images import gathered, scattered, spread_sums
from .cuda_long import long_sums
from .cuda_windows import THREADS, maxima, sums

LONG, FEW = 32, 2**14                      # cells of a window that are many for one thread; threads that leave most of a GPU idle
TAPPED = ((float32, uint8, 4), (float32, uint8, 1), (float32, int32, 1), (float64, uint8, 1), (float64, int32, 1))
SUMMED = ((float32, 4), (float32, 1), (float64, 1))


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    return ([(template, kind) for kind in TAPPED for template in (maxima, gathered, scattered)]
            + [(template, kind) for kind in SUMMED for template in (sums, long_sums, spread_sums)])


def max_pool2d(device: Any, x: Any, y: Any, where: Any, geo: Any) -> None:
    """reference.max_pool2d. A thread for four channels of a window."""
    kind = _tapped(geo, where, x, y)
    _launch(device, maxima(*kind), geo, (geo.OH, geo.OW), kind[-1], x, y, where)


def pool_gather(device: Any, x: Any, where: Any, y: Any, geo: Any) -> None:
    """reference.pool_gather. A thread for four channels of a window."""
    kind = _tapped(geo, where, x, y)
    _launch(device, gathered(*kind), geo, (geo.OH, geo.OW), kind[-1], x, where, y)


def pool_scatter(device: Any, g: Any, where: Any, x: Any, geo: Any) -> None:
    """reference.pool_scatter. A thread for four channels of a cell of the image."""
    kind = _tapped(geo, where, g, x)
    _launch(device, scattered(*kind), geo, (geo.H, geo.W), kind[-1], g, where, x)


def window_sum(device: Any, x: Any, weights: Any, scale: Any, y: Any, geo: Any) -> None:
    """reference.window_sum. A thread for four channels of a window; a block for 32, where windows have many cells and are few."""
    width, windows = fours(geo.C, x, y), geo.N * geo.OH * geo.OW
    cells = geo.kh * geo.kw
    if LONG <= cells <= LARGEST and 0 < windows * geo.C // width <= FEW:
        cut = columns(1, geo.C, width, 1)
        device.launch(long_sums(scalar_of(x.dtype), width), (cut.slices, windows), x, weights, scale, y, cut.across, geo.H, geo.W, geo.OH,
                      geo.OW, geo.C, geo.kh, geo.kw, geo.sy, geo.sx, geo.dy, geo.dx, geo.top, geo.left, reciprocal(geo.kw))
        return
    _launch(device, sums(scalar_of(x.dtype), width), geo, (geo.OH, geo.OW), width, x, weights, scale, y)


def window_spread(device: Any, g: Any, weights: Any, scale: Any, x: Any, geo: Any) -> None:
    """reference.window_spread. A thread for four channels of a cell of the image."""
    width = fours(geo.C, g, x)
    _launch(device, spread_sums(scalar_of(g.dtype), width), geo, (geo.H, geo.W), width, g, weights, scale, x)


def _tapped(geo: Any, where: Any, *arrays: Any) -> tuple[Scalar, Scalar, int]:
    """(type of values, type of taps, width of loads). Taps of four bytes are rare, and moved one by one."""
    T, I = scalar_of(arrays[0].dtype), scalar_of(where.dtype)
    return T, I, fours(geo.C, *arrays) if I is uint8 and address(where) % 4 == 0 else 1


def _launch(device: Any, kernel: Any, geo: Any, cells: tuple[int, int], width: int, *arrays: Any) -> None:
    """One launch, or several for so many images each that their cells can be counted."""
    (rows, columns), groups = cells, geo.C // width
    image = rows * columns * groups
    if not image:
        return
    farthest = max(geo.H + geo.top + geo.bottom, geo.W + geo.left + geo.right, geo.H * geo.W * groups, geo.OH * geo.OW * groups)
    if farthest > LARGEST:
        raise ValueError(f"pooling on CUDA: an image with its padding, {geo.top}+{geo.H}+{geo.bottom} by {geo.left}+{geo.W}+{geo.right} "
                         f"cells of {geo.C} channels, is too large: {farthest:,} is more than can be counted, {LARGEST:,}. Pool its parts")
    divisors = [number for d in (groups, columns, rows) for number in (d, reciprocal(d))]
    steps = [reciprocal(d) for d in (geo.sy, geo.sx, geo.dy, geo.dx, geo.kw)]
    for first in range(0, geo.N, LARGEST // image):
        size = min(geo.N - first, LARGEST // image) * image
        device.launch(kernel, blocks(size, THREADS), *arrays, size, first, *divisors, geo.H, geo.W, geo.OH, geo.OW, geo.C, geo.kh, geo.kw,
                      geo.sy, geo.sx, geo.dy, geo.dx, geo.top, geo.left, *steps)
