"""Convolutions whose groups have few channels, depthwise ones first of all, on a GPU: sums so short that no tile would be full.

A thread makes sums of its own. Its neighbours in a warp make those of the next channels, so that they read and write neighbouring memory;
weights and windows that several threads read come from the first-level cache. In the forward pass a thread has four neighbouring pixels of
one channel, and reads each weight once for them.

The weights' gradient is a sum over all pixels for each weight: a thread for each weight and part of the pixels; the parts are added after.
"""
from __future__ import annotations

from functools import cache
from typing import Any

from ..conv import layout
from ..conv.finish import added, after, after_arguments, finish
from ..cuda.division import divided, reciprocal
from ..cuda.host import blocks
from ..cuda.language import CudaKernel, Scalar, cuda, float32, float64, kernel, scalar_of, uint32
from ..cuda.walk import quotient

THREADS, EACH = 256, 4
ENOUGH, LEAST, MOST = 1 << 18, 64, 512     # threads that keep a GPU busy; pixels of a part; parts
WINDOW = ", ".join(f"{name}: int64" for name in "H W C OH OW O kh kw sy sx dy dx top left depth wide".split())


@cache
def few_forward(T: Scalar) -> CudaKernel:
    """y: a thread for four pixels side by side of one output channel; `quads` of them in a row."""
    finished = finish(T)

    @kernel(f"x: {T}*, w: {T}*, y: {T}*, size: int64, quads: int64, r_quads: int64, r_high: int64, r_wide: int64, {WINDOW}, {after(T)}",
            threads=THREADS)
    def few_forward(x, w, y, size, quads, r_quads, r_high, r_wide, H, W, C, OH, OW, O, kh, kw, sy, sx, dy, dx, top, left, depth, wide,
                    scale, bias, residual, given, activation):
        i = cuda.grid(1)
        if i < size:
            row = quotient(i, O)
            o = i - row * O
            above = divided(row, r_quads)
            n = divided(above, r_high)
            oy, ox = above - n * OH, (row - above * quads) * EACH
            first = divided(o, r_wide) * depth
            sums = cuda.local.array(EACH, T)
            for e in range(EACH):
                sums[e] = T(0)
            for ky in range(kh):
                iy = sy * oy + dy * ky - top
                if 0 <= iy < H:
                    for kx in range(kw):
                        start, ix = (n * H + iy) * W, sx * ox + dx * kx - left
                        for c in range(depth):
                            weight = w[((ky * kw + kx) * depth + c) * O + o]
                            for e in range(EACH):
                                if uint32(ix + e * sx) < uint32(W):
                                    sums[e] += x[(start + ix + e * sx) * C + first + c] * weight
            for e in range(EACH):
                if ox + e < OW:
                    at = (above * OW + ox + e) * O + o
                    y[at] = finished(sums[e], at, o, scale, bias, residual, given, activation)
    return few_forward


@cache
def few_grad_input(T: Scalar) -> CudaKernel:
    """dx: a thread for each pixel of one channel; it asks each tap which window, if any, lays it over that pixel."""
    @kernel(f"g: {T}*, w: {T}*, x: {T}*, size: int64, r_W: int64, r_H: int64, r_depth: int64, r_sy: int64, r_sx: int64, {WINDOW}",
            threads=THREADS)
    def few_grad_input(g, w, x, size, r_W, r_H, r_depth, r_sy, r_sx, H, W, C, OH, OW, O, kh, kw, sy, sx, dy, dx, top, left, depth, wide):
        i = cuda.grid(1)
        if i < size:
            pixel = quotient(i, C)
            channel = i - pixel * C
            row = divided(pixel, r_W)
            n = divided(row, r_H)
            iy, ix = row - n * H + top, pixel - row * W + left
            group = divided(channel, r_depth)
            first, c = group * wide, channel - group * depth
            total = T(0)
            for ky in range(kh):
                down = iy - dy * ky
                oy = divided(max(down, 0), r_sy)
                if oy * sy == down and oy < OH:
                    for kx in range(kw):
                        right = ix - dx * kx
                        ox = divided(max(right, 0), r_sx)
                        if ox * sx == right and ox < OW:
                            at, weights = ((n * OH + oy) * OW + ox) * O + first, ((ky * kw + kx) * depth + c) * O + first
                            for o in range(wide):
                                total += g[at + o] * w[weights + o]
            x[i] = total
    return few_grad_input


@cache
def few_grad_weight(T: Scalar) -> CudaKernel:
    """Parts of dw: a thread for each weight, in each part of the pixels, which it walks through in order. Blocks: (weights, parts)."""
    @kernel(f"x: {T}*, g: {T}*, w: {T}*, size: int64, windows: int64, part: int64, r_O: int64, r_depth: int64, r_kw: int64, r_wide: int64, "
            f"r_places: int64, r_OW: int64, {WINDOW}", threads=THREADS)
    def few_grad_weight(x, g, w, size, windows, part, r_O, r_depth, r_kw, r_wide, r_places, r_OW, H, W, C, OH, OW, O, kh, kw, sy, sx, dy,
                        dx, top, left, depth, wide):
        i = cuda.grid(1)
        if i < size:
            rest = divided(i, r_O)
            o, tap = i - rest * O, divided(rest, r_depth)
            ky = divided(tap, r_kw)
            down, right = dy * ky - top, dx * (tap - ky * kw) - left
            channel = divided(o, r_wide) * depth + rest - tap * depth
            window = cuda.blockIdx.y * part
            n = divided(window, r_places)
            at = window - n * OH * OW
            oy = divided(at, r_OW)
            ox = at - oy * OW
            total = T(0)
            for p in range(window, min(windows, window + part)):
                iy, ix = sy * oy + down, sx * ox + right
                if 0 <= iy < H and 0 <= ix < W:
                    total += x[((n * H + iy) * W + ix) * C + channel] * g[p * O + o]
                ox += 1
                if ox == OW:
                    ox = 0
                    oy += 1
                    if oy == OH:
                        oy = 0
                        n += 1
            w[cuda.blockIdx.y * size + i] = total
    return few_grad_weight


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    return [(template, (T,)) for T in (float32, float64) for template in (few_forward, few_grad_input, few_grad_weight)]


def depthwise_forward(device: Any, x: Any, w: Any, scale: Any, bias: Any, residual: Any, workspace: Any, y: Any, activation: int,
                      geo: Any) -> None:
    """reference.depthwise_forward. A thread for each four pixels of a channel; groups may have more channels than one."""
    layout.check("conv2d", geo)
    if y.size:
        quads = blocks(geo.OW, EACH)
        size = geo.N * geo.OH * quads * geo.O
        device.launch(few_forward(scalar_of(y.dtype)), blocks(size, THREADS), x, w, y, size, quads, reciprocal(quads), reciprocal(geo.OH),
                      reciprocal(geo.O // geo.groups), *_window(geo), *after_arguments(scale, bias, residual, activation, y))


def depthwise_grad_input(device: Any, g: Any, w: Any, workspace: Any, x: Any, geo: Any) -> None:
    """reference.depthwise_grad_input. A thread for each pixel of a channel; groups may have more channels than one."""
    layout.check("conv2d_grad_input", geo)
    if x.size:
        divisors = (geo.W, geo.H, geo.C // geo.groups, geo.sy, geo.sx)
        device.launch(few_grad_input(scalar_of(x.dtype)), blocks(x.size, THREADS), g, w, x, x.size, *map(reciprocal, divisors),
                      *_window(geo))


def depthwise_grad_weight(device: Any, x: Any, g: Any, workspace: Any, w: Any, geo: Any) -> None:
    """reference.depthwise_grad_weight. A thread for each weight and part of the pixels; groups may have more channels than one."""
    layout.check("conv2d_grad_weight", geo)
    T, windows = scalar_of(w.dtype), geo.N * geo.OH * geo.OW
    part = blocks(windows, max(1, min(ENOUGH // w.size, windows // LEAST, MOST)))
    parts = max(1, blocks(windows, part)) if part else 1
    into = w if parts == 1 else device.empty((parts, *w.shape), w.dtype)
    divisors = (geo.O, geo.C // geo.groups, geo.kw, geo.O // geo.groups, geo.OH * geo.OW, geo.OW)
    device.launch(few_grad_weight(T), (blocks(w.size, THREADS), parts), x, g, into, w.size, windows, part, *map(reciprocal, divisors),
                  *_window(geo))
    if parts > 1:
        added(device, into, w, parts, T, (w, w, w, 0, 0))


def _window(geo: Any) -> tuple[int, ...]:
    """WINDOW of a geometry."""
    return (geo.H, geo.W, geo.C, geo.OH, geo.OW, geo.O, geo.kh, geo.kw, geo.sy, geo.sx, geo.dy, geo.dx, geo.top, geo.left,
            geo.C // geo.groups, geo.O // geo.groups)
