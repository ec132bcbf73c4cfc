"""Pooling: the maximum of a window with its position, a gather at positions, a weighted sum, and the adjoints of the last two."""
from __future__ import annotations

import numpy as np


def max_pool2d(x, y, where, geo):
    """y[n, oy, ox, c] = max x[n, iy, ix, c] over the cells of window (oy, ox) inside the image; where = (iy·W + ix)·C + c of it.

    The first maximum in window order (ky, kx) counts, and the first NaN beats every number. A window that lies wholly in
    the padding gives y = −∞ and where = −1, which pool_gather reads as 0 and pool_scatter skips.

    x      (N, H, W, C)
    y      (N, OH, OW, C), filled
    where  (N, OH, OW, C) int32, filled: positions within each window's own image
    """
    y[...] = -np.inf
    where[...] = -1
    channels = np.arange(geo.C, dtype=np.int32)
    for cells, windows, iy, ix in _taps(geo):
        value, best, place = x[cells], y[windows], where[windows]
        position = ((iy[:, None] * geo.W + ix)[..., None] * geo.C + channels).astype(np.int32)
        takes = (place < 0) | (value > best) | (np.isnan(value) & ~np.isnan(best))
        np.copyto(best, value, where=takes)                                   # best and place are views of y and where
        np.copyto(place, np.broadcast_to(position, place.shape), where=takes)


def pool_gather(x, where, y, geo):
    """y[n, oy, ox, c] = x[n] at the flat position where[n, oy, ox, c]; 0 where that is −1.

    x      (N, H, W, C)
    where  (N, OH, OW, C) int32, as max_pool2d fills it
    y      (N, OH, OW, C), filled
    """
    if y.size:
        places = where.reshape(geo.N, -1)
        values = np.take_along_axis(x.reshape(geo.N, -1), np.maximum(places, 0).astype(np.intp), axis=1)
        y[...] = np.where(places < 0, 0, values).reshape(y.shape)


def pool_scatter(g, where, x, geo):
    """x[n] flat at p = Σ g[n, oy, ox, c] over the windows with where[n, oy, ox, c] = p: the adjoint of pool_gather.

    g      (N, OH, OW, C)
    where  (N, OH, OW, C) int32, as max_pool2d fills it; −1 adds nothing
    x      (N, H, W, C), filled
    """
    x[...] = 0
    for n in range(geo.N):
        inside = where[n] >= 0
        np.add.at(x[n].reshape(-1), where[n][inside], g[n][inside])


def window_sum(x, weights, scale, y, geo):
    """y[n, oy, ox, c] = scale[oy, ox] · Σ weights[ky, kx] · x[n, sy·oy + dy·ky − top, sx·ox + dx·kx − left, c], zero outside the image.

    Weights of 1 and a scale of 1 / cells_inside average; a scale of 1 sums; weights that fall from the centre make
    distance-weighted pooling.

    x        (N, H, W, C)
    weights  (kh, kw)
    scale    (OH, OW)
    y        (N, OH, OW, C), filled
    """
    y[...] = 0
    taps = weights.reshape(-1)
    for tap, (cells, windows, _, _) in zip(taps, _taps(geo)):
        y[windows] += tap * x[cells]
    y *= scale[..., None]


def window_spread(g, weights, scale, x, geo):
    """x[n, iy, ix, c] = Σ scale[oy, ox] · weights[ky, kx] · g[n, oy, ox, c] over the windows that cover the cell: window_sum's adjoint.

    g        (N, OH, OW, C)
    weights  (kh, kw)
    scale    (OH, OW)
    x        (N, H, W, C), filled
    """
    x[...] = 0
    scaled = g * scale[..., None]
    taps = weights.reshape(-1)
    for tap, (cells, windows, _, _) in zip(taps, _taps(geo)):
        x[cells] += tap * scaled[windows]


def _taps(geo):
    """For each (ky, kx) in order: the slices of the image that it reads, of the windows that it serves, and the rows and columns read."""
    for ky in range(geo.kh):
        for kx in range(geo.kw):
            oy, iy = _inside(geo.OH, geo.sy, geo.dy * ky - geo.top, geo.H)
            ox, ix = _inside(geo.OW, geo.sx, geo.dx * kx - geo.left, geo.W)
            cells = (slice(None), _steps(iy, geo.sy), _steps(ix, geo.sx))
            yield cells, (slice(None), _steps(oy, 1), _steps(ox, 1)), iy, ix


def _inside(places, stride, offset, size):
    """The windows o < places whose cell stride·o + offset lies in [0, size), and those cells."""
    windows = np.arange(places)
    cells = stride * windows + offset
    inside = (cells >= 0) & (cells < size)
    return windows[inside], cells[inside]


def _steps(values, step):
    """The slice that selects these evenly spaced values."""
    return slice(values[0], values[-1] + 1, step) if len(values) else slice(0, 0)
