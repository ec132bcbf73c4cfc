"""Values one by one: y = op(x), y = op(a, b), y = a or b; operands broadcast, and any strides will do."""
from __future__ import annotations

import numpy as np


def _erf(x, out):
    from scipy.special import erf
    return erf(x, out=out)


UNARY = {
    "negative": np.negative, "abs": np.abs, "sign": np.sign, "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p,
    "sqrt": np.sqrt, "square": np.square, "sin": np.sin, "cos": np.cos, "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "floor": np.floor, "ceil": np.ceil, "round": np.rint, "trunc": np.trunc, "erf": _erf,
    "isnan": np.isnan, "isfinite": np.isfinite, "isinf": np.isinf, "logical_not": np.logical_not,
}
BINARY = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "floor_divide": np.floor_divide,
    "remainder": np.remainder, "pow": np.power, "maximum": np.maximum, "minimum": np.minimum, "atan2": np.arctan2,
    "equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal, "greater": np.greater,
    "greater_equal": np.greater_equal, "logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor,
}


def unary(x, y, op):
    """y = op(x), value by value; op names a row of UNARY. Domain errors give NaN or infinity, silently, as IEEE 754 says."""
    with np.errstate(all="ignore"):
        UNARY[op](x, out=y)


def binary(a, b, y, op):
    """y = op(a, b), value by value, a and b broadcast to y; op names a row of BINARY."""
    with np.errstate(all="ignore"):
        BINARY[op](a, b, out=y)


def where(condition, a, b, y):
    """y = a where condition holds, b elsewhere; all three broadcast to y."""
    np.copyto(y, b)
    np.copyto(y, a, where=condition)


def copy(x, y):
    """y = x, broadcast to y and converted to y's dtype."""
    with np.errstate(all="ignore"):
        np.copyto(y, x, casting="unsafe")
