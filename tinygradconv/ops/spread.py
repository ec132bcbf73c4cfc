"""Products, variances and sums of exponentials along any axes: reductions whose derivatives need care at zero and infinity."""
from __future__ import annotations

import math
from typing import Any

from tinygradconv.arrays import dtype_of, shape_of
from tinygradconv.autodiff import primitive, recording
from tinygradconv.geometry import real
from tinygradconv.ops.elementwise import equal, exp, isfinite, log, sqrt, where
from tinygradconv.ops.join import concat, pad
from tinygradconv.ops.reduce import Axis, count, kept, lined_back, lined_up, mean, reduced, start, sum, sum_dtype
from tinygradconv.ops.shape import basic_slice, reshape
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.promotion import number
from tinygradconv.tensor import Tensor

__all__ = ["logsumexp", "prod", "std", "var"]


@primitive
def _prod(be: Any, x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    return reduced(be, x, "prod", axes, keepdims, sum_dtype(x.dtype))


@primitive(differentiable=False)
def _prod_slope(be: Any, g: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
    """Each value's cotangent: g times the product of all the others; one kernel, for a backward pass that is not recorded."""
    dx = be.like(x)
    be.run("prod_backward", g.reshape(kept(shape_of(x), axes)), x, dx, axes)
    return dx


def _prod_rule(g: Tensor, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Each value's cotangent is g times the product of all the others, zeros among them or not, with no division.

    Where it is recorded, the values are multiplied in pairs, up a binary tree; on the way down each one meets its partner's product.
    """
    if not recording() and x.size:
        return _prod_slope(g, x, axes=axes)
    level = lined_up(x, axes)
    R, K = level.shape
    if K == 0:
        return x * 0
    pairs, widths = [], []
    while level.shape[1] > 1:
        width = level.shape[1]
        level = pad(level, ((0, 0), (0, width % 2)), constant_values=1)
        half = level.shape[1] // 2
        left, right = basic_slice(level, (slice(None), slice(0, half))), basic_slice(level, (slice(None), slice(half, None)))
        pairs.append((left, right))
        widths.append(width)
        level = left * right
    down = reshape(g, (R, 1))
    for (left, right), width in zip(reversed(pairs), reversed(widths)):
        down = basic_slice(concat([down * right, down * left], axis=1), (slice(None), slice(0, width)))
    return lined_back(down, x.shape, axes)


_prod.vjp(x=_prod_rule)
_prod.name = "prod"


@primitive(byproducts=("center",))
def _var(be: Any, x: Any, *, axes: tuple[int, ...], keepdims: bool, n: int, divisor: float) -> Any:
    """(Σ (x − m)² / divisor, m), m = Σ x / n."""
    dtype = dtype_of(x)
    center, away = reduced(be, x, "mean", axes, True, dtype), be.like(x)
    be.run("binary", x, center, away, "subtract")
    be.run("unary", away, away, "square")
    y = reduced(be, away, "mean" if divisor == n else "sum", axes, keepdims, dtype)
    if divisor != n:
        be.run("binary", y, be.constant(number(divisor, dtype)), y, "divide")
    return y, center


@primitive
def _var_slope(be: Any, a: Any, b: Any, c: Any, *, axes: tuple[int, ...], scale: float) -> Any:
    """scale · a · (b − c), c the mean of b over `axes`, which is handed in as a constant: the rule for b answers for both."""
    dtype, shape = dtype_of(b), shape_of(b)
    factor, x = be.empty(kept(shape, axes), dtype), be.like(b)
    be.run("binary", a.reshape(kept(shape, axes)), be.constant(number(scale, dtype)), factor, "multiply")
    be.run("ternary", factor, b, c, x, "scaled_difference")
    return x


def _var_rule(g: Tensor, x: Tensor, center: Tensor, axes: tuple[int, ...], divisor: float) -> Tensor:
    """2 · (x − m) / divisor; that m moves with x changes nothing, as Σ (x − m) = 0."""
    return _var_slope(g, x, center, axes=axes, scale=2 / divisor if divisor else math.inf)


def _var_slope_by_b(g: Tensor, a: Tensor, axes: tuple[int, ...], scale: float) -> Tensor:
    """What moves b moves its mean: the cotangent less its own mean."""
    return _var_slope(a, g, mean(g, axes, keepdims=True).detach(), axes=axes, scale=scale)


_var.vjp(x=_var_rule)
_var_slope.vjp(a=lambda g, a_shape, b, c, axes, scale: reshape(sum(g * (b - c), axes) * scale, a_shape), b=_var_slope_by_b)
_var.name = "var"


@primitive
def _logsumexp(be: Any, x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    """log Σ exp(x − m) + m, m the maximum; an infinite maximum is not taken out, as ∞ − ∞ is no number."""
    shape, zero = kept(x.shape, axes), be.constant(number(0, x.dtype))
    m, finite, s, t = be.empty(shape, x.dtype), be.empty(shape, bool), be.empty(shape, x.dtype), be.empty(x.shape, x.dtype)
    be.run("reduce", x, s, "max", axes)
    be.run("unary", s, finite, "isfinite")
    be.run("where", finite, s, zero, m)
    be.run("binary", x, m, t, "subtract")
    be.run("unary", t, t, "exp")
    be.run("reduce", t, s, "sum", axes)
    be.run("unary", s, s, "log")
    be.run("binary", s, m, s, "add")
    return s if keepdims else s.reshape(tuple(n for i, n in enumerate(x.shape) if i not in axes))


def _logsumexp_rule(g: Tensor, x: Tensor, y: Tensor, axes: tuple[int, ...]) -> Tensor:
    """g · exp(x − y), the softmax; where all of x is −∞ every weight is 0."""
    shape = kept(x.shape, axes)
    return reshape(g, shape) * exp(x - reshape(where(isfinite(y), y, 0), shape))


_logsumexp.vjp(x=_logsumexp_rule)
_logsumexp.name = "logsumexp"


@numpy_names
def prod(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Π x over `axis` (None: all axes). Integers give int64; the product of nothing is 1. Derivatives are right where values are zero."""
    x, axes = start("prod", x, axis)
    return _prod(x, axes=axes, keepdims=keepdims)


@numpy_names
def var(x: Any, axis: Axis = None, *, correction: float = 0, keepdims: bool = False) -> Tensor:
    """Σ (x − mean)² / (n − correction) over `axis`, n the number of values there: the variance; correction=1 estimates a population's."""
    x, axes = start("var", x, axis, floating=True)
    n = count(x, axes)
    freedom = n - real("correction", correction, where="var")
    return _var(x, axes=axes, keepdims=keepdims, n=n, divisor=freedom if freedom > 0 else 0.0)


@numpy_names
def std(x: Any, axis: Axis = None, *, correction: float = 0, keepdims: bool = False) -> Tensor:
    """The square root of var(x): the standard deviation. Where it is 0, its gradient is taken to be 0."""
    v = var(x, axis, correction=correction, keepdims=keepdims)
    flat = equal(v, 0)
    return where(flat, 0, sqrt(where(flat, 1, v)))


@numpy_names
def logsumexp(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """log Σ exp(x) over `axis`, with the maximum taken out first so that nothing overflows; −∞ where all are −∞, or none is there."""
    x, axes = start("logsumexp", x, axis, floating=True)
    if count(x, axes) == 0:
        return log(sum(exp(x), axes, keepdims=keepdims))
    return _logsumexp(x, axes=axes, keepdims=keepdims)


for _function in (prod, var, std):
    setattr(Tensor, _function.__name__, _function)
