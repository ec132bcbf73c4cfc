"""Powers: y = a^b, for any base and exponent that real numbers allow."""
from __future__ import annotations

from typing import Any

from tinygradconv.arrays import dtype_of
from tinygradconv.autodiff import primitive
from tinygradconv.ops.elementwise import binary, equal, less_equal, log, logical_and, nothing, square_slope, ternary, where
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.promotion import number
from tinygradconv.tensor import Tensor

__all__ = ["pow"]

_power = binary("pow", "a to the power b, both tensors")


@primitive
def _constant_power(be: Any, x: Any, *, exponent: float) -> Any:
    y = be.like(x)
    if exponent == 2:
        be.run("unary", x, y, "square")
    else:
        be.run("binary", x, be.constant(number(exponent, dtype_of(x))), y, "pow")
    return y


def _still(base: Tensor, y: Tensor) -> Tensor:
    """Where the power y of `base` does not move with its exponent (or jumps, at 0): base = 0 and exponent ≥ 0."""
    return logical_and(equal(base, 0), less_equal(y, 1))


def _bend_by_exponent(g: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """∂/∂c of c · b^(c − 1) = b^(c − 1) + c · b^(c − 1) · log b; where b = c = 0 nothing moves."""
    both = logical_and(equal(b, 0), equal(c, 0))
    lower = _power(b, where(both, 1, c - 1))
    return where(both, 0, g * a * lower + exponent_slope(g * a * c, b, lower))


def _bend_by_base(g: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """∂/∂b of c · b^(c − 1) = c · (c − 1) · b^(c − 2); where b = c = 0 nothing moves."""
    both = logical_and(equal(b, 0), equal(c, 0))
    return power_slope(where(both, 0, g * a * c), b, where(both, 1, c - 1))


power_slope = ternary("power_slope", "a · c · b^(c − 1), 0 at b = c = 0: the cotangent a of b^c, brought back to b")
power_slope.vjp(a=lambda g, b, c: power_slope(g, b, c), b=_bend_by_base, c=_bend_by_exponent)
exponent_slope = ternary("exponent_slope", "a · c · log b, 0 where b = 0 and c ≤ 1: the cotangent a of c = b^e, brought back to e")
exponent_slope.vjp(a=lambda g, b, c: exponent_slope(g, b, c),
                   b=lambda g, a, b, c: where(_still(b, c), 0, g * a * c / b),
                   c=lambda g, a, b, c: where(_still(b, c), 0, g * a * log(where(_still(b, c), 1, b))))
_power.vjp(a=lambda g, a, b: power_slope(g, a, b), b=lambda g, a, y: exponent_slope(g, a, y))


def _constant_rule(g: Tensor, x: Tensor, exponent: float) -> Tensor:
    """n · x^(n − 1), 0 for n = 0 (even of an infinite g)."""
    if exponent == 0:
        return nothing(g)
    return square_slope(g, x) if exponent == 2 else power_slope(g, x, exponent)


_constant_power.vjp(x=_constant_rule)
_constant_power.name = "pow"


@numpy_names
def pow(a: Any, b: Any) -> Tensor:
    """a to the power b. 0⁰ = 1; NaN where a < 0 and b is not whole.

    The gradient of a is b · a^(b − 1), right for negative a too; the gradient of b is a^b · log a, 0 where a = 0 ≤ b, NaN where a < 0.
    ValueError for integers to a negative power, which have no integer answer.
    """
    if type(a) is Tensor and type(b) in (int, float):
        if a.dtype.kind == "f":
            return a if b == 1 else _constant_power(a, exponent=b)
        if type(b) is int and b < 0:
            raise ValueError(f"pow: a is {a.dtype}, and integers to the power {b} are not integers. Use a.astype('float32')")
    return _power(a, b)
