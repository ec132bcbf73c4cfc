"""Convolution as three ops that are the three derivatives of one number, and as one op with what commonly follows it.

    T(x, w, g) = Σ  g[n, oy, ox, o] · w[ky, kx, c, o] · x[n, sy·oy + dy·ky − top, sx·ox + dx·kx − left, c]

    conv2d_forward(x, w)       = ∂T/∂g      what a layer computes
    conv2d_grad_input(g, w)    = ∂T/∂x      the full convolution with the filter rotated by 180°
    conv2d_grad_weight(x, g)   = ∂T/∂w      the convolution of the input with the output's gradient

T is linear in each argument, so differentiating any of the three gives one of the three: every order of derivative exists.
One frozen geometry passes unchanged through all of them. (As everywhere in this field, the filter is not turned in the
forward pass; a mathematician calls that a correlation.)

    y = act(scale · conv2d_forward(x, w) + bias + residual)      without another pass over y (`fused`)
"""
from __future__ import annotations

from typing import Any

from tinygradconv.autodiff import Primitive, primitive, recording
from tinygradconv.backends import ACTIVATIONS
from tinygradconv.geometry import Conv2dGeometry
from tinygradconv.ops.bias import activation_slope, bias_backward
from tinygradconv.tensor import Tensor


@primitive(packs="w")
def conv2d_forward(be: Any, x: Any, w: Any, *, geo: Conv2dGeometry, packed: dict | None, moments: dict | None = None) -> Any:
    """y (N, OH, OW, O) = ∂T/∂g, from x (N, H, W, C) and w (kh, kw, C/groups, O); `moments` of y as conv2d has them."""
    y = be.empty(geo.y_shape, x.dtype)
    be.run("conv2d_forward", x, w, None, None, None, y, ACTIVATIONS[None], geo, packed=packed, moments=moments)
    return y


@primitive
def conv2d_grad_input(be: Any, g: Any, w: Any, *, geo: Conv2dGeometry) -> Any:
    """x (N, H, W, C) = ∂T/∂x, from g (N, OH, OW, O) and w (kh, kw, C/groups, O)."""
    x = be.empty(geo.x_shape, g.dtype)
    be.run("conv2d_grad_input", g, w, x, geo)
    return x


@primitive
def conv2d_grad_weight(be: Any, x: Any, g: Any, *, geo: Conv2dGeometry) -> Any:
    """w (kh, kw, C/groups, O) = ∂T/∂w, from x (N, H, W, C) and g (N, OH, OW, O)."""
    w = be.empty(geo.w_shape, x.dtype)
    be.run("conv2d_grad_weight", x, g, w, geo)
    return w


conv2d_forward.vjp(
    x=lambda g, w, geo: conv2d_grad_input(g, w, geo=geo),
    w=lambda g, x, geo: conv2d_grad_weight(x, g, geo=geo))
conv2d_grad_input.vjp(                                       # its cotangent is shaped like x, and g is its own input
    g=lambda cotangent, w, geo: conv2d_forward(cotangent, w, geo=geo),
    w=lambda cotangent, g, geo: conv2d_grad_weight(cotangent, g, geo=geo))
conv2d_grad_weight.vjp(                                      # its cotangent is shaped like w
    x=lambda cotangent, g, geo: conv2d_grad_input(g, cotangent, geo=geo),
    g=lambda cotangent, x, geo: conv2d_forward(x, cotangent, geo=geo))


def _fused(activation: str | None) -> Primitive:
    """The op y = act(scale · conv2d_forward(x, w) + bias + residual): one per activation, since what its rule keeps depends on it."""
    @primitive(optional=("scale", "bias", "residual"), packs="w", name="conv2d")
    def conv2d_fused(be: Any, x: Any, w: Any, scale: Any, bias: Any, residual: Any, *, geo: Conv2dGeometry, packed: dict | None,
                     moments: dict | None = None) -> Any:
        y = be.empty(geo.y_shape, x.dtype)
        be.run("conv2d_forward", x, w, scale, bias, residual, y, ACTIVATIONS[activation], geo, packed=packed, moments=moments)
        return y

    def rule(g: Tensor, x: Tensor, w: Tensor, scale: Tensor | None, geo: Conv2dGeometry, wanted: tuple[str, ...],
             y: Tensor | None = None) -> dict[str, Tensor]:
        """With z = scale · conv + bias + residual: dz = g · act'(z) is the cotangent of the residual, its sum that of the bias."""
        if recording() or (activation is None and "bias" not in wanted):
            dz = activation_slope(g, y, activation=activation)
            found = {"residual": dz, "bias": dz.sum((0, 1, 2)) if "bias" in wanted else None}
        else:
            dz, dbias = bias_backward(g, y, activation=activation)
            found = {"residual": dz, "bias": dbias}
        if "scale" in wanted:
            found["scale"] = (dz * conv2d_forward(x, w, geo=geo)).sum((0, 1, 2))
        dconv = dz if scale is None else dz * scale
        if "x" in wanted:
            found["x"] = conv2d_grad_input(dconv, w, geo=geo)
        if "w" in wanted:
            found["w"] = conv2d_grad_weight(x, dconv, geo=geo)
        return found

    if activation is None:                                   # a rule keeps what it names: y only where there is an activation
        return conv2d_fused.joint_vjp(lambda g, x, w, scale, geo, wanted: rule(g, x, w, scale, geo, wanted))
    return conv2d_fused.joint_vjp(rule)


fused = {activation: _fused(activation) for activation in ACTIVATIONS}
