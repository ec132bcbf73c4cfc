"""im2col and col2im on a GPU, both as a gather: a thread fills its own cell, so that nothing is added twice or out of order.

im2col: a thread for each cell of cols. Neighbours in a warp write neighbouring memory; and they read it, too, as far as the channels of a
pixel, and the taps of a row of a window, go. col2im: a thread for each number of x, neighbours for neighbouring channels; it asks each tap
(ky, kx) which window, if any, lays it over that pixel, and adds what they hold in the order of the taps.
"""
from __future__ import annotations

from functools import cache
from typing import Any

from ..cuda.division import divided, reciprocal
from ..cuda.host import blocks
from ..cuda.language import CudaKernel, Scalar, cuda, float32, float64, kernel, scalar_of
from ..cuda.walk import quotient

THREADS = 256
WINDOW = ", ".join(f"{name}: int64" for name in "H W C OH OW kh kw sy sx dy dx top left".split())


@cache
def im2col_cells(T: Scalar) -> CudaKernel:
    """cols[i] = what x has there, or 0; a row of cols has `length` cells."""
    @kernel(f"x: {T}*, cols: {T}*, size: int64, length: int64, r_C: int64, r_kw: int64, r_OW: int64, r_OH: int64, {WINDOW}",
            threads=THREADS)
    def im2col_cells(x, cols, size, length, r_C, r_kw, r_OW, r_OH, H, W, C, OH, OW, kh, kw, sy, sx, dy, dx, top, left):
        i = cuda.grid(1)
        if i < size:
            window = quotient(i, length)
            k = i - window * length
            tap = divided(k, r_C)
            ky = divided(tap, r_kw)
            above = divided(window, r_OW)
            n = divided(above, r_OH)
            iy = sy * (above - n * OH) + dy * ky - top
            ix = sx * (window - above * OW) + dx * (tap - ky * kw) - left
            cols[i] = x[((n * H + iy) * W + ix) * C + k - tap * C] if 0 <= iy < H and 0 <= ix < W else T(0)
    return im2col_cells


@cache
def col2im_pixels(T: Scalar) -> CudaKernel:
    """x[i] = the sum of the cells of cols that im2col fills from there."""
    @kernel(f"cols: {T}*, x: {T}*, size: int64, r_W: int64, r_H: int64, r_sy: int64, r_sx: int64, {WINDOW}", threads=THREADS)
    def col2im_pixels(cols, x, size, r_W, r_H, r_sy, r_sx, H, W, C, OH, OW, kh, kw, sy, sx, dy, dx, top, left):
        i = cuda.grid(1)
        if i < size:
            pixel = quotient(i, C)
            c = i - pixel * C
            row = divided(pixel, r_W)
            n = divided(row, r_H)
            iy, ix = row - n * H + top, pixel - row * W + left
            total = T(0)
            for ky in range(kh):
                oy = divided(max(iy - dy * ky, 0), r_sy)
                if oy * sy == iy - dy * ky and oy < OH:
                    for kx in range(kw):
                        ox = divided(max(ix - dx * kx, 0), r_sx)
                        if ox * sx == ix - dx * kx and ox < OW:
                            total += cols[((((n * OH + oy) * OW + ox) * kh + ky) * kw + kx) * C + c]
            x[i] = total
    return col2im_pixels


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    return [(template, (T,)) for T in (float32, float64) for template in (im2col_cells, col2im_pixels)]


def im2col(device: Any, x: Any, cols: Any, geo: Any) -> None:
    """reference.im2col. A thread for each cell of cols."""
    if cols.size:
        device.launch(im2col_cells(scalar_of(x.dtype)), blocks(cols.size, THREADS), x, cols, cols.size, geo.kh * geo.kw * geo.C,
                      *map(reciprocal, (geo.C, geo.kw, geo.OW, geo.OH)), *_window(geo))


def col2im(device: Any, cols: Any, x: Any, geo: Any) -> None:
    """reference.col2im. A thread for each number of x."""
    if x.size:
        device.launch(col2im_pixels(scalar_of(x.dtype)), blocks(x.size, THREADS), cols, x, x.size,
                      *map(reciprocal, (geo.W, geo.H, geo.sy, geo.sx)), *_window(geo))


def _window(geo: Any) -> tuple[int, ...]:
    """WINDOW of a geometry."""
    return geo.H, geo.W, geo.C, geo.OH, geo.OW, geo.kh, geo.kw, geo.sy, geo.sx, geo.dy, geo.dx, geo.top, geo.left
