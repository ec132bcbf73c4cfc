"""2-D convolution and its two adjoints, as matrix products of the columns of im2col.

All three are derivatives of one trilinear form, so each is linear in both of its arguments:

    T(x, w, g) = Σ  g[n, oy, ox, o] · w[ky, kx, c, o] · x[n, sy·oy + dy·ky − top, sx·ox + dx·kx − left, c]
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..epilogue import finish
from ..im2col.reference import col2im, im2col


def _groups(geo):
    """For each group: its slice of the input channels, its slice of the output channels, and the geometry of it alone."""
    depth, width = geo.C // geo.groups, geo.O // geo.groups
    one = replace(geo, C=depth, O=width, groups=1)
    for group in range(geo.groups):
        yield slice(group * depth, (group + 1) * depth), slice(group * width, (group + 1) * width), one


def _columns(x, geo):
    """The columns of x, (N·OH·OW, kh·kw·C)."""
    cols = np.empty(geo.cols_shape, x.dtype)
    im2col(x, cols, geo)
    return cols


def conv2d_forward(x, w, scale, bias, residual, workspace, y, activation, geo):
    """y = act(scale · z + bias + residual) where z = ∂T/∂g, the convolution of x with w:

    z[n, oy, ox, o] = Σ_{ky,kx,c} x[n, sy·oy + dy·ky − top, sx·ox + dx·kx − left, c] · w[ky, kx, c, o].
    What is None is left out.

    x           (N, H, W, C)
    w           (kh, kw, C/groups, O)
    scale       (O,) or None
    bias        (O,) or None
    residual    like y, or None
    y           (N, OH, OW, O), filled
    activation  a number of ACTIVATIONS
    """
    for inputs, outputs, one in _groups(geo):
        y[..., outputs] = (_columns(x[..., inputs], one) @ w[..., outputs].reshape(-1, one.O)).reshape(one.y_shape)
    finish(y, scale, bias, residual, activation)


def conv2d_grad_input(g, w, workspace, x, geo):
    """x = ∂T/∂x: the full convolution of g with the filter rotated by 180°, the adjoint of conv2d_forward in x.

    g  (N, OH, OW, O)
    w  (kh, kw, C/groups, O)
    x  (N, H, W, C), filled
    """
    for inputs, outputs, one in _groups(geo):
        part = np.empty(one.x_shape, x.dtype)
        col2im(g[..., outputs].reshape(-1, one.O) @ w[..., outputs].reshape(-1, one.O).T, part, one)
        x[..., inputs] = part


def conv2d_grad_weight(x, g, workspace, w, geo):
    """w = ∂T/∂w: the convolution of the input with the output's gradient, the adjoint of conv2d_forward in w.

    x  (N, H, W, C)
    g  (N, OH, OW, O)
    w  (kh, kw, C/groups, O), filled
    """
    for inputs, outputs, one in _groups(geo):
        w[..., outputs] = (_columns(x[..., inputs], one).T @ g[..., outputs].reshape(-1, one.O)).reshape(one.w_shape)


def conv2d_forward_workspace(geo, itemsize):
    """Bytes of `workspace` that conv2d_forward needs: none."""
    return 0


def conv2d_grad_input_workspace(geo, itemsize):
    """Bytes of `workspace` that conv2d_grad_input needs: none."""
    return 0


def conv2d_grad_weight_workspace(geo, itemsize):
    """Bytes of `workspace` that conv2d_grad_weight needs: none."""
    return 0
