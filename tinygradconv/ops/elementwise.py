"""Arithmetic, comparison and functions of one value: y[i] = f(a[i], b[i], …).

Operands broadcast as in NumPy, and their dtypes are promoted (promotion.py). A rule is the textbook derivative; the
engine sums it over the axes that were broadcast.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygradconv.arrays import dtype_of, shape_of
from tinygradconv.autodiff import Primitive, primitive
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.promotion import NUMBERS, as_tensor, floating_result, number, promoted
from tinygradconv.tensor import Tensor

__all__ = [
    "abs", "add", "astype", "ceil", "clip", "cos", "cosh", "divide", "equal", "erf", "exp", "expm1", "floor", "floor_divide", "greater",
    "greater_equal", "isfinite", "isinf", "isnan", "less", "less_equal", "log", "log1p", "logical_and", "logical_not", "logical_or",
    "logical_xor", "maximum", "minimum", "multiply", "negative", "not_equal", "remainder", "round", "sign", "sin", "sinh", "sqrt",
    "square", "subtract", "tan", "tanh", "trunc", "where",
]
BOOL = np.dtype(np.bool_)


def _broadcast(*arrays: Any) -> tuple[int, ...]:
    return np.broadcast_shapes(*[a.shape for a in arrays])


def _floating(array: Any) -> np.dtype:
    """The dtype of a function that leaves the integers: floating as it is, integers become float32."""
    return floating_result(array.dtype)


def _check_broadcast(name: str, a: Any, b: Any) -> tuple[int, ...]:
    try:
        return _broadcast(a, b)
    except ValueError:
        raise ValueError(f"{name}: shapes {a.shape} and {b.shape} do not broadcast: "
                         f"from the last axis backwards, lengths must be equal or 1") from None


def binary(kernel: str, doc: str, *, name: str | None = None, result: Any = None, **marks: Any) -> Primitive:
    """An op of two operands that is one row of the `binary` kernel; `result` overrides the dtype of y."""
    said = name or kernel

    def forward(be: Any, a: Any, b: Any) -> Any:
        shape, other = shape_of(a), shape_of(b)
        fits = shape == other or shape[len(shape) - len(other):] == other            # the usual cases: b like a, a row of it, a number
        if fits and result is None:
            y = be.like(a)
        else:
            y = be.empty(shape if fits else _check_broadcast(said, a, b), dtype_of(a) if result is None else result(a))
        be.run("binary", a, b, y, kernel)
        return y
    forward.__doc__ = doc
    return Primitive(forward, elementwise=True, name=said, **marks)


def _joint_shape(a: Any, b: Any, c: Any) -> tuple[int, ...]:
    """The shape to which three operands broadcast."""
    shape, second, third = shape_of(a), shape_of(b), shape_of(c)
    if (second == shape or not second) and (third == shape or not third):                     # the usual cases first
        return shape
    return _broadcast(a, b, c)


def ternary(kernel: str, doc: str) -> Primitive:
    """An op of three operands that is one row of the `ternary` kernel."""
    def forward(be: Any, a: Any, b: Any, c: Any) -> Any:
        y = be.empty(_joint_shape(a, b, c), dtype_of(a))
        be.run("ternary", a, b, c, y, kernel)
        return y
    forward.__doc__ = doc
    return Primitive(forward, elementwise=True, name=kernel)


def slope(name: str, doc: str) -> Primitive:
    """The way back through a function as an op of its own, `<name>_slope(a, b)` = a · f′: one kernel. Its rule for b is for the caller."""
    op = binary(name + "_slope", doc)
    return op.vjp(a=lambda g, b: op(g, b))


def _same(array: Any) -> np.dtype:
    return array.dtype


def _bool(array: Any) -> np.dtype:
    return BOOL


def _no_arithmetic(name: str) -> TypeError:
    return TypeError(f"{name}: bool has no arithmetic. Use x.astype('int64'), or ~, & and | for logic")


def _number(name: str) -> Any:
    """The dtype of arithmetic that bool does not have."""
    def result(array: Any) -> np.dtype:
        if array.dtype.kind == "b":
            raise _no_arithmetic(name)
        return array.dtype
    return result


def unary(kernel: str, doc: str, *, result: Any = _floating, whole: bool = False, **marks: Any) -> Primitive:
    """An op of one operand that is one row of the `unary` kernel; `whole`: it leaves integers as they are."""
    def forward(be: Any, x: Any) -> Any:
        floating = dtype_of(x).kind == "f"
        y = be.like(x) if floating and result is not _bool else be.empty(shape_of(x), result(x))
        if floating or result is _bool:
            be.run("unary", x, y, kernel)
        elif whole:
            be.run("copy", x, y)
        elif x.dtype == BOOL and kernel in ("negative", "sign", "square"):
            raise _no_arithmetic(kernel)
        else:                                   # the integers are converted first: NumPy's exp of a small integer is a float16
            be.run("copy", x, y)
            be.run("unary", y, y, kernel)
        return y
    forward.__doc__ = doc
    return Primitive(forward, elementwise=True, name=kernel, **marks)


add = binary("add", "a + b")
subtract = binary("subtract", "a − b", result=_number("subtract"))
multiply = binary("multiply", "a · b")
divide = binary("divide", "a / b; integers give float32", result=_floating)
maximum = binary("maximum", "the larger of a and b; where they are equal, each gets half of the gradient; NaN wins")
minimum = binary("minimum", "the smaller of a and b; where they are equal, each gets half of the gradient; NaN wins")
floor_divide = binary("floor_divide", "⌊a / b⌋; its gradient is zero", result=_number("floor_divide"))
remainder = binary("remainder", "a − b·⌊a / b⌋, with the sign of b", result=_number("remainder"))

# The ways back: a is the cotangent of y = f(x), b is x or y, and each has rules of its own, made of public ops.
divide_slope = ternary("divide_slope", "−(a / b) · c: the cotangent a of y = c = x / b, brought back to b")
divide_slope.vjp(a=lambda g, b, c: divide_slope(g, b, c), b=lambda g, b, y: -(g / b) * y, c=lambda g, a, b: -(g / b) * a)
maximum_slope = ternary("maximum_slope", "a where b > c, half of it where they are equal, else 0: the gradients of b and c are zero")
maximum_slope.vjp(a=lambda g, b, c: maximum_slope(g, b, c), b=lambda g: nothing(g), c=lambda g: nothing(g))
_clip = ternary("clip", "a held between the numbers b and c")
clip_slope = ternary("clip_slope", "a where b = c, else 0: the cotangent a of c = clip(b, …), brought back to b; those of b and c are zero")
_clip.vjp(a=lambda g, a, y: clip_slope(g, a, y))
clip_slope.vjp(a=lambda g, b, c: clip_slope(g, b, c), b=lambda g: nothing(g), c=lambda g: nothing(g))
gate = binary("gate", "a where b > 0, else 0; the gradient of b is zero")
gate.vjp(a=lambda g, b: gate(g, b), b=lambda g: nothing(g))
tanh_slope = slope("tanh", "a · (1 − b²): the cotangent a of y = b = tanh x, brought back to x")
tanh_slope.vjp(b=lambda g, a, b: g * a * b * -2)
abs_slope = slope("abs", "a · sign b, b = x; the gradient of b is zero").vjp(b=lambda g: nothing(g))
square_slope = slope("square", "2 · a · b, b = x").vjp(b=lambda g, a: g * 2 * a)
expm1_slope = slope("expm1", "a · (b + 1), b = y").vjp(b=lambda g, a: g * a)
log1p_slope = slope("log1p", "a / (1 + b), b = x").vjp(b=lambda g, b, y: -g * y / (1 + b))
sqrt_slope = slope("sqrt", "a / (2 · b), b = y").vjp(b=lambda g, b, y: -g * y / b)
sin_slope = slope("sin", "a · cos b, b = x").vjp(b=lambda g, a, b: cos_slope(g * a, b))
cos_slope = slope("cos", "−a · sin b, b = x").vjp(b=lambda g, a, b: -sin_slope(g * a, b))
tan_slope = slope("tan", "a · (1 + b²), b = y").vjp(b=lambda g, a, b: g * a * 2 * b)
sinh_slope = slope("sinh", "a · cosh b, b = x").vjp(b=lambda g, a, b: cosh_slope(g * a, b))
cosh_slope = slope("cosh", "a · sinh b, b = x").vjp(b=lambda g, a, b: sinh_slope(g * a, b))
erf_slope = slope("erf", "a · 2/√π · e^(−b²), b = x").vjp(b=lambda g, b, y: g * y * b * -2)

add.vjp(a=lambda g: g, b=lambda g: g)
subtract.vjp(a=lambda g: g, b=lambda g: -g)
multiply.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)
divide.vjp(a=lambda g, b: g / b, b=lambda g, b, y: divide_slope(g, b, y))
remainder.vjp(a=lambda g: g, b=lambda g, a, b: -g * floor_divide(a, b))
floor_divide.vjp(a=lambda g: nothing(g), b=lambda g: nothing(g))
maximum.vjp(a=lambda g, a, b: maximum_slope(g, a, b), b=lambda g, a, b: maximum_slope(g, b, a))
minimum.vjp(a=lambda g, a, b: maximum_slope(g, b, a), b=lambda g, a, b: maximum_slope(g, a, b))

equal = binary("equal", "a = b", result=_bool, differentiable=False)
not_equal = binary("not_equal", "a ≠ b", result=_bool, differentiable=False)
less = binary("less", "a < b", result=_bool, differentiable=False)
less_equal = binary("less_equal", "a ≤ b", result=_bool, differentiable=False)
greater = binary("greater", "a > b", result=_bool, differentiable=False)
greater_equal = binary("greater_equal", "a ≥ b", result=_bool, differentiable=False)
logical_and = binary("logical_and", "a and b", result=_bool, differentiable=False)
logical_or = binary("logical_or", "a or b", result=_bool, differentiable=False)
logical_xor = binary("logical_xor", "either a or b", result=_bool, differentiable=False)
logical_not = unary("logical_not", "not x", result=_bool, differentiable=False)
isnan = unary("isnan", "whether x is NaN", result=_bool, differentiable=False)
isinf = unary("isinf", "whether x is infinite", result=_bool, differentiable=False)
isfinite = unary("isfinite", "whether x is neither infinite nor NaN", result=_bool, differentiable=False)

nothing = unary("nothing", "zeros like x, whatever is in it (0 · ∞ is no zero): the cotangent of what does not move with its input",
                result=_same)
negative = unary("negative", "−x", result=_same)
abs = unary("abs", "|x|; its gradient at 0 is 0", result=_same)
sign = unary("sign", "−1, 0 or 1; its gradient is zero", result=_same)
square = unary("square", "x²", result=_same)
floor = unary("floor", "⌊x⌋; its gradient is zero", result=_same, whole=True)
ceil = unary("ceil", "⌈x⌉; its gradient is zero", result=_same, whole=True)
round = unary("round", "the nearest integer, ties to even; its gradient is zero", result=_same, whole=True)
trunc = unary("trunc", "x without its fraction; its gradient is zero", result=_same, whole=True)
exp = unary("exp", "eˣ")
expm1 = unary("expm1", "eˣ − 1, accurate near 0")
log = unary("log", "the natural logarithm")
log1p = unary("log1p", "log(1 + x), accurate near 0")
sqrt = unary("sqrt", "√x")
sin = unary("sin", "sin x")
cos = unary("cos", "cos x")
tan = unary("tan", "tan x")
sinh = unary("sinh", "sinh x")
cosh = unary("cosh", "cosh x")
tanh = unary("tanh", "tanh x")
erf = unary("erf", "the error function, 2/√π ∫₀ˣ e^(−t²) dt")

nothing.vjp(x=lambda g: nothing(g))
negative.vjp(x=lambda g: -g)
abs.vjp(x=lambda g, x: abs_slope(g, x))
square.vjp(x=lambda g, x: square_slope(g, x))
exp.vjp(x=lambda g, y: g * y)
expm1.vjp(x=lambda g, y: expm1_slope(g, y))
log.vjp(x=lambda g, x: g / x)
log1p.vjp(x=lambda g, x: log1p_slope(g, x))
sqrt.vjp(x=lambda g, y: sqrt_slope(g, y))
sin.vjp(x=lambda g, x: sin_slope(g, x))
cos.vjp(x=lambda g, x: cos_slope(g, x))
tan.vjp(x=lambda g, y: tan_slope(g, y))
sinh.vjp(x=lambda g, x: sinh_slope(g, x))
cosh.vjp(x=lambda g, x: cosh_slope(g, x))
tanh.vjp(x=lambda g, y: tanh_slope(g, y))
erf.vjp(x=lambda g, x: erf_slope(g, x))
for _flat in (sign, floor, ceil, round, trunc):
    _flat.vjp(x=lambda g: nothing(g))


@primitive
def _convert(be: Any, x: Any, *, dtype: Any) -> Any:
    y = be.empty(x.shape, dtype)
    be.run("copy", x, y)
    return y


_convert.vjp(x=lambda g, x_dtype: g.astype(x_dtype))
_convert.name = "astype"


def astype(x: Any, dtype: Any) -> Tensor:
    """x in another dtype (itself where it has that dtype already); a gradient is converted back, and ends where x becomes integers.

    TypeError for anything but bool, integers, float32 and float64.
    """
    x = as_tensor("astype", "x", x)
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"astype: {dtype!r} is no dtype. Use 'float32', 'float64', 'int64', 'bool', …") from None
    if dtype.kind not in "biuf" or dtype == np.float16 or dtype.itemsize > 8:
        raise TypeError(f"astype: a Tensor holds bool, integers, float32 or float64; got {dtype}")
    if x.dtype == dtype:
        return x
    return _convert(x if dtype.kind == "f" else x.detach(), dtype=dtype)


def _select(be: Any, condition: Any, a: Any, b: Any) -> Any:
    try:
        y = be.empty(_joint_shape(condition, a, b), dtype_of(a))
    except ValueError:
        raise ValueError(f"where: shapes {condition.shape}, {a.shape} and {b.shape} do not broadcast") from None
    be.run("where", condition, a, b, y)
    return y


def _kept(holds: bool) -> Primitive:
    """The op y = a where the condition, which broadcasts to a, is `holds`, and 0 elsewhere: one for each, as an option costs time."""
    @primitive(name="where_slope")
    def kept(be: Any, a: Any, condition: Any) -> Any:
        y, zero = be.like(a), be.constant(number(0, dtype_of(a)))
        be.run("where", condition, *((a, zero) if holds else (zero, a)), y)
        return y

    return kept.vjp(a=lambda g, condition: kept(g, condition))


_kept_where, _kept_elsewhere = _kept(True), _kept(False)
_choose = Primitive(_select, elementwise=True, promote=False, name="where")
_choose.vjp(a=lambda g, condition: _kept_where(g, condition), b=lambda g, condition: _kept_elsewhere(g, condition))


@numpy_names
def where(condition: Any, a: Any, b: Any) -> Tensor:
    """a where `condition` holds, b elsewhere; the gradient goes to the one that was taken.

    `condition` is bool; all three broadcast, a and b are promoted to one dtype.
    """
    chosen = as_tensor("where", "condition", condition)
    if chosen.dtype != BOOL:
        raise TypeError(f"where: condition must be bool, got {chosen.dtype}. Compare first: x != 0")
    return _choose(chosen, *promoted("where", (a, b)))


@numpy_names
def clip(x: Any, lower: Any = None, upper: Any = None) -> Tensor:
    """x held between `lower` and `upper` (either may be None): the gradient passes where lower ≤ x ≤ upper.

    ValueError where both are numbers and lower > upper.
    """
    x = as_tensor("clip", "x", x)
    if isinstance(lower, (int, float)) and isinstance(upper, (int, float)) and lower > upper:
        raise ValueError(f"clip: lower ({lower}) must not exceed upper ({upper})")
    if x.data.dtype.kind == "f" and (lower is None or type(lower) in NUMBERS) and (upper is None or type(upper) in NUMBERS):
        return _clip(x, -math.inf if lower is None else lower, math.inf if upper is None else upper)
    if lower is not None:
        x = where(less(x, lower), lower, x)
    return x if upper is None else where(greater(x, upper), upper, x)


Tensor.astype = astype
Tensor.clip = clip
for _op in (abs, exp, log, sqrt, square, tanh):
    setattr(Tensor, _op.name, (lambda op: lambda self: op(self))(_op))
