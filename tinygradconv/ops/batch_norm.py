"""Batch normalisation, alone or with what follows it in a residual block: y = act(scale · x̂ + shift + residual).

One kernel goes each way, so that the sum before the activation is never in memory. The kernels keep x and the statistics and, where there
is an activation, what it let through: on the CPU one bit for each value, as both passes of the backward kernel wait for memory; on a GPU y.
The rule of the backward pass that is itself recorded is made of small ops: it recomputes the statistics from x, so that nobody treats a
mean as a constant.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tinygradconv.autodiff import Primitive, primitive, recording
from tinygradconv.backends import ACTIVATIONS
from tinygradconv.geometry import real
from tinygradconv.ops.activation import relu
from tinygradconv.ops.bias import activation_slope, checked_activation
from tinygradconv.ops.create import ones_like
from tinygradconv.ops.elementwise import sqrt, square
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.promotion import floating_tensors
from tinygradconv.tensor import Tensor

__all__ = ["batch_norm", "batch_norm_inference"]


def _fused(activation: str | None, *, bits: bool = False) -> Primitive:
    """The op y = act(scale · x̂ + shift + residual): one per activation, whose rule keeps one of its `bits` for each value, or else y."""
    @primitive(optional=("residual",), byproducts=("mean", "variance", *(("passed",) if bits else ())), name="batch_norm")
    def fused(be: Any, x: Any, scale: Any, shift: Any, residual: Any, *, epsilon: float, moments: dict | None = None) -> Any:
        rows = -1, x.shape[-1]
        y, mean, variance = (be.empty(shape, x.dtype) for shape in (x.shape, rows[1:], rows[1:]))
        passed = be.empty(((x.size + 7) // 8,), np.uint8) if bits else None
        be.run("batch_norm_forward", x.reshape(rows), scale, shift, None if residual is None else residual.reshape(rows), y.reshape(rows),
               mean, variance, passed, epsilon, ACTIVATIONS[activation], moments=moments)
        return (y, mean, variance, passed) if bits else (y, mean, variance)

    def rule(g: Tensor, x: Tensor, scale: Tensor, mean: Tensor, variance: Tensor, epsilon: float, wanted: tuple[str, ...],
             passed: Tensor | None = None) -> dict[str, Tensor]:
        """dx = scale · inv · (dz − Σdz / M − x̂ · Σ(dz·x̂) / M), dscale = Σ dz·x̂, dshift = Σ dz, dresidual = dz = g · act'."""
        def pulled(g: Tensor, apart: bool) -> Any:
            return _backward.with_byproducts(g, x, passed, scale, mean, variance, epsilon=epsilon, activation=activation, apart=apart)
        if recording():
            # relu' is the cotangent of the residual where that of y is 1; it is a constant, and positive where y is.
            slope = pulled(ones_like(g), True)[3] if bits else passed
            return _composed_rule(activation_slope(g, slope, activation=activation), x, scale, epsilon)
        apart = passed is not None and "residual" in wanted      # without an activation dz is g itself
        dx, dscale, dshift, *dz = pulled(g, apart)
        return {"x": dx, "scale": dscale, "shift": dshift, "residual": dz[0] if apart else g}

    if activation is None:
        return fused.joint_vjp(lambda g, x, scale, mean, variance, epsilon, wanted: rule(g, x, scale, mean, variance, epsilon, wanted))
    if bits:
        return fused.joint_vjp(rule)
    return fused.joint_vjp(lambda g, x, scale, mean, variance, epsilon, wanted, y: rule(g, x, scale, mean, variance, epsilon, wanted, y))


@primitive(differentiable=False, optional=("passed",), byproducts=("dscale", "dshift", "dz"))
def _backward(be: Any, g: Any, x: Any, passed: Any, scale: Any, mean: Any, variance: Any, *, epsilon: float, activation: str | None,
              apart: bool) -> Any:
    """(dx, dscale, dshift), and dz where it is wanted `apart`. passed: bits, or y."""
    rows = -1, x.shape[-1]
    dx, dscale, dshift = (be.empty(shape, x.dtype) for shape in (x.shape, rows[1:], rows[1:]))
    dz = be.empty(x.shape, x.dtype) if apart else None
    through = passed if passed is None or passed.dtype == np.uint8 else passed.reshape(rows)
    be.run("batch_norm_backward", g.reshape(rows), x.reshape(rows), through, scale, mean, variance,
           dx.reshape(rows), dscale, dshift, dz.reshape(rows) if apart else None, epsilon, ACTIVATIONS[activation])
    return (dx, dscale, dshift, dz) if apart else (dx, dscale, dshift)


def _composed_rule(dz: Tensor, x: Tensor, scale: Tensor, epsilon: float) -> dict[str, Tensor]:
    """The same cotangents, of small ops."""
    axes = tuple(range(x.ndim - 1))
    inverse, normal = normalised(x, axes, epsilon)
    M = x.size // x.shape[-1]
    dshift, dscale = dz.sum(axes), (dz * normal).sum(axes)
    return {"x": scale * inverse * (dz - dshift / M - normal * (dscale / M)), "scale": dscale, "shift": dshift, "residual": dz}


def normalised(x: Tensor, axes: tuple[int, ...], epsilon: float) -> tuple[Tensor, Tensor]:
    """(1 / √(variance + epsilon), x̂ = (x − mean) times that), of small ops."""
    centred = x - x.mean(axes, keepdims=True)
    inverse = 1 / sqrt(square(centred).mean(axes, keepdims=True) + epsilon)
    return inverse, centred * inverse


_batch_norm = {None: _fused(None), "relu": _fused("relu", bits=True)}
_batch_norm_cuda = {None: _batch_norm[None], "relu": _fused("relu")}


@primitive(differentiable=False, optional=("residual",))
def _affine(be: Any, x: Any, scale: Any, shift: Any, residual: Any, *, activation: str | None) -> Any:
    """act(x · scale + shift + residual) in one pass."""
    rows, y = (-1, x.shape[-1]), be.empty(x.shape, x.dtype)
    if x.size:
        be.run("affine", x.reshape(rows), scale, shift, None if residual is None else residual.reshape(rows), y.reshape(rows),
               ACTIVATIONS[activation])
    return y


def per_channel(name: str, x: Tensor, **parameters: Tensor) -> None:
    """ValueError unless x has a last axis, and each parameter is one value per channel of it."""
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise ValueError(f"{name}: x must have at least two axes (N, …, C), none after the first of length 0, got shape {x.shape}")
    for said, parameter in parameters.items():
        if parameter.shape != (x.shape[-1],):
            raise ValueError(f"{name}: {said} must have shape ({x.shape[-1]},), one value per channel on the last axis of x "
                             f"{x.shape}, got {parameter.shape}")


def positive(name: str, epsilon: float) -> float:
    """epsilon as a float; ValueError below 0."""
    if real("epsilon", epsilon, where=name) < 0:
        raise ValueError(f"{name}: epsilon must be at least 0, got {epsilon!r}")
    return float(epsilon)


def operands(name: str, residual: Any, **given: Any) -> list[Any]:
    """The operands as tensors of one floating dtype, the residual last (or None), all of the shapes that go together."""
    given |= {} if residual is None else {"residual": residual}
    tensors = dict(zip(given, floating_tensors(name, tuple(given), tuple(given.values()))))
    beside = tensors.pop("residual", None)
    x, *parameters = tensors.values()
    per_channel(name, x, **dict(zip(list(tensors)[1:], parameters)))
    if beside is not None and beside.shape != x.shape:
        raise ValueError(f"{name}: residual must have the shape {x.shape} of x, got {beside.shape}")
    return [x, *parameters, beside]


@numpy_names
def batch_norm(x: Any, scale: Any, shift: Any, *, epsilon: float = 1e-5, residual: Any = None,
               activation: str | None = None, moments: dict | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """(y, mean, variance): y = act(scale · (x − mean) / √(variance + epsilon) + shift + residual), each channel's statistics those of x.

    x (N, …, C); scale, shift, mean, variance (C,); residual like x, or None; `activation` None or 'relu'. The variance is biased, and
    both statistics are constants to the derivative of whoever uses them; running averages are the caller's. One value per channel has
    no spread: y is then act(shift + residual). ValueError for an empty batch or wrong shapes. `moments`: what conv2d left there of x.
    """
    name = "batch_norm"
    x, scale, shift, residual = operands(name, residual, x=x, scale=scale, shift=shift)
    if x.shape[0] == 0:
        raise ValueError(f"batch_norm: an empty batch has no mean; x has shape {x.shape}. Use batch_norm_inference, or skip the batch")
    ops = _batch_norm_cuda if x.device == "cuda" else _batch_norm
    op = ops[checked_activation(name, activation, among=("relu",))]
    if moments is not None and x.storage.version:            # x was changed in place since it was made, and the sums in it were not
        moments = None
    return op.with_byproducts(x, scale, shift, residual, epsilon=positive(name, epsilon), moments=moments)[:3]


@numpy_names
def batch_norm_inference(x: Any, scale: Any, shift: Any, mean: Any, variance: Any, *, epsilon: float = 1e-5, residual: Any = None,
                         activation: str | None = None) -> Tensor:
    """y = act(scale · (x − mean) / √(variance + epsilon) + shift + residual) with statistics that are given: one pass over x.

    x (N, …, C); the others (C,); residual like x, or None; `activation` None or 'relu'. Differentiable in all of them: recorded, it is
    made of small ops.
    """
    name = "batch_norm_inference"
    x, scale, shift, mean, variance, residual = operands(name, residual, x=x, scale=scale, shift=shift, mean=mean, variance=variance)
    checked_activation(name, activation, among=("relu",))
    a = scale / sqrt(variance + positive(name, epsilon))
    b = shift - mean * a
    if not (recording() and any(t is not None and t.requires_grad for t in (x, a, b, residual))):
        return _affine(x, a, b, residual, activation=activation)
    y = x * a + b
    y = y if residual is None else y + residual
    return y if activation is None else relu(y)
