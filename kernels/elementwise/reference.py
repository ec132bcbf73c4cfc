"""Values one by one: y = op(x), y = op(a, b), y = a or b; operands broadcast, and any strides will do."""
from __future__ import annotations

import numpy as np


def _relu(x, out):
    """The larger of x and 0; NaN stays."""
    np.maximum(x, 0, out=out)


def _sigmoid(x, out):
    """1 / (1 + e^(−x)): e^(−x) may overflow to infinity, and then the answer is the 0 that it should be."""
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.reciprocal(out, out=out)


def _silu(x, out):
    """x · sigmoid(x) = x / (1 + e^(−x)); 0 at −∞, where the quotient would be −∞ / ∞."""
    e = np.exp(-x)
    np.divide(x, 1 + e, out=out)
    np.copyto(out, 0, where=np.isneginf(x))


def _softplus(x, out):
    """log(1 + eˣ) = max(x, 0) + log(1 + e^(−|x|)), which never overflows."""
    np.add(np.maximum(x, 0), np.log1p(np.exp(-np.abs(x))), out=out)


def _erf(x, out):
    from scipy.special import erf
    erf(x, out=out)


def _normal_cdf(x, out):
    """Φ(x) = erfc(−x/√2) / 2: the chance that a standard normal number is below x, exact far out on the left too."""
    from scipy.special import ndtr
    ndtr(x, out=out)


def _gate(a, b, out):
    """a where b > 0, else 0, even for an infinite a: the way back through relu, from its result b."""
    np.copyto(out, np.where(b > 0, a, 0))


def _tanh_slope(a, b, out):
    """a · (1 − b²): the way back through tanh, from its result b."""
    np.multiply(a, 1 - b * b, out=out)


def _sigmoid_slope(a, b, out):
    """a · b · (1 − b): the way back through sigmoid, from its result b."""
    np.multiply(a, b * (1 - b), out=out)


UNARY = {
    "negative": np.negative, "abs": np.abs, "sign": np.sign, "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p,
    "sqrt": np.sqrt, "square": np.square, "sin": np.sin, "cos": np.cos, "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "floor": np.floor, "ceil": np.ceil, "round": np.rint, "trunc": np.trunc, "erf": _erf, "normal_cdf": _normal_cdf,
    "relu": _relu, "sigmoid": _sigmoid, "silu": _silu, "softplus": _softplus,
    "isnan": np.isnan, "isfinite": np.isfinite, "isinf": np.isinf, "logical_not": np.logical_not,
}
BINARY = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "floor_divide": np.floor_divide,
    "remainder": np.remainder, "pow": np.power, "maximum": np.maximum, "minimum": np.minimum,
    "gate": _gate, "tanh_slope": _tanh_slope, "sigmoid_slope": _sigmoid_slope,
    "equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal, "greater": np.greater,
    "greater_equal": np.greater_equal, "logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor,
}


@np.errstate(all="ignore")
def unary(x, y, op):
    """y = op(x), value by value; op names a row of UNARY. Domain errors give NaN or infinity, silently, as IEEE 754 says."""
    UNARY[op](x, out=y)


@np.errstate(all="ignore")
def binary(a, b, y, op):
    """y = op(a, b), value by value, a and b broadcast to y; op names a row of BINARY."""
    BINARY[op](a, b, out=y)


def where(condition, a, b, y):
    """y = a where condition holds, b elsewhere; all three broadcast to y."""
    np.copyto(y, b)
    np.copyto(y, a, where=condition)


@np.errstate(all="ignore")
def copy(x, y):
    """y = x, broadcast to y and converted to y's dtype."""
    np.copyto(y, x, casting="unsafe")
