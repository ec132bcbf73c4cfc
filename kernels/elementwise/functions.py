"""The functions of elementwise/reference.py for CUDA kernels: each takes a type T and gives a device function of numbers of that type.

What compares gives 1 or 0. A value that is NaN goes through: comparisons are written so that NaN falls on the side that returns it.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from ..cuda import angles
from ..cuda.language import DeviceFunction, Scalar, device, ptx, uint8


@cache
def sigmoid(T: Scalar) -> DeviceFunction:
    """1 / (1 + e^(−x)): e^(−x) may overflow to infinity, and then the answer is 0."""
    @device
    def sigmoid(x):
        return T(1) / (T(1) + math.exp(-x))
    return sigmoid


def _unary(T: Scalar) -> dict[str, Callable]:
    """Functions of one floating number."""
    logistic = sigmoid(T)
    sine, cosine, tangent = angles.sine(T), angles.cosine(T), angles.tangent(T)
    root_half, infinity = float(T(math.sqrt(0.5))), math.inf
    return {
        "negative": lambda x: -x,
        "abs": lambda x: abs(x),
        "sign": lambda x: T(1) if x > T(0) else (T(-1) if x < T(0) else x),
        "exp": lambda x: math.exp(x),
        "expm1": lambda x: math.expm1(x),
        "log": lambda x: math.log(x),
        "log1p": lambda x: math.log1p(x),
        "sqrt": lambda x: math.sqrt(x),
        "square": lambda x: x * x,
        "sin": lambda x: sine(x),
        "cos": lambda x: cosine(x),
        "tan": lambda x: tangent(x),
        "sinh": lambda x: math.sinh(x),
        "cosh": lambda x: math.cosh(x),
        "tanh": lambda x: math.tanh(x),
        "floor": lambda x: math.floor(x),
        "ceil": lambda x: math.ceil(x),
        "round": lambda x: ptx.rint(x),
        "trunc": lambda x: math.trunc(x),
        "erf": lambda x: math.erf(x),
        "normal_cdf": lambda x: T(0.5) * math.erfc(-x * T(root_half)),
        "relu": lambda x: T(0) if x < T(0) else x,
        "sigmoid": lambda x: logistic(x),
        "silu": lambda x: T(0) if x == T(-infinity) else x / (T(1) + math.exp(-x)),
        "softplus": lambda x: (T(0) if x < T(0) else x) + math.log1p(math.exp(-abs(x))),
        "nothing": lambda x: T(0),
    }


def _tests(T: Scalar) -> dict[str, Callable]:
    """Questions about one number."""
    return {
        "isnan": lambda x: x != x,
        "isfinite": lambda x: x - x == T(0),
        "isinf": lambda x: x == x and x - x != T(0),
        "logical_not": lambda x: x == T(0),
    }


def _binary(T: Scalar) -> dict[str, Callable]:
    """Functions of two floating numbers."""
    logistic, sine, cosine = sigmoid(T), angles.sine(T), angles.cosine(T)
    erf_at_0, normal_at_0 = 1.1283791670955126, 0.3989422804014327                 # 2 / √π and 1 / √(2π)
    return {
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "multiply": lambda a, b: a * b,
        "divide": lambda a, b: a / b,
        "pow": lambda a, b: math.pow(a, b),
        "maximum": lambda a, b: a if a > b or a != a else b,
        "minimum": lambda a, b: a if a < b or a != a else b,
        "gate": lambda a, b: a if b > T(0) else T(0),
        "tanh_slope": lambda a, b: a * (T(1) - b * b),
        "sigmoid_slope": lambda a, b: a * (b * (T(1) - b)),
        "square_slope": lambda a, b: T(2) * a * b,
        "log1p_slope": lambda a, b: a / (T(1) + b),
        "sqrt_slope": lambda a, b: a / (T(2) * b),
        "abs_slope": lambda a, b: a if b > T(0) else (-a if b < T(0) else a * b),
        "expm1_slope": lambda a, b: a * (b + T(1)),
        "tan_slope": lambda a, b: a * (T(1) + b * b),
        "sin_slope": lambda a, b: a * cosine(b),
        "cos_slope": lambda a, b: a * -sine(b),
        "sinh_slope": lambda a, b: a * math.cosh(b),
        "cosh_slope": lambda a, b: a * math.sinh(b),
        "silu_slope": lambda a, b: a * (logistic(b) * (T(1) + b * (T(1) - logistic(b)))),
        "softplus_slope": lambda a, b: a * logistic(b),
        "erf_slope": lambda a, b: a * (T(erf_at_0) * math.exp(-(b * b))),
        "normal_slope": lambda a, b: a * (T(normal_at_0) * math.exp(T(-0.5) * (b * b))),
    }


@cache
def quotient(T: Scalar) -> DeviceFunction:
    """⌊a / b⌋ as NumPy rounds it: by way of the exact remainder, so that the quotient of a multiple is whole."""
    @device
    def quotient(a, b):
        if b == T(0):
            return a / b
        rest = math.fmod(a, b)
        whole = (a - rest) / b
        if rest != T(0) and (b < T(0)) != (rest < T(0)):
            whole -= T(1)
        if whole == T(0):
            return math.copysign(T(0), a / b)
        down = math.floor(whole)
        return down + T(1) if whole - down > T(0.5) else down
    return quotient


@cache
def remainder(T: Scalar) -> DeviceFunction:
    """a − b ⌊a / b⌋, with b's sign."""
    @device
    def remainder(a, b):
        rest = math.fmod(a, b)
        if rest == T(0):
            return math.copysign(T(0), b)
        return rest + b if (b < T(0)) != (rest < T(0)) else rest
    return remainder


def _comparisons(T: Scalar) -> dict[str, Callable]:
    """Questions about two numbers."""
    return {
        "equal": lambda a, b: a == b,
        "not_equal": lambda a, b: a != b,
        "less": lambda a, b: a < b,
        "less_equal": lambda a, b: a <= b,
        "greater": lambda a, b: a > b,
        "greater_equal": lambda a, b: a >= b,
        "logical_and": lambda a, b: a != T(0) and b != T(0),
        "logical_or": lambda a, b: a != T(0) or b != T(0),
        "logical_xor": lambda a, b: (a != T(0)) != (b != T(0)),
    }


def _ternary(T: Scalar) -> dict[str, Callable]:
    """Functions of three floating numbers."""
    return {
        "divide_slope": lambda a, b, c: -(a / b) * c,
        "maximum_slope": lambda a, b, c: a if b > c else (T(0.5) * a if b == c else T(0) * a),
        "power_slope": lambda a, b, c: T(0) * a if b == T(0) and c == T(0) else a * (c * math.pow(b, c - T(1))),
        "exponent_slope": lambda a, b, c: T(0) if b == T(0) and c <= T(1) else a * c * math.log(b),
        "clip": lambda a, b, c: c if (b if a < b else a) > c else (b if a < b else a),
        "clip_slope": lambda a, b, c: a if b == c or b != b else T(0),
        "scaled_difference": lambda a, b, c: a * (b - c),
    }


# The names, by kind. Integers take what stays among them and is exact (overflow wraps, as in NumPy).
UNARY, TESTS, BINARY, COMPARISONS, TERNARY = (tuple(table(uint8)) for table in (_unary, _tests, _binary, _comparisons, _ternary))
BINARY += ("floor_divide", "remainder")
WHOLE_UNARY = ("negative", "abs", "sign", "square", "relu", "nothing")
WHOLE_BINARY = ("add", "subtract", "multiply", "maximum", "minimum", "gate", "floor_divide", "remainder")


@cache
def together(op: str, T: Scalar) -> tuple[str, ...]:
    """The ops that share a kernel with this one, which is among them: questions, and ops of whole numbers, which are all alike cheap."""
    groups = (TESTS, COMPARISONS) if T.dtype.kind == "f" else (TESTS, COMPARISONS, WHOLE_UNARY, WHOLE_BINARY)
    return next((group for group in groups if op in group), (op,))


@cache
def one_of(ops: tuple[str, ...], T: Scalar, U: Scalar, operands: int) -> DeviceFunction:
    """f(n, x), or f(n, a, b) for two operands: what the op ops[n] gives, as a U. A launch has one n, so its threads branch alike."""
    first = function(ops[0], T)
    if len(ops) == 1:
        return device({1: lambda n, x: U(first(x)), 2: lambda n, a, b: U(first(a, b))}[operands])
    rest = one_of(ops[1:], T, U, operands)
    return device({1: lambda n, x: U(first(x)) if n == 0 else rest(n - 1, x),
                   2: lambda n, a, b: U(first(a, b)) if n == 0 else rest(n - 1, a, b)}[operands])


@cache
def function(op: str, T: Scalar) -> DeviceFunction:
    """The device function of an op on numbers of type T; KeyError if there is none."""
    if op in ("floor_divide", "remainder"):
        return {"floor_divide": quotient, "remainder": remainder}[op](T) if T.dtype.kind == "f" else WHOLE[op]
    return device((_unary(T) | _tests(T) | _binary(T) | _comparisons(T) | _ternary(T))[op])


# Quotient and remainder of integers, rounded down; by zero, 0.
WHOLE = {"floor_divide": device(lambda a, b: a // b if b != 0 else 0), "remainder": device(lambda a, b: a % b if b != 0 else 0)}
