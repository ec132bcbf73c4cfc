"""Batch and group normalisation: values minus their mean, divided by their standard deviation, and the derivatives of that.

And local response normalisation, which takes no mean: values divided by a power of their neighbours' squares.
"""
from __future__ import annotations

import numpy as np


def batch_norm_forward(x, scale, shift, residual, y, mean, variance, passed, epsilon, activation):
    """y = act(scale · (x − mean) / √(variance + epsilon) + shift + residual), with each channel's mean and biased variance over the M rows.

    x, residual, y  (M, C), M ≥ 1; y filled; no residual is None
    scale, shift    (C,)
    mean, variance  (C,), filled
    passed          (⌈M·C / 8⌉,) bytes, filled with ReLU: bit i % 8 of byte i // 8 is set where value i of y is above 0; None: not wanted
    activation      0 or 1 of kernels.ACTIVATIONS
    """
    wide = x.astype(np.float64)
    mu = wide.mean(0)
    mean[...] = mu
    variance[...] = ((wide - mu) ** 2).mean(0)
    y[...] = _activated((wide - mu) * (scale / np.sqrt(variance.astype(np.float64) + epsilon)) + shift, residual, activation)
    if passed is not None and activation:
        passed[...] = np.packbits(y > 0, bitorder="little")


def batch_norm_backward(g, x, passed, scale, mean, variance, dx, dscale, dshift, dresidual, epsilon, activation):
    """dz = g · act'(z),  dx = scale · inv · (dz − Σdz / M − x̂ · Σ(dz·x̂) / M),  dscale = Σ dz·x̂,  dshift = Σ dz,  dresidual = dz.

    x̂ = (x − mean) · inv, inv = 1 / √(variance + epsilon); the sums run over the M rows (Ioffe and Szegedy 2015, section 3).
    relu'(z) is 1 where y > 0: `passed` has a bit for each value, from the forward pass, or it is y itself, as on a GPU (cuda.py).

    g, x, dx, dresidual                    (M, C), M ≥ 1; dx filled; dresidual None or filled
    passed                                 (⌈M·C / 8⌉,) bytes, or (M, C); None without activation
    scale, mean, variance, dscale, dshift  (C,); dscale and dshift filled
    activation                             0 or 1 of kernels.ACTIVATIONS
    """
    inverse = 1 / np.sqrt(variance.astype(np.float64) + epsilon)
    normal = (x - mean.astype(np.float64)) * inverse
    dz = np.where(_let_through(passed, g.shape), g, 0) if activation else g
    dshift[...] = total = dz.sum(0, dtype=np.float64)
    dscale[...] = product = (dz * normal).sum(0)
    dx[...] = scale * inverse * (dz - total / len(x) - normal * product / len(x))
    if dresidual is not None:
        dresidual[...] = dz


def _let_through(passed, shape):
    """Whether each value went through ReLU."""
    if passed.dtype == np.uint8:
        return np.unpackbits(passed, count=shape[0] * shape[1], bitorder="little").reshape(shape).astype(bool)
    return passed > 0


def affine(x, scale, shift, residual, y, activation):
    """y = act(x · scale + shift + residual): batch normalisation by statistics that are given.

    x, residual, y  (M, C); y filled; no residual is None
    scale, shift    (C,)
    activation      0 or 1 of kernels.ACTIVATIONS
    """
    y[...] = _activated(x * scale + shift, residual, activation)


def _activated(z, residual, activation):
    """act(z + residual)."""
    if residual is not None:
        z = z + residual
    return np.maximum(z, 0) if activation else z


def group_norm_forward(x, y, mean, variance, epsilon):
    """y = (x − mean) / √(variance + epsilon), with the mean and biased variance of each (n, g) over the L cells and D channels.

    x, y            (N, L, G, D), L·D ≥ 1; y filled. Layer normalisation is L = 1, G = 1
    mean, variance  (N, G), filled
    """
    wide = x.astype(np.float64)
    mu = wide.mean((1, 3), keepdims=True)
    mean[...] = mu[:, 0, :, 0]
    variance[...] = ((wide - mu) ** 2).mean((1, 3))
    y[...] = (wide - mu) / np.sqrt(variance.astype(np.float64)[:, None, :, None] + epsilon)


def group_norm_backward(g, x, mean, variance, dx, epsilon):
    """dx = inv · (g − Σg / m − x̂ · Σ(g·x̂) / m),  x̂ = (x − mean) · inv,  inv = 1 / √(variance + epsilon), m = L·D.

    g, x, dx        (N, L, G, D), L·D ≥ 1; dx filled
    mean, variance  (N, G)
    """
    inverse = 1 / np.sqrt(variance.astype(np.float64)[:, None, :, None] + epsilon)
    normal = (x - mean.astype(np.float64)[:, None, :, None]) * inverse
    dx[...] = inverse * (g - g.mean((1, 3), keepdims=True, dtype=np.float64) - normal * (g * normal).mean((1, 3), keepdims=True))


def local_response_norm_forward(x, y, size, alpha, beta, k):
    """y[m, c] = x[m, c] / base[m, c]^beta,  base[m, c] = k + alpha/size · Σ x[m, j]² (Krizhevsky et al. 2012, section 3.3).

    The sum is over the channels j = c − ⌊size/2⌋ … c + ⌊(size − 1)/2⌋ that exist.

    x, y  (M, C); y filled
    """
    y[...] = x / _response_base(x, size, alpha, k) ** beta


def local_response_norm_backward(g, x, dx, size, alpha, beta, k):
    """dx[m, c] = g[m, c] / base[m, c]^beta − 2 · alpha/size · beta · x[m, c] · Σ (g · x / base^(beta + 1))[m, j].

    The sum is over the channels j whose windows hold c: j = c − ⌊(size − 1)/2⌋ … c + ⌊size/2⌋, those that exist.

    g, x, dx  (M, C); dx filled
    """
    base = _response_base(x, size, alpha, k)
    direct = g / base ** beta
    dx[...] = direct - 2 * alpha / size * beta * x * _window_sums(direct * x / base, (size - 1) // 2, size // 2)


def _response_base(x, size, alpha, k):
    return k + alpha / size * _window_sums(x.astype(np.float64) ** 2, size // 2, (size - 1) // 2)


def _window_sums(values, before, after):
    """Σ values[m, j] over j = c − before … c + after, channels that exist."""
    C = values.shape[1]
    sums = np.zeros_like(values)
    for step in range(-min(before, C - 1), min(after, C - 1) + 1):
        to, source = slice(max(0, -step), min(C, C - step)), slice(max(0, step), min(C, C + step))
        sums[:, to] += values[:, source]
    return sums
