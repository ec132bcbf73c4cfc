"""Depthwise convolution and its adjoints: one filter per channel, so that sums run over the taps alone.

What conv2d_forward, conv2d_grad_input and conv2d_grad_weight compute where groups = C; output channel o reads input channel o // m
where O = C·m.
"""
from __future__ import annotations

import numpy as np

from ..epilogue import finish


def _taps(geo, padded):
    """For each tap (ky, kx): the pixels of the padded image that the windows see through it, a view (N, OH, OW, C)."""
    for ky in range(geo.kh):
        for kx in range(geo.kw):
            rows = slice(ky * geo.dy, ky * geo.dy + (geo.OH - 1) * geo.sy + 1, geo.sy)
            columns = slice(kx * geo.dx, kx * geo.dx + (geo.OW - 1) * geo.sx + 1, geo.sx)
            yield ky, kx, padded[:, rows, columns]


def _padded(x, geo):
    """x with its padding written out, each channel as often as it is read."""
    return np.pad(x, ((0, 0), (geo.top, geo.bottom), (geo.left, geo.right), (0, 0))).repeat(geo.O // geo.C, axis=3)


def depthwise_forward(x, w, scale, bias, residual, workspace, y, activation, geo):
    """y = act(scale · z + bias + residual), what is None left out, where

    z[n, oy, ox, o] = Σ_{ky,kx} x[n, sy·oy + dy·ky − top, sx·ox + dx·kx − left, o // m] · w[ky, kx, 0, o].

    x           (N, H, W, C)
    w           (kh, kw, 1, O), O = C·m
    scale       (O,) or None
    bias        (O,) or None
    residual    like y, or None
    y           (N, OH, OW, O), filled
    activation  a number of ACTIVATIONS
    """
    y[...] = 0
    for ky, kx, seen in _taps(geo, _padded(x, geo)):
        y += seen * w[ky, kx, 0]
    finish(y, scale, bias, residual, activation)


def depthwise_grad_input(g, w, workspace, x, geo):
    """x = the adjoint of depthwise_forward in x: every g[n, oy, ox, o] spreads its filter w[:, :, 0, o] over its window.

    g  (N, OH, OW, O)
    w  (kh, kw, 1, O)
    x  (N, H, W, C), filled
    """
    padded = np.zeros((geo.N, geo.H + geo.top + geo.bottom, geo.W + geo.left + geo.right, geo.O), x.dtype)
    for ky, kx, seen in _taps(geo, padded):
        seen += g * w[ky, kx, 0]
    inside = padded[:, geo.top:geo.top + geo.H, geo.left:geo.left + geo.W]
    x[...] = inside.reshape(*geo.x_shape, geo.O // geo.C).sum(axis=4)


def depthwise_grad_weight(x, g, workspace, w, geo):
    """w[ky, kx, 0, o] = Σ_{n,oy,ox} x[n, sy·oy + dy·ky − top, sx·ox + dx·kx − left, o // m] · g[n, oy, ox, o].

    x  (N, H, W, C)
    g  (N, OH, OW, O)
    w  (kh, kw, 1, O), filled
    """
    for ky, kx, seen in _taps(geo, _padded(x, geo)):
        w[ky, kx, 0] = (seen * g).sum(axis=(0, 1, 2))


def depthwise_forward_workspace(geo, itemsize):
    """Bytes of `workspace` that depthwise_forward needs: none."""
    return 0


def depthwise_grad_input_workspace(geo, itemsize):
    """Bytes of `workspace` that depthwise_grad_input needs: none."""
    return 0


def depthwise_grad_weight_workspace(geo, itemsize):
    """Bytes of `workspace` that depthwise_grad_weight needs: none."""
    return 0
