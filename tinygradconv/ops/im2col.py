"""Windows laid out as the rows of a matrix, and the adjoint that adds them back.

    cols[(n, oy, ox), (ky, kx, c)] = x[n, sy·oy + dy·ky − top, sx·ox + dx·kx − left, c]

A convolution is then one matrix product, `im2col(x) @ w.reshape(-1, O)`. Both ops are linear and each is the other's
adjoint, so each is the other's derivative.
"""
from __future__ import annotations

from typing import Any

from tinygradconv.autodiff import primitive
from tinygradconv.geometry import Padding, Pair, WindowGeometry, described, integer, pair
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.ops.windows import window_geometry
from tinygradconv.promotion import floating_tensors
from tinygradconv.tensor import Tensor


@primitive
def _im2col(be: Any, x: Any, *, geo: WindowGeometry) -> Any:
    cols = be.empty(geo.cols_shape, x.dtype)
    be.run("im2col", x, cols, geo)
    return cols


@primitive
def _col2im(be: Any, cols: Any, *, geo: WindowGeometry) -> Any:
    x = be.empty(geo.x_shape, cols.dtype)
    be.run("col2im", cols, x, geo)
    return x


_im2col.vjp(x=lambda g, geo: _col2im(g, geo=geo))
_col2im.vjp(cols=lambda g, geo: _im2col(g, geo=geo))
_im2col.name, _col2im.name = "im2col", "col2im"


@numpy_names
def im2col(x: Any, kernel_size: Pair, *, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1) -> Tensor:
    """cols[(n, oy, ox), (ky, kx, c)] = x[n, sy·oy + dy·ky − top, sx·ox + dx·kx − left, c], zero outside the image.

    x (N, H, W, C) gives cols (N·OH·OW, kh·kw·C): one row per window. Integers give float32. ValueError where a window does not fit.
    Source: Chellapilla, Puri and Simard 2006, "High performance convolutional neural networks for document processing".
    """
    (x,) = floating_tensors("im2col", ("x",), (x,))
    stride = pair("stride", stride, at_least=1, where="im2col")
    return _im2col(x, geo=window_geometry("im2col", x.shape, kernel_size, stride=stride, padding=padding, dilation=dilation))


@numpy_names
def col2im(cols: Any, x_shape: tuple[int, int, int, int], kernel_size: Pair, *, stride: Pair = 1, padding: Padding = 0,
           dilation: Pair = 1) -> Tensor:
    """x[n, iy, ix, c] = Σ cols[(n, oy, ox), (ky, kx, c)] over the windows that cover the cell: the adjoint of im2col.

    cols (N·OH·OW, kh·kw·C) gives x of shape `x_shape` (N, H, W, C); a cell that no window covers is zero.
    ValueError where cols does not have the shape that im2col of such an x would give.
    """
    (cols,) = floating_tensors("col2im", ("cols",), (cols,))
    if not isinstance(x_shape, (tuple, list)):
        raise TypeError(f"col2im: x_shape must be (N, H, W, C), got {described(x_shape)}")
    stride = pair("stride", stride, at_least=1, where="col2im")
    shape = tuple(integer("x_shape", n, at_least=0, where="col2im") for n in x_shape)
    geo = window_geometry("col2im", shape, kernel_size, stride=stride, padding=padding, dilation=dilation)
    if cols.shape != geo.cols_shape:
        raise ValueError(f"col2im: cols must be (N·OH·OW, kh·kw·C) = {geo.cols_shape} for x_shape {shape} and kernel_size "
                         f"{geo.kh}×{geo.kw}, got {cols.shape}. Give the same arguments as to im2col")
    return _col2im(cols, geo=geo)
