"""Values one by one: y = op(x), y = op(a, b), y = op(a, b, c), y = a or b; operands broadcast, and any strides will do."""
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


def _nothing(x, out):
    """0, whatever x is."""
    out[...] = 0


# The ways back through functions of one value: slopes(b) · a, from b = x or b = y = f(x).
SLOPES = {
    "abs_slope": np.sign, "expm1_slope": lambda y: y + 1, "tan_slope": lambda y: 1 + y * y,
    "sin_slope": np.cos, "cos_slope": lambda x: -np.sin(x), "sinh_slope": np.cosh, "cosh_slope": np.sinh,
    "silu_slope": lambda x: _by(_sigmoid, x) * (1 + x * (1 - _by(_sigmoid, x))), "softplus_slope": lambda x: _by(_sigmoid, x),
    "erf_slope": lambda x: x.dtype.type(1.1283791670955126) * np.exp(-(x * x)),              # 2 / √π
    "normal_slope": lambda x: x.dtype.type(0.3989422804014327) * np.exp(-0.5 * (x * x)),     # 1 / √(2π)
}


def _times(slope):
    """a · slope(b)."""
    return lambda a, b, out: np.multiply(a, slope(b), out=out)


def _by(function, x):
    """What `function` fills in."""
    out = np.empty_like(x)
    function(x, out)
    return out


def _square_slope(a, b, out):
    """(2 · a) · b, in this order: 2 · b may overflow where a is small."""
    np.multiply(2 * a, b, out=out)


def _log1p_slope(a, b, out):
    """a / (1 + b): the way back through log1p, from x = b."""
    np.divide(a, 1 + b, out=out)


def _sqrt_slope(a, b, out):
    """a / (2 · b): the way back through sqrt, from its result b."""
    np.divide(a, 2 * b, out=out)


def _divide_slope(a, b, c, out):
    """−(a / b) · c: the way back through y = x / b to b, from y = c."""
    np.multiply(-(a / b), c, out=out)


def _maximum_slope(a, b, c, out):
    """a where b > c, half of it where they are equal, else 0: the way back through maximum(b, c) to b."""
    np.multiply(a, ((b > c) + 0.5 * (b == c)).astype(out.dtype), out=out)


def _power_slope(a, b, c, out):
    """a · c · b^(c − 1): the way back through b^c to b; 0⁰ is constantly 1, so at b = c = 0 it is 0, and 0 · ∞ is not asked for."""
    both = (b == 0) & (c == 0)
    np.multiply(a, np.where(both, 0, c * np.power(b, np.where(both, 1, c - 1))).astype(out.dtype), out=out)


def _exponent_slope(a, b, c, out):
    """a · c · log b: the way back through c = b^e to e. At b = 0 and e ≥ 0, where c is 0 or 1, it is 0, and 0 · ∞ is not asked for."""
    still = (b == 0) & (c <= 1)
    np.copyto(out, np.where(still, 0, a * c * np.log(np.where(still, 1, b).astype(out.dtype))))


def _clip(a, b, c, out):
    """a held between b and c; a bound that is NaN holds nothing, and NaN stays."""
    held = np.where(a < b, b, a)
    np.copyto(out, np.where(held > c, c, held))


def _clip_slope(a, b, c, out):
    """a where b = c, else 0, even for an infinite a: the way back through c = clip(b, …) to b. Where b is NaN, a."""
    np.copyto(out, np.where((b == c) | (b != b), a, 0))


def _scaled_difference(a, b, c, out):
    """a · (b − c)."""
    np.multiply(a, b - c, out=out)


UNARY = {
    "negative": np.negative, "abs": np.abs, "sign": np.sign, "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p,
    "sqrt": np.sqrt, "square": np.square, "sin": np.sin, "cos": np.cos, "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "floor": np.floor, "ceil": np.ceil, "round": np.rint, "trunc": np.trunc, "erf": _erf, "normal_cdf": _normal_cdf,
    "relu": _relu, "sigmoid": _sigmoid, "silu": _silu, "softplus": _softplus,
    "isnan": np.isnan, "isfinite": np.isfinite, "isinf": np.isinf, "logical_not": np.logical_not,
    "nothing": _nothing,
}
BINARY = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "floor_divide": np.floor_divide,
    "remainder": np.remainder, "pow": np.power, "maximum": np.maximum, "minimum": np.minimum,
    "gate": _gate, "tanh_slope": _tanh_slope, "sigmoid_slope": _sigmoid_slope,
    "equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal, "greater": np.greater,
    "greater_equal": np.greater_equal, "logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor,
    "square_slope": _square_slope, "log1p_slope": _log1p_slope, "sqrt_slope": _sqrt_slope,
    **{name: _times(slope) for name, slope in SLOPES.items()},
}
TERNARY = {"divide_slope": _divide_slope, "maximum_slope": _maximum_slope, "power_slope": _power_slope, "exponent_slope": _exponent_slope,
           "clip": _clip, "clip_slope": _clip_slope, "scaled_difference": _scaled_difference}


@np.errstate(all="ignore")
def unary(x, y, op):
    """y = op(x), value by value; op names a row of UNARY. Domain errors give NaN or infinity, silently, as IEEE 754 says."""
    UNARY[op](x, out=y)


@np.errstate(all="ignore")
def binary(a, b, y, op):
    """y = op(a, b), value by value, a and b broadcast to y; op names a row of BINARY."""
    BINARY[op](a, b, out=y)


@np.errstate(all="ignore")
def ternary(a, b, c, y, op):
    """y = op(a, b, c), value by value, all three broadcast to y; op names a row of TERNARY."""
    TERNARY[op](a, b, c, out=y)


def where(condition, a, b, y):
    """y = a where condition holds, b elsewhere; all three broadcast to y."""
    np.copyto(y, b)
    np.copyto(y, a, where=condition)


@np.errstate(all="ignore")
def copy(x, y):
    """y = x, broadcast to y and converted to y's dtype."""
    np.copyto(y, x, casting="unsafe")
