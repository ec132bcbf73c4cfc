"""The same convolution four times: from its definition, loop by loop, to the form that the fast kernels start from.

Each function here computes y (N, OH, OW, O) from x (N, H, W, C) and w (kh, kw, C, O), stride 1, `padding` zeros on every side, and
takes one step from the function before it. docs/ladder.md walks up them, and on through the compiled kernels.
"""
from __future__ import annotations

import numpy as np


def seven_loops(x: np.ndarray, w: np.ndarray, padding: int = 0) -> np.ndarray:
    """y[n, oy, ox, o] = Σ_{ky,kx,c} x[n, oy + ky − padding, ox + kx − padding, c] · w[ky, kx, c, o]: the definition, number by number."""
    N, H, W, C = x.shape
    kh, kw, _, O = w.shape
    y = np.zeros((N, H + 2 * padding - kh + 1, W + 2 * padding - kw + 1, O), x.dtype)
    for n in range(N):
        for oy in range(y.shape[1]):
            for ox in range(y.shape[2]):
                for o in range(O):
                    for ky in range(kh):
                        for kx in range(kw):
                            iy, ix = oy + ky - padding, ox + kx - padding
                            if 0 <= iy < H and 0 <= ix < W:
                                for c in range(C):
                                    y[n, oy, ox, o] += x[n, iy, ix, c] * w[ky, kx, c, o]
    return y


def row_times_matrix(x: np.ndarray, w: np.ndarray, padding: int = 0) -> np.ndarray:
    """The loops over c and o as one product: y[n, oy, ox, :] += x[n, iy, ix, :] @ w[ky, kx], since both lie along memory."""
    N, H, W, _ = x.shape
    kh, kw, _, O = w.shape
    y = np.zeros((N, H + 2 * padding - kh + 1, W + 2 * padding - kw + 1, O), x.dtype)
    for n in range(N):
        for oy in range(y.shape[1]):
            for ox in range(y.shape[2]):
                for ky in range(kh):
                    for kx in range(kw):
                        iy, ix = oy + ky - padding, ox + kx - padding
                        if 0 <= iy < H and 0 <= ix < W:
                            y[n, oy, ox] += x[n, iy, ix] @ w[ky, kx]
    return y


def shifted_images(x: np.ndarray, w: np.ndarray, padding: int = 0) -> np.ndarray:
    """The loops over places as one product too: y += (x shifted by a tap) @ w[ky, kx], one product for each tap of the filter.

    The zeros are written down once, around x, so that no place needs a question.
    """
    kh, kw, _, O = w.shape
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    N, height, width, _ = padded.shape
    OH, OW = height - kh + 1, width - kw + 1
    y = np.zeros((N, OH, OW, O), x.dtype)
    for ky in range(kh):
        for kx in range(kw):
            y += padded[:, ky:ky + OH, kx:kx + OW] @ w[ky, kx]
    return y


def columns_times_filters(x: np.ndarray, w: np.ndarray, padding: int = 0) -> np.ndarray:
    """y = im2col(x) @ w: every window a row of a matrix, so that the whole convolution is one product; kh·kw times the memory of x."""
    kh, kw, C, O = w.shape
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(1, 2))                # (N, OH, OW, C, kh, kw), no copy
    columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, kh * kw * C)
    return (columns @ w.reshape(kh * kw * C, O)).reshape(*windows.shape[:3], O)
