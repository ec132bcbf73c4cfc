"""Powers: y = a^b, for any base and exponent that real numbers allow."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinygradconv.autodiff import primitive
from tinygradconv.ops.elementwise import binary, equal, greater_equal, log, logical_and, nothing, where
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.tensor import Tensor

__all__ = ["pow"]

_power = binary("pow", "a to the power b, both tensors")


@primitive
def _constant_power(be: Any, x: Any, *, exponent: float) -> Any:
    y = be.empty(x.shape, x.dtype)
    if exponent == 2:
        be.run("unary", x, y, "square")
    else:
        be.run("binary", x, be.asarray(np.asarray(exponent, x.dtype)), y, "pow")
    return y


def _base_rule(g: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """b · a^(b − 1); where a = b = 0 the power is constantly 1 and 0 · ∞ is not asked for."""
    both = logical_and(equal(a, 0), equal(b, 0))
    return g * where(both, 0, b * _power(a, where(both, 1, b - 1)))


def _exponent_rule(g: Tensor, a: Tensor, b: Tensor, y: Tensor) -> Tensor:
    """a^b · log a; where a = 0 and b ≥ 0 the power does not move with b (or jumps, at b = 0), and 0 · ∞ is not asked for."""
    still = logical_and(equal(a, 0), greater_equal(b, 0))
    return where(still, 0, g * y * log(where(still, 1, a)))


_power.vjp(a=_base_rule, b=_exponent_rule)
_constant_power.vjp(x=lambda g, x, exponent: g * (pow(x, exponent - 1) * exponent) if exponent else nothing(g))
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
