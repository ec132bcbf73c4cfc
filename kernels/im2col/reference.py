"""im2col and col2im: windows laid out as rows of a matrix, and the adjoint that adds them back."""
from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def im2col(x, cols, geo):
    """cols[(n, oy, ox), (ky, kx, c)] = x[n, sy·oy + dy·ky − top, sx·ox + dx·kx − left, c], zero outside the image.

    x     (N, H, W, C)
    cols  (N·OH·OW, kh·kw·C), filled
    """
    if cols.size == 0:
        return
    padded = np.pad(x, ((0, 0), geo.pad_y, geo.pad_x, (0, 0)))
    windows = sliding_window_view(padded, geo.span, axis=(1, 2))                          # (N, ·, ·, C, span_y, span_x)
    windows = windows[:, ::geo.sy, ::geo.sx, :, ::geo.dy, ::geo.dx][:, :geo.OH, :geo.OW]  # (N, OH, OW, C, kh, kw)
    cols[...] = windows.transpose(0, 1, 2, 4, 5, 3).reshape(cols.shape)


def col2im(cols, x, geo):
    """x[n, iy, ix, c] = Σ cols[(n, oy, ox), (ky, kx, c)] over the windows that cover the cell: the adjoint of im2col.

    cols  (N·OH·OW, kh·kw·C)
    x     (N, H, W, C), filled
    """
    (before_y, after_y), (before_x, after_x) = geo.pad_y, geo.pad_x
    padded = np.zeros((geo.N, before_y + geo.H + after_y, before_x + geo.W + after_x, geo.C), x.dtype)
    windows = cols.reshape(geo.N, geo.OH, geo.OW, geo.kh, geo.kw, geo.C)
    for ky in range(geo.kh):
        for kx in range(geo.kw):
            y, x_start = geo.dy * ky, geo.dx * kx
            rows, columns = slice(y, y + geo.sy * geo.OH, geo.sy), slice(x_start, x_start + geo.sx * geo.OW, geo.sx)
            padded[:, rows, columns][:, :geo.OH, :geo.OW] += windows[:, :, :, ky, kx]
    x[...] = padded[:, before_y:before_y + geo.H, before_x:before_x + geo.W]
