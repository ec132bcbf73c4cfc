"""3×3 convolution by Winograd's minimal filtering F(4×4, 3×3): a tile of 4×4 outputs from 36 products instead of 144.

A one-dimensional convolution is a product of polynomials, and a polynomial of degree 5 is known from its values at six points:
evaluate both factors there, multiply the values, interpolate. For the points 0, ±√½, ±√2 and ∞, and read as a correlation,

    y = Aᵀ [(G w) ∘ (Bᵀ d)]        4 outputs y from 6 inputs d and 3 weights w with 6 products; in two dimensions
    Y = Aᵀ [(G W Gᵀ) ∘ (Bᵀ D B)] A   4×4 outputs from a 6×6 patch with 36 products

Row i of A and of G holds the powers of point i, which evaluate a polynomial (G divided by Nᵢ = Π (pᵢ − pⱼ) over the other finite
points); row i of Bᵀ the coefficients of Π (t − pⱼ), which interpolate. The tiles do not overlap, the patches do, by two rows and
columns; ∘ becomes, summed over input channels, 36 matrix products of all tiles with all filters.

The usual points 0, ±1, ±2 have rounder matrices, but products of ±√½ and ±√2 grow less: with standard normal x, w of variance
1 / (9·C) and float32, the root mean square error against float64, relative to the outputs', is

    channels              direct float32    F(4×4, 3×3) here    with the points 0, ±1, ±2
    64                        1.2e-7              7.2e-7                1.5e-6
    512                       2.1e-7              1.3e-6                2.8e-6

(the largest error over the largest output: 1.3e-6 at 64 channels, 2.0e-6 at 512). `settings(exact=True)` keeps to the direct kernels.

Source: S. Winograd, "Arithmetic Complexity of Computations", 1980; A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural
Networks", CVPR 2016 (https://arxiv.org/abs/1509.09308).
"""
from __future__ import annotations

import math

import numpy as np

from ..epilogue import finish

P, Q = math.sqrt(1 / 2), math.sqrt(2)        # the points: 0, P, −P, Q, −Q, ∞

A = np.array([[1, 0, 0, 0],
              [1, P, 1 / 2, P / 2],
              [1, -P, 1 / 2, -P / 2],
              [1, Q, 2, 2 * Q],
              [1, -Q, 2, -2 * Q],
              [0, 0, 0, 1]])

G = np.array([[1, 0, 0],
              [-2 / 3, -2 / 3 * P, -1 / 3],
              [-2 / 3, 2 / 3 * P, -1 / 3],
              [1 / 6, 1 / 6 * Q, 1 / 3],
              [1 / 6, -1 / 6 * Q, 1 / 3],
              [0, 0, 1]])

B = np.array([[1, 0, -5 / 2, 0, 1, 0],
              [0, -2 * P, -2, P, 1, 0],
              [0, 2 * P, -2, -P, 1, 0],
              [0, -Q / 2, -1 / 2, Q, 1, 0],
              [0, Q / 2, -1 / 2, -Q, 1, 0],
              [0, 1, 0, -5 / 2, 0, 1]]).T


def _both_sides(matrix, patches, axes):
    """matrix · patch · matrixᵀ of every patch, whose rows and columns are two axes of `patches`; they become the first two."""
    matrix = matrix.astype(patches.dtype)
    return np.tensordot(matrix, np.tensordot(matrix, patches, (1, axes[1])), (1, axes[0] + 1))


def _patches(x, top, left, down, along):
    """Bᵀ d B of every 6×6 patch d of x, four pixels apart from (−top, −left) on: (6, 6, N, down, along, C)."""
    rows, columns = 4 * np.arange(down)[:, None] + np.arange(6) - top, 4 * np.arange(along)[:, None] + np.arange(6) - left
    inside_y, inside_x = (rows >= 0) & (rows < x.shape[1]), (columns >= 0) & (columns < x.shape[2])
    d = x[:, np.where(inside_y, rows, 0)][:, :, :, np.where(inside_x, columns, 0)]          # (N, down, 6, along, 6, C)
    return _both_sides(B.T, d * (inside_y[:, :, None, None] & inside_x)[..., None], (2, 4))


def _correlate(x, w, top, left, y):
    """y[n, i, j, o] = Σ_{ky,kx,c} x[n, i + ky − top, j + kx − left, c] · w[ky, kx, c, o], tile by tile."""
    down, along = -(-y.shape[1] // 4), -(-y.shape[2] // 4)
    products = _patches(x, top, left, down, along).reshape(36, -1, x.shape[3]) @ _both_sides(G, w, (0, 1)).reshape(36, *w.shape[2:])
    tiles = _both_sides(A.T, products.reshape(6, 6, x.shape[0], down, along, y.shape[3]), (0, 1))
    whole = tiles.transpose(2, 3, 0, 4, 1, 5).reshape(x.shape[0], 4 * down, 4 * along, y.shape[3])
    y[...] = whole[:, :y.shape[1], :y.shape[2]]           # tiles at the edge are cut off


def winograd_forward(x, w, scale, bias, residual, workspace, y, activation, geo):
    """y = act(scale · z + bias + residual), z[n, oy, ox, o] = Σ_{ky,kx,c} x[n, oy + ky − top, ox + kx − left, c] · w[ky, kx, c, o].

    The arguments are those of conv2d_forward with a 3×3 filter, stride 1, dilation 1, groups 1.
    """
    _correlate(x, w, geo.top, geo.left, y)
    finish(y, scale, bias, residual, activation)


def winograd_grad_input(g, w, workspace, x, geo):
    """x = ∂T/∂x: the correlation of g with the filter rotated by 180° and its channels swapped.

    The arguments are those of conv2d_grad_input with a 3×3 filter, stride 1, dilation 1, groups 1.
    """
    _correlate(g, w[::-1, ::-1].swapaxes(2, 3), 2 - geo.top, 2 - geo.left, x)


def winograd_grad_weight(x, g, workspace, w, geo):
    """w = ∂T/∂w = Σ_tiles Gᵀ [(Bᵀ d B) ∘ (A e Aᵀ)] G: the same trilinear form, so the transposed matrices; d a patch of x, e a tile of g.

    The arguments are those of conv2d_grad_weight with a 3×3 filter, stride 1, dilation 1, groups 1.
    """
    down, along = -(-geo.OH // 4), -(-geo.OW // 4)
    whole = np.zeros((geo.N, 4 * down, 4 * along, geo.O), g.dtype)
    whole[:, :geo.OH, :geo.OW] = g
    cotangents = _both_sides(A, whole.reshape(geo.N, down, 4, along, 4, geo.O), (2, 4)).reshape(36, -1, geo.O)
    patches = _patches(x, geo.top, geo.left, down, along).reshape(36, -1, geo.C)
    w[...] = _both_sides(G.T, (patches.swapaxes(1, 2) @ cotangents).reshape(6, 6, geo.C, geo.O), (0, 1))


def winograd_forward_workspace(geo, itemsize):
    """Bytes of `workspace` that winograd_forward needs: none."""
    return 0


def winograd_grad_input_workspace(geo, itemsize):
    """Bytes of `workspace` that winograd_grad_input needs: none."""
    return 0


def winograd_grad_weight_workspace(geo, itemsize):
    """Bytes of `workspace` that winograd_grad_weight needs: none."""
    return 0
