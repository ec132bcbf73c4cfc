"""Normalisation: values minus a mean, divided by a standard deviation. They differ in what the mean is over.

    batch_norm   each channel, over the batch and all places: batch_norm.py   (Ioffe and Szegedy 2015)
    layer_norm   each example, over its channels                   (Ba, Kiros and Hinton 2016)
    group_norm   each example and group of channels, over all places   (Wu and He 2018)
    local_response_norm   each value by the neighbouring channels' squares, no mean   (Krizhevsky et al. 2012)

Variances are biased (divided by the number of values, not one less). The backward kernels are fused; where the backward
pass is itself recorded, the same cotangents are composed of small ops from the inputs, so that nobody treats a mean as a constant.
"""
from __future__ import annotations

import math
from typing import Any

from tinygradconv.autodiff import primitive, recording
from tinygradconv.geometry import integer, real
from tinygradconv.ops.batch_norm import batch_norm, batch_norm_inference, normalised, per_channel, positive
from tinygradconv.ops.elementwise import square
from tinygradconv.ops.pool import sum_pool2d
from tinygradconv.ops.shape import as_axes
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.promotion import floating_tensors
from tinygradconv.tensor import Tensor

__all__ = ["batch_norm", "batch_norm_inference", "group_norm", "layer_norm", "local_response_norm"]

LARGEST_SIZE = 2**24          # of a neighbourhood of channels; no network has so many


@primitive(byproducts=("mean", "variance"))
def _group_norm(be: Any, x: Any, *, epsilon: float) -> Any:
    """(y, mean, variance) of x (N, L, G, D): normalised over L and D."""
    N, _, G, _ = x.shape
    y, mean, variance = be.empty(x.shape, x.dtype), be.empty((N, G), x.dtype), be.empty((N, G), x.dtype)
    be.run("group_norm_forward", x, y, mean, variance, epsilon)
    return y, mean, variance


@primitive(differentiable=False)
def _group_norm_backward(be: Any, g: Any, x: Any, mean: Any, variance: Any, *, epsilon: float) -> Any:
    dx = be.empty(x.shape, x.dtype)
    be.run("group_norm_backward", g, x, mean, variance, dx, epsilon)
    return dx


def _group_norm_rule(g: Tensor, x: Tensor, mean: Tensor, variance: Tensor, epsilon: float) -> Tensor:
    """dx = inv · (g − Σg / m − x̂ · Σ(g·x̂) / m)."""
    if not recording():
        return _group_norm_backward(g, x, mean, variance, epsilon=epsilon)
    inverse, normal = normalised(x, (1, 3), epsilon)
    return inverse * (g - g.mean((1, 3), keepdims=True) - normal * (g * normal).mean((1, 3), keepdims=True))


_group_norm.vjp(x=_group_norm_rule)
_group_norm.name = "group_norm"


def _affine(name: str, y: Tensor, scale: Tensor | None, shift: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    """y · scale + shift, either of which may be None, with parameters of exactly `shape`."""
    for said, parameter in (("scale", scale), ("shift", shift)):
        if parameter is not None and parameter.shape != shape:
            raise ValueError(f"{name}: {said} must have shape {shape}, as the normalised axes of x {y.shape}, got {parameter.shape}")
    y = y if scale is None else y * scale
    return y if shift is None else y + shift


def _operands(name: str, x: Any, scale: Any, shift: Any) -> tuple[Tensor, Tensor | None, Tensor | None]:
    given = {said: value for said, value in (("x", x), ("scale", scale), ("shift", shift)) if value is not None or said == "x"}
    tensors = dict(zip(given, floating_tensors(name, tuple(given), tuple(given.values()))))
    return tensors["x"], tensors.get("scale"), tensors.get("shift")


@numpy_names
def layer_norm(x: Any, scale: Any = None, shift: Any = None, *, axis: int | tuple[int, ...] = -1, epsilon: float = 1e-5) -> Tensor:
    """y = scale · (x − mean) / √(variance + epsilon) + shift, mean and variance taken over `axis` of each example.

    scale and shift are shaped like the axes `axis` of x, in the order given, or None. ValueError where there is nothing to take a mean of.
    """
    x, scale, shift = _operands("layer_norm", x, scale, shift)
    axes = as_axes("layer_norm", axis, x.ndim)
    shape = tuple(x.shape[i] for i in axes)
    if 0 in shape or not axes:
        raise ValueError(f"layer_norm: there is no mean of no values; x has shape {x.shape}, axis {axis}")
    order = (*(i for i in range(x.ndim) if i not in axes), *axes)
    moved = x.permute_dims(order)
    rows = math.prod(moved.shape[:x.ndim - len(axes)])
    y = _group_norm(moved.reshape((rows, 1, 1, math.prod(shape))), epsilon=positive("layer_norm", epsilon)).reshape(moved.shape)
    y = _affine("layer_norm", y, scale, shift, shape)
    return y.permute_dims(tuple(sorted(range(x.ndim), key=order.__getitem__)))


@numpy_names
def group_norm(x: Any, groups: int, scale: Any = None, shift: Any = None, *, epsilon: float = 1e-5) -> Tensor:
    """y = scale · (x − mean) / √(variance + epsilon) + shift, mean and variance over all places and one group of channels.

    x (N, …, C); scale, shift (C,) or None; `groups` must divide C. With groups = C this is instance normalisation.
    """
    x, scale, shift = _operands("group_norm", x, scale, shift)
    per_channel("group_norm", x)
    C, groups = x.shape[-1], integer("groups", groups, at_least=1, where="group_norm")
    if C % groups:
        raise ValueError(f"group_norm: groups (={groups}) must divide the channels on the last axis of x (={C})")
    seen = x.reshape((x.shape[0], math.prod(x.shape[1:-1]), groups, C // groups))
    y = _group_norm(seen, epsilon=positive("group_norm", epsilon)).reshape(x.shape)
    return _affine("group_norm", y, scale, shift, (C,))


@primitive
def _local_response_norm(be: Any, x: Any, *, size: int, alpha: float, beta: float, k: float) -> Any:
    rows, y = (math.prod(x.shape[:-1]), x.shape[-1]), be.empty(x.shape, x.dtype)
    be.run("local_response_norm_forward", x.reshape(rows), y.reshape(rows), size, alpha, beta, k)
    return y


@primitive(differentiable=False)
def _local_response_norm_backward(be: Any, g: Any, x: Any, *, size: int, alpha: float, beta: float, k: float) -> Any:
    rows, dx = (math.prod(x.shape[:-1]), x.shape[-1]), be.empty(x.shape, x.dtype)
    be.run("local_response_norm_backward", g.reshape(rows), x.reshape(rows), dx.reshape(rows), size, alpha, beta, k)
    return dx


def _local_response_norm_rule(g: Tensor, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """dx = g / base^beta − 2 · alpha/size · beta · x · Σ g·x / base^(beta + 1), the sum over the channels whose windows hold this one."""
    if not recording():
        return _local_response_norm_backward(g, x, size=size, alpha=alpha, beta=beta, k=k)
    base = _window_sums(square(x), size // 2, (size - 1) // 2) * (alpha / size) + k
    direct = g / base ** beta
    return direct - x * _window_sums(direct * x / base, (size - 1) // 2, size // 2) * (2 * alpha * beta / size)


def _window_sums(x: Tensor, before: int, after: int) -> Tensor:
    """Σ x[…, j] over the channels j = c − before … c + after that exist: the channels are the columns of an image of one row."""
    image = x.reshape((math.prod(x.shape[:-1]), 1, x.shape[-1], 1))
    return sum_pool2d(image, (1, before + 1 + after), stride=1, padding=((0, 0), (before, after))).reshape(x.shape)


_local_response_norm.vjp(x=_local_response_norm_rule)
_local_response_norm.name = "local_response_norm"


@numpy_names
def local_response_norm(x: Any, size: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> Tensor:
    """y[…, c] = x[…, c] / (k + alpha/size · Σ x[…, j]²)^beta, the sum over the channels j = c − ⌊size/2⌋ … c + ⌊(size − 1)/2⌋ that exist.

    x (…, C). As in PyTorch, alpha is divided by `size`; AlexNet's paper (section 3.3: k = 2, n = 5, α = 10⁻⁴, β = 0.75) does not
    divide, so its formula is local_response_norm(x, 5, alpha=5e-4). Source: Krizhevsky, Sutskever and Hinton 2012.
    """
    name = "local_response_norm"
    (x,) = floating_tensors(name, ("x",), (x,))
    size = integer("size", size, at_least=1, at_most=LARGEST_SIZE, where=name)
    alpha, beta, k = (real(said, value, where=name) for said, value in (("alpha", alpha), ("beta", beta), ("k", k)))
    if k < 0 or alpha < 0:
        raise ValueError(f"{name}: k and alpha must be at least 0, as a power of their sum is taken, got k {k}, alpha {alpha}")
    if x.ndim < 1 or x.shape[-1] < 1:
        raise ValueError(f"{name}: x must have channels on its last axis, got shape {x.shape}")
    return _local_response_norm(x, size=size, alpha=alpha, beta=beta, k=k)
