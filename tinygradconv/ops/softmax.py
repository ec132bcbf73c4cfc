"""Numbers into probabilities: softmax(x)ᵢ = e^(xᵢ) / Σⱼ e^(xⱼ), and its logarithm, along any axis."""
from __future__ import annotations

from typing import Any

from tinygradconv.autodiff import primitive
from tinygradconv.ops.elementwise import exp
from tinygradconv.ops.reduce import start, sum
from tinygradconv.ops.shape import moveaxis
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.tensor import Tensor

__all__ = ["log_softmax", "softmax"]


@primitive
def _log_softmax(be: Any, x: Any) -> Any:
    """Along the last axis."""
    y = be.empty(x.shape, x.dtype)
    if x.size:
        be.run("log_softmax", x.reshape(-1, x.shape[-1]), y.reshape(-1, x.shape[-1]))
    return y


@primitive
def _softmax(be: Any, x: Any) -> Any:
    """Along the last axis."""
    y = be.empty(x.shape, x.dtype)
    if x.size:
        be.run("softmax", x.reshape(-1, x.shape[-1]), y.reshape(-1, x.shape[-1]))
    return y


_log_softmax.vjp(x=lambda g, y: g - exp(y) * sum(g, -1, keepdims=True))
_softmax.vjp(x=lambda g, y: y * (g - sum(g * y, -1, keepdims=True)))
_log_softmax.name, _softmax.name = "log_softmax", "softmax"


def _along(name: str, op: Any, x: Any, axis: int) -> Tensor:
    """`op`, which works along the last axis, along `axis`."""
    x, axes = start(name, x, axis, floating=True)
    if len(axes) != 1:
        raise ValueError(f"{name}: axis must be one integer, got {axis!r}")
    return op(x) if axes[0] == x.ndim - 1 else moveaxis(op(moveaxis(x, axes[0], -1)), -1, axes[0])


@numpy_names
def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """xᵢ − log Σⱼ e^(xⱼ) along `axis`: the logarithms of probabilities. Nothing overflows; a −∞ stays −∞."""
    return _along("log_softmax", _log_softmax, x, axis)


@numpy_names
def softmax(x: Any, axis: int = -1) -> Tensor:
    """e^(xᵢ) / Σⱼ e^(xⱼ) along `axis`: positive numbers that sum to 1. Nothing overflows; a −∞ becomes 0."""
    return _along("softmax", _softmax, x, axis)
