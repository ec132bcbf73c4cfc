"""Pooling: the maximum of a window with its tap, a gather at taps, a weighted sum, and the adjoints of the last two."""
from __future__ import annotations

import numpy as np


def max_pool2d(x, y, where, geo):
    """y[n, oy, ox, c] = max x[n, iy, ix, c] over the cells of window (oy, ox) inside the image; where = ky·kw + kx of it, its tap.

    The first maximum in window order (ky, kx) counts, and the first NaN beats every number. A window that lies wholly in
    the padding gives y = −∞ and where = kh·kw, no tap, which pool_gather reads as 0 and pool_scatter skips.

    x      (N, H, W, C)
    y      (N, OH, OW, C), filled
    where  (N, OH, OW, C) uint8 where kh·kw ≤ 255, else int32; filled
    """
    none = geo.kh * geo.kw
    y[...] = -np.inf
    where[...] = none
    for tap, (cells, windows) in enumerate(_taps(geo)):
        value, best, place = x[cells], y[windows], where[windows]
        takes = (place == none) | (value > best) | (np.isnan(value) & ~np.isnan(best))
        np.copyto(best, value, where=takes)                                   # best and place are views of y and where
        np.copyto(place, tap, where=takes, casting="unsafe")


def pool_gather(x, where, y, geo):
    """y[n, oy, ox, c] = x[n, iy, ix, c] at the tap where[n, oy, ox, c] of window (oy, ox); 0 where there is none.

    x      (N, H, W, C)
    where  (N, OH, OW, C) uint8 or int32, as max_pool2d fills it
    y      (N, OH, OW, C), filled
    """
    y[...] = 0
    for tap, (cells, windows) in enumerate(_taps(geo)):
        np.copyto(y[windows], x[cells], where=where[windows] == tap)


def pool_scatter(g, where, x, geo):
    """x[n, iy, ix, c] = Σ g[n, oy, ox, c] over the windows whose tap where[n, oy, ox, c] is this cell: pool_gather's adjoint.

    g      (N, OH, OW, C)
    where  (N, OH, OW, C) uint8 or int32, as max_pool2d fills it
    x      (N, H, W, C), filled
    """
    x[...] = 0
    for tap, (cells, windows) in enumerate(_taps(geo)):
        x[cells] += np.where(where[windows] == tap, g[windows], 0)


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
    for tap, (cells, windows) in zip(taps, _taps(geo)):
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
    for tap, (cells, windows) in zip(taps, _taps(geo)):
        x[cells] += tap * scaled[windows]


def _taps(geo):
    """For each (ky, kx) in order: the slices of the image that it reads, and of the windows that it serves."""
    for ky in range(geo.kh):
        for kx in range(geo.kw):
            rows, oy = _inside(geo.OH, geo.sy, geo.dy * ky - geo.top, geo.H)
            columns, ox = _inside(geo.OW, geo.sx, geo.dx * kx - geo.left, geo.W)
            yield (slice(None), rows, columns), (slice(None), oy, ox)


def _inside(places, stride, offset, size):
    """The cells stride·o + offset in [0, size) of the windows o < places, and those windows."""
    windows = np.arange(places)
    cells = stride * windows + offset
    inside = (cells >= 0) & (cells < size)
    return _steps(cells[inside], stride), _steps(windows[inside], 1)


def _steps(values, step):
    """The slice that selects these evenly spaced values."""
    return slice(values[0], values[-1] + 1, step) if len(values) else slice(0, 0)
