"""Arithmetic, comparison and functions of one value: y[i] = f(a[i], b[i], …).

Operands broadcast as in NumPy, and their dtypes are promoted (promotion.py). A rule is the textbook derivative; the
engine sums it over the axes that were broadcast.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tinygradconv.autodiff import Primitive, primitive
from tinygradconv.promotion import as_tensors, promoted
from tinygradconv.tensor import DEFAULT_DTYPE, Tensor

BOOL = np.dtype(np.bool_)


def _broadcast(*arrays: Any) -> tuple[int, ...]:
    shape = arrays[0].shape
    return shape if all(a.shape == shape for a in arrays) else np.broadcast_shapes(*[a.shape for a in arrays])


def _floating(array: Any) -> np.dtype:
    """The dtype of a function that leaves the integers: floating as it is, integers become float32."""
    return array.dtype if array.dtype.kind == "f" else DEFAULT_DTYPE


def _check_broadcast(name: str, a: Any, b: Any) -> tuple[int, ...]:
    try:
        return _broadcast(a, b)
    except ValueError:
        raise ValueError(f"{name}: shapes {a.shape} and {b.shape} do not broadcast: from the last axis backwards, lengths must be equal or 1") from None


def _binary(kernel: str, doc: str, *, name: str | None = None, result: Any = None, **marks: Any) -> Primitive:
    """An op of two operands that is one row of the `binary` kernel; `result` overrides the dtype of y."""
    said = name or kernel

    def forward(be: Any, a: Any, b: Any) -> Any:
        y = be.empty(_check_broadcast(said, a, b), a.dtype if result is None else result(a))
        be.run("binary", a, b, y, kernel)
        return y
    forward.__doc__ = doc
    return Primitive(forward, elementwise=True, name=said, **marks)


def _unary(kernel: str, doc: str, *, name: str | None = None, result: Any = _floating, **marks: Any) -> Primitive:
    """An op of one operand that is one row of the `unary` kernel."""
    def forward(be: Any, x: Any) -> Any:
        y = be.empty(x.shape, result(x))
        # NumPy computes exp and friends of narrow integers in float16, so integers are converted first.
        be.run("unary", x.astype(y.dtype) if y.dtype.kind == "f" and x.dtype.kind != "f" else x, y, kernel)
        return y
    forward.__doc__ = doc
    return Primitive(forward, elementwise=True, name=name or kernel, **marks)


add = _binary("add", "a + b")
subtract = _binary("subtract", "a − b")
multiply = _binary("multiply", "a · b")
divide = _binary("divide", "a / b; integers give float32", result=_floating)
pow = _binary("pow", "a to the power b. The gradient of b is zero where a = 0 (and NaN where a < 0)")
maximum = _binary("maximum", "the larger of a and b; where they are equal, each gets half of the gradient; NaN wins")
minimum = _binary("minimum", "the smaller of a and b; where they are equal, each gets half of the gradient; NaN wins")
floor_divide = _binary("floor_divide", "⌊a / b⌋; its gradient is zero")
remainder = _binary("remainder", "a − b·⌊a / b⌋, with the sign of b")

add.vjp(a=lambda g: g, b=lambda g: g)
subtract.vjp(a=lambda g: g, b=lambda g: -g)
multiply.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)
divide.vjp(a=lambda g, b: g / b, b=lambda g, a, b: -g * a / (b * b))
remainder.vjp(a=lambda g: g, b=lambda g, a, b: -g * floor_divide(a, b))
floor_divide.vjp(a=lambda g: g * 0, b=lambda g: g * 0)
maximum.vjp(a=lambda g, a, b: g * share(a, b), b=lambda g, a, b: g * share(b, a))
minimum.vjp(a=lambda g, a, b: g * share(b, a), b=lambda g, a, b: g * share(a, b))
pow.vjp(a=lambda g, a, b: g * where(equal(b, 0), 0, b * a ** where(equal(b, 0), 1, b - 1)),
        b=lambda g, a, b, y: g * y * log(where(equal(a, 0), 1, a)))

equal = _binary("equal", "a = b", result=lambda a: BOOL, differentiable=False)
not_equal = _binary("not_equal", "a ≠ b", result=lambda a: BOOL, differentiable=False)
less = _binary("less", "a < b", result=lambda a: BOOL, differentiable=False)
less_equal = _binary("less_equal", "a ≤ b", result=lambda a: BOOL, differentiable=False)
greater = _binary("greater", "a > b", result=lambda a: BOOL, differentiable=False)
greater_equal = _binary("greater_equal", "a ≥ b", result=lambda a: BOOL, differentiable=False)
logical_and = _binary("logical_and", "a and b", result=lambda a: BOOL, differentiable=False)
logical_or = _binary("logical_or", "a or b", result=lambda a: BOOL, differentiable=False)
logical_xor = _binary("logical_xor", "either a or b", result=lambda a: BOOL, differentiable=False)
logical_not = _unary("logical_not", "not x", result=lambda x: BOOL, differentiable=False)
isnan = _unary("isnan", "whether x is NaN", result=lambda x: BOOL, differentiable=False)
isinf = _unary("isinf", "whether x is infinite", result=lambda x: BOOL, differentiable=False)
isfinite = _unary("isfinite", "whether x is neither infinite nor NaN", result=lambda x: BOOL, differentiable=False)

negative = _unary("negative", "−x", result=lambda x: x.dtype)
abs = _unary("abs", "|x|; its gradient at 0 is 0", result=lambda x: x.dtype)
sign = _unary("sign", "−1, 0 or 1; its gradient is zero", result=lambda x: x.dtype)
square = _unary("square", "x²", result=lambda x: x.dtype)
floor = _unary("floor", "⌊x⌋; its gradient is zero", result=lambda x: x.dtype)
ceil = _unary("ceil", "⌈x⌉; its gradient is zero", result=lambda x: x.dtype)
round = _unary("round", "the nearest integer, ties to even; its gradient is zero", result=lambda x: x.dtype)
trunc = _unary("trunc", "x without its fraction; its gradient is zero", result=lambda x: x.dtype)
exp = _unary("exp", "eˣ")
expm1 = _unary("expm1", "eˣ − 1, accurate near 0")
log = _unary("log", "the natural logarithm")
log1p = _unary("log1p", "log(1 + x), accurate near 0")
sqrt = _unary("sqrt", "√x")
sin = _unary("sin", "sin x")
cos = _unary("cos", "cos x")
tan = _unary("tan", "tan x")
sinh = _unary("sinh", "sinh x")
cosh = _unary("cosh", "cosh x")
tanh = _unary("tanh", "tanh x")
erf = _unary("erf", "the error function, 2/√π ∫₀ˣ e^(−t²) dt")

negative.vjp(x=lambda g: -g)
abs.vjp(x=lambda g, x: g * sign(x))
square.vjp(x=lambda g, x: g * 2 * x)
exp.vjp(x=lambda g, y: g * y)
expm1.vjp(x=lambda g, y: g * (y + 1))
log.vjp(x=lambda g, x: g / x)
log1p.vjp(x=lambda g, x: g / (1 + x))
sqrt.vjp(x=lambda g, y: g / (2 * y))
sin.vjp(x=lambda g, x: g * cos(x))
cos.vjp(x=lambda g, x: -g * sin(x))
tan.vjp(x=lambda g, y: g * (1 + y * y))
sinh.vjp(x=lambda g, x: g * cosh(x))
cosh.vjp(x=lambda g, x: g * sinh(x))
tanh.vjp(x=lambda g, y: g * (1 - y * y))
erf.vjp(x=lambda g, x: g * (2 / np.pi ** 0.5) * exp(-x * x))
for _flat in (sign, floor, ceil, round, trunc):
    _flat.vjp(x=lambda g: g * 0)


@primitive
def astype(be: Any, x: Any, *, dtype: Any) -> Any:
    """x converted to `dtype`; the gradient is converted back."""
    y = be.empty(x.shape, dtype)
    be.run("copy", x, y)
    return y


astype.vjp(x=lambda g, x_dtype: g.astype(x_dtype))


def _select(be: Any, condition: Any, a: Any, b: Any) -> Any:
    try:
        y = be.empty(_broadcast(condition, a, b), a.dtype)
    except ValueError:
        raise ValueError(f"where: shapes {condition.shape}, {a.shape} and {b.shape} do not broadcast") from None
    be.run("where", condition, a, b, y)
    return y


select = Primitive(_select, elementwise=True, promote=False, name="where")
select.vjp(a=lambda g, condition: where(condition, g, 0), b=lambda g, condition: where(condition, 0, g))


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """a where `condition` holds, b elsewhere; the gradient goes to the one that was taken.

    `condition` is bool; all three broadcast, a and b are promoted to one dtype.
    """
    (chosen,) = as_tensors("where", ("condition",), (condition,))
    if chosen.dtype != BOOL:
        raise TypeError(f"where: condition must be bool, got {chosen.dtype}. Compare first: x != 0")
    return select(chosen, *promoted("where", (a, b)))


def clip(x: Any, lower: Any = None, upper: Any = None) -> Tensor:
    """x held between `lower` and `upper` (either may be None): the gradient passes where lower ≤ x ≤ upper.

    ValueError where both are numbers and lower > upper.
    """
    (x,) = as_tensors("clip", ("x",), (x,))
    if isinstance(lower, (int, float)) and isinstance(upper, (int, float)) and lower > upper:
        raise ValueError(f"clip: lower ({lower}) must not exceed upper ({upper})")
    if lower is not None:
        x = where(less(x, lower), lower, x)
    return x if upper is None else where(greater(x, upper), upper, x)


def share(a: Tensor, b: Tensor) -> Tensor:
    """1 where a > b, ½ where they are equal, 0 elsewhere, in the dtype of a: what a tie-halving maximum passes to a."""
    return (greater(a, b).astype(a.dtype) + greater_equal(a, b).astype(a.dtype)) * 0.5


def _reflected(op: Any) -> Any:
    return lambda self, other: op(other, self)


def _deferring(op: Any) -> Any:
    """An operator that leaves operands it does not know (strings, None, …) to Python, which raises the usual TypeError."""
    def operator(self: Tensor, other: Any) -> Any:
        return op(self, other) if isinstance(other, (Tensor, np.ndarray, np.generic, bool, int, float, list, tuple)) else NotImplemented
    return operator


for _name, _op in {"add": add, "sub": subtract, "mul": multiply, "truediv": divide, "pow": pow, "floordiv": floor_divide, "mod": remainder}.items():
    setattr(Tensor, f"__{_name}__", _deferring(_op))
    setattr(Tensor, f"__r{_name}__", _deferring(_reflected(_op)))
for _name, _op in {"eq": equal, "ne": not_equal, "lt": less, "le": less_equal, "gt": greater, "ge": greater_equal,
                   "and": logical_and, "or": logical_or, "xor": logical_xor}.items():
    setattr(Tensor, f"__{_name}__", _deferring(_op))
Tensor.__neg__ = lambda self: negative(self)
Tensor.__pos__ = lambda self: self
Tensor.__abs__ = lambda self: abs(self)
Tensor.__invert__ = lambda self: logical_not(self)


def _astype(self: Tensor, dtype: Any) -> Tensor:
    """The tensor in another dtype; itself where it has that dtype already."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "biuf" or dtype == np.float16 or dtype.itemsize > 8:
        raise TypeError(f"astype: a Tensor holds bool, integers, float32 or float64; got {dtype}")
    return self if self.dtype == dtype else astype(self, dtype=dtype)


Tensor.astype = _astype
