"""Convolution in two dimensions and one, and its transpose: what a user calls. The ops behind them are in conv_core.py."""
from __future__ import annotations

from functools import lru_cache
from typing import Any

from tinygradconv.geometry import Conv2dGeometry, Padding, Pair, integer, pair, resolve_padding
from tinygradconv.ops.bias import checked_activation
from tinygradconv.ops.conv_core import conv2d_forward, conv2d_grad_input, fused
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.ops.windows import frozen, row_image, row_padding, row_pair
from tinygradconv.promotion import floating_tensors
from tinygradconv.tensor import Tensor


@numpy_names
def conv2d(x: Any, w: Any, bias: Any = None, *, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1, groups: int = 1,
           scale: Any = None, residual: Any = None, activation: str | None = None, moments: dict | None = None) -> Tensor:
    """y[n, oy, ox, o] = bias[o] + Σ_{ky,kx,c} w[ky, kx, c, o] · x[n, sy·oy + dy·ky − top, sx·ox + dx·kx − left, c].

    x (N, H, W, C), w (kh, kw, C/groups, O), bias (O,) or None; y (N, OH, OW, O). Channel o sees the C/groups channels of
    group o // (O/groups). `padding` is one integer, (rows, columns), ((top, bottom), (left, right)), 'same' or 'valid'.
    The widest floating dtype wins; integers become float32. ValueError names the shapes that do not fit together.

    What commonly follows a convolution can be done on the way, without another pass over y: act(scale · conv + bias + residual), with
    scale (O,), residual shaped like y, and `activation` 'relu' or 'tanh'. It is what conv2d(…), `*`, `+` and relu() would give.

    Where batch_norm takes y next, `moments={}` handed to both spares the GPU one reading of y: it is there that sums of y are left.
    """
    if scale is None and residual is None and activation is None:
        return _conv2d("conv2d", x, w, bias, stride, padding, dilation, groups, moments)
    more = {"scale": scale, "bias": bias, "residual": residual}
    present = {name: value for name, value in more.items() if value is not None}
    x, w, *rest = floating_tensors("conv2d", ("x", "w", *present), (x, w, *present.values()))
    geo = _geometry("conv2d", x.shape, w.shape, frozen(stride), frozen(padding), frozen(dilation), frozen(groups))
    for name, tensor in zip(present, rest):
        shape = geo.y_shape if name == "residual" else (geo.O,)
        if tensor.shape != shape:
            raise ValueError(f"conv2d: {name} must have shape {shape}, {_MEANING[name]}, got {tensor.shape}")
        more[name] = tensor
    return fused[checked_activation("conv2d", activation)](x, w, *more.values(), geo=geo, moments=moments)


_MEANING = {"scale": "one value per output channel", "bias": "one value per output channel", "residual": "that of the result"}


@numpy_names
def conv1d(x: Any, w: Any, bias: Any = None, *, stride: int = 1, padding: Any = 0, dilation: int = 1, groups: int = 1) -> Tensor:
    """y[n, i, o] = bias[o] + Σ_{k,c} w[k, c, o] · x[n, stride·i + dilation·k − before, c]: conv2d of an image of one row.

    x (N, L, C), w (k, C/groups, O), bias (O,) or None; y (N, OL, O). `padding` is one integer, (before, after), 'same' or 'valid'.
    """
    x, w, *rest = _operands("conv1d", x, w, bias)
    y = _conv2d("conv1d", row_image("conv1d", x), _row_filter("conv1d", w), rest[0] if rest else None,
                row_pair("conv1d", "stride", stride, at_least=1, rows=1), row_padding("conv1d", padding),
                row_pair("conv1d", "dilation", dilation, at_least=1, rows=1), groups)
    return y.reshape((y.shape[0], *y.shape[2:]))


@numpy_names
def conv2d_transpose(x: Any, w: Any, bias: Any = None, *, stride: Pair = 1, padding: Padding = 0, output_padding: Pair = 0,
                     dilation: Pair = 1, groups: int = 1) -> Tensor:
    """y = bias + ∂T/∂x at g = x: each value of x spreads a copy of the filter over y; the adjoint of a conv2d with the same w.

    x (N, H, W, O), w (kh, kw, I/groups, O) as in the convolution it transposes, bias (I,) or None; y (N, OH, OW, I) with
    OH = (H − 1)·stride − top − bottom + dilation·(kh − 1) + 1 + output_padding. `output_padding` < stride picks one of the sizes that the
    convolution would map to H; with padding 'same', y has H·stride rows. Source: Zeiler et al. 2010, "Deconvolutional networks".
    """
    return _conv2d_transpose("conv2d_transpose", x, w, bias, stride, padding, output_padding, dilation, groups)


@numpy_names
def conv1d_transpose(x: Any, w: Any, bias: Any = None, *, stride: int = 1, padding: Any = 0, output_padding: int = 0, dilation: int = 1,
                     groups: int = 1) -> Tensor:
    """The adjoint of a conv1d with the same w (k, I/groups, O): x (N, L, O) gives y (N, OL, I); see conv2d_transpose."""
    name = "conv1d_transpose"
    x, w, *rest = _operands(name, x, w, bias)
    y = _conv2d_transpose(name, row_image(name, x), _row_filter(name, w), rest[0] if rest else None,
                          row_pair(name, "stride", stride, at_least=1, rows=1), row_padding(name, padding),
                          row_pair(name, "output_padding", output_padding, at_least=0, rows=0),
                          row_pair(name, "dilation", dilation, at_least=1, rows=1), groups)
    return y.reshape((y.shape[0], *y.shape[2:]))


def _conv2d(where: str, x: Any, w: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int,
            moments: dict | None = None) -> Tensor:
    x, w, *rest = _operands(where, x, w, bias)
    geo = _geometry(where, x.shape, w.shape, frozen(stride), frozen(padding), frozen(dilation), frozen(groups))
    if not rest:
        return conv2d_forward(x, w, geo=geo, moments=moments)
    _check_bias(where, rest[0], geo.O)
    return fused[None](x, w, None, rest[0], None, geo=geo, moments=moments)


def _conv2d_transpose(where: str, x: Any, w: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, dilation: Any,
                      groups: int) -> Tensor:
    x, w, *rest = _operands(where, x, w, bias)
    geo = transposed_geometry(where, x.shape, w.shape, frozen(stride), frozen(padding), frozen(output_padding), frozen(dilation),
                               frozen(groups))
    y = conv2d_grad_input(x, w, geo=geo)
    if not rest:
        return y
    _check_bias(where, rest[0], geo.C)
    return y + rest[0]


def _operands(where: str, x: Any, w: Any, bias: Any) -> list[Tensor]:
    """x, w and the bias, if there is one, in one floating dtype."""
    return floating_tensors(where, ("x", "w") if bias is None else ("x", "w", "bias"), (x, w) if bias is None else (x, w, bias))


def _row_filter(where: str, w: Tensor) -> Tensor:
    """A filter (k, I/groups, O) as one of one row."""
    if w.ndim != 3:
        raise ValueError(f"{where}: w must have three axes (k, channels in / groups, channels out), got shape {w.shape}")
    return w.reshape((1, *w.shape))


def _check_bias(where: str, bias: Tensor, channels: int) -> None:
    if bias.shape != (channels,):
        raise ValueError(f"{where}: bias must have shape ({channels},), one value per output channel, got {bias.shape}")


@lru_cache(maxsize=512, typed=True)
def _geometry(where: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Any, padding: Any, dilation: Any,
              groups: int) -> Conv2dGeometry:
    """The geometry of a convolution, after every check."""
    _check_shapes(where, x_shape, w_shape)
    groups = integer("groups", groups, at_least=1, where=where)
    kh, kw, depth, outputs = w_shape
    if x_shape[3] != depth * groups:
        raise ValueError(_mismatch(where, x_shape, w_shape, groups))
    _check_groups(where, outputs, groups)
    stride = pair("stride", stride, at_least=1, where=where)
    return Conv2dGeometry.of(where, x_shape, (kh, kw), stride=stride, padding=padding, dilation=dilation, O=outputs, groups=groups)


@lru_cache(maxsize=512, typed=True)
def transposed_geometry(where: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Any, padding: Any, output_padding: Any,
                         dilation: Any, groups: int) -> Conv2dGeometry:
    """The geometry of the convolution that a transposed one transposes, after every check: its y has our `x_shape`, its x is our y.

    x_shape (N, H, W, O), w_shape (kh, kw, I/groups, O); the options as for conv2d_transpose, in tuples. Errors begin with `where`.
    """
    _check_shapes(where, x_shape, w_shape)
    groups = integer("groups", groups, at_least=1, where=where)
    N, *size, channels = x_shape
    kernel, depth, outputs = w_shape[:2], w_shape[2], w_shape[3]
    if channels != outputs:
        x, w = _as_given(where, x_shape, w_shape)
        raise ValueError(f"{where}: w has {outputs} channels on its last axis but x has {channels} on its last axis. x is {x}; "
                         f"w is {w}. A transposed convolution keeps the weights of the convolution it transposes: "
                         f"w is ({'k' if len(w) == 3 else 'kh, kw'}, channels of y / groups, channels of x)")
    _check_groups(where, outputs, groups)
    strides, dilations = pair("stride", stride, at_least=1, where=where), pair("dilation", dilation, at_least=1, where=where)
    extra = pair("output_padding", output_padding, at_least=0, where=where)
    if any(e >= s for e, s in zip(extra, strides)):
        raise ValueError(f"{where}: output_padding must be smaller than stride, got output_padding {extra} with stride {strides}")
    grown = tuple(n * s for n, s in zip(size, strides))
    pads = resolve_padding(padding, grown, kernel, strides, dilations, where)
    if padding != "same":
        grown = tuple((n - 1) * s - sum(pad) + d * (k - 1) + 1 + e
                      for n, s, pad, d, k, e in zip(size, strides, pads, dilations, kernel, extra))
    elif any(extra):
        raise ValueError(f"{where}: padding='same' already says that the output has input·stride places; leave output_padding out")
    if min(grown) < 1 or min(size) < 1:
        raise ValueError(f"{where}: x of {size[0]}×{size[1]} with kernel_size {kernel}, stride {strides}, padding {pads} would give "
                         f"an image of {grown[0]}×{grown[1]}. Use less padding")
    return Conv2dGeometry.of(where, (N, *grown, depth * groups), kernel, stride=strides, padding=pads, dilation=dilations,
                             O=outputs, groups=groups)


def _check_shapes(where: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...]) -> None:
    if len(x_shape) != 4:
        raise ValueError(f"{where}: x must have four axes (N, H, W, C), got shape {x_shape}"
                         + (". Add the image axis: x[None]" if len(x_shape) == 3 else ""))
    if len(w_shape) != 4:
        raise ValueError(f"{where}: w must have four axes (kh, kw, channels in / groups, channels out), got shape {w_shape}")
    if 0 in w_shape:
        raise ValueError(f"{where}: every axis of w (kh, kw, channels in / groups, channels out) must be at least 1, got shape {w_shape}")


def _check_groups(where: str, outputs: int, groups: int) -> None:
    if outputs % groups:
        raise ValueError(f"{where}: groups (={groups}) must divide the channels on the last axis of w (={outputs})")


def _as_given(where: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of x and w without the axis of length 1 that an op of one dimension adds, and that the user never saw."""
    return ((x_shape[0], *x_shape[2:]), w_shape[1:]) if "1d" in where else (x_shape, w_shape)


def _mismatch(where: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...], groups: int) -> str:
    """The error for x and w whose channels differ, and what most likely happened."""
    x, w = _as_given(where, x_shape, w_shape)
    rows = len(x) == 3
    expected, last_first = w[-2] * groups, "(0, 2, 1)" if rows else "(0, 2, 3, 1)"
    said = f"{where}: w expects {expected} input channels" + (f" ({w[-2]} in each of {groups} groups)" if groups > 1 else "")
    said += f" but x has {x[-1]} on its last axis."
    first = f"x {x} looks channels-first: use x.permute_dims({last_first})"
    if x[1] == expected:
        return f"{said} {first}"
    if not rows and w[2] == w[3] and w[1] * groups in (x[1], x[-1]):
        foreign = f"w {w} looks like PyTorch's (channels out, channels in / groups, kh, kw): use w.permute_dims((2, 3, 1, 0))"
        return f"{said} {foreign}" + (f"; {first}" if w[1] * groups == x[1] else "")
    return f"{said} x is {x}; w is {w}."
