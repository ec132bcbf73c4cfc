"""Batch and group normalisation: values minus their mean, divided by their standard deviation, and the derivatives of that."""
from __future__ import annotations

import numpy as np


def batch_norm_forward(x, scale, shift, y, mean, variance, epsilon):
    """y = scale · (x − mean) / √(variance + epsilon) + shift, with each channel's mean and biased variance over the M rows.

    x, y            (M, C), M ≥ 1; y filled
    scale, shift    (C,)
    mean, variance  (C,), filled
    """
    wide = x.astype(np.float64)
    mu = wide.mean(0)
    mean[...] = mu
    variance[...] = ((wide - mu) ** 2).mean(0)
    y[...] = (wide - mu) * (scale / np.sqrt(variance.astype(np.float64) + epsilon)) + shift


def batch_norm_backward(g, x, scale, mean, variance, dx, dscale, dshift, epsilon):
    """dx = scale · inv · (g − Σg / M − x̂ · Σ(g·x̂) / M),  dscale = Σ g·x̂,  dshift = Σ g,  with x̂ = (x − mean) · inv.

    inv is 1 / √(variance + epsilon); the sums run over the M rows (Ioffe and Szegedy 2015, section 3).

    g, x, dx                               (M, C), M ≥ 1; dx filled
    scale, mean, variance, dscale, dshift  (C,); dscale and dshift filled
    """
    inverse = 1 / np.sqrt(variance.astype(np.float64) + epsilon)
    normal = (x - mean.astype(np.float64)) * inverse
    dshift[...] = total = g.sum(0, dtype=np.float64)
    dscale[...] = product = (g * normal).sum(0)
    dx[...] = scale * inverse * (g - total / len(x) - normal * product / len(x))


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
