# cython: annotation_typing=False
# A wrong type is answered by errors of our own.
"""Numbers into probabilities: softmax(x)ᵢ = e^(xᵢ) / Σⱼ e^(xⱼ), and its logarithm, along any axis."""
from __future__ import annotations

from typing import Any

from tinygradconv.arrays import as_rows
from tinygradconv.autodiff import primitive
from tinygradconv.ops.elementwise import exp
from tinygradconv.ops.reduce import start, sum
from tinygradconv.ops.shape import moveaxis
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.tensor import Tensor

__all__ = ["log_softmax", "softmax"]


@primitive
def _softmax(be: Any, x: Any) -> Any:
    """Along the last axis."""
    y = be.like(x)
    if x.size:
        be.run("softmax", as_rows(x), as_rows(y))
    return y


@primitive
def _softmax_slope(be: Any, a: Any, b: Any) -> Any:
    """b · (a − Σ a · b), b = softmax(x): the cotangent a of b, brought back to x."""
    x = be.like(b)
    if x.size:
        be.run("softmax_backward", as_rows(a), as_rows(b), as_rows(x))
    return x


@primitive
def _log_softmax(be: Any, x: Any) -> Any:
    """Along the last axis."""
    y = be.like(x)
    if x.size:
        be.run("log_softmax", as_rows(x), as_rows(y))
    return y


@primitive
def _log_softmax_slope(be: Any, a: Any, b: Any) -> Any:
    """a − eᵇ · Σ a, b = log_softmax(x): the cotangent a of b, brought back to x."""
    x = be.like(b)
    if x.size:
        be.run("log_softmax_backward", as_rows(a), as_rows(b), as_rows(x))
    return x


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Σ a · b along the last axis, which keeps length 1."""
    return sum(a * b, -1, keepdims=True)


_softmax.vjp(x=lambda g, y: _softmax_slope(g, y))
_softmax_slope.vjp(a=lambda g, b: _softmax_slope(g, b), b=lambda g, a, b: g * (a - _inner(a, b)) - a * _inner(g, b))
_log_softmax.vjp(x=lambda g, y: _log_softmax_slope(g, y))
_log_softmax_slope.vjp(a=lambda g, b: g - _inner(g, exp(b)), b=lambda g, a, b: -g * exp(b) * sum(a, -1, keepdims=True))
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
