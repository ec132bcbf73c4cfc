"""Activations: what bends the lines between two linear layers. The first four are one kernel, and keep one tensor for backward.

    relu(x) = max(x, 0)                    keeps y          silu(x) = x · σ(x)            keeps x
    sigmoid(x) = σ(x) = 1 / (1 + e^(−x))   keeps y          softplus(x) = log(1 + eˣ)     keeps x
    gelu(x) = x · Φ(x)                     keeps x and Φ    leaky_relu, elu: x above 0, something gentler below

The rules are made of public ops, so that there are derivatives of every order. Integers give float32.
"""
from __future__ import annotations

import math
from typing import Any

from tinygradconv.ops.elementwise import expm1, gate, greater, slope, square, tanh, unary, where
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.promotion import as_tensor, floating_result
from tinygradconv.tensor import Tensor

__all__ = ["elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus"]

relu = unary("relu", "max(x, 0); its gradient at 0 is 0. NaN stays NaN")
sigmoid = unary("sigmoid", "σ(x) = 1 / (1 + e^(−x)); its derivative is σ(x) · (1 − σ(x))")
silu = unary("silu", "x · σ(x), also called swish")
softplus = unary("softplus", "log(1 + eˣ), a smooth max(x, 0) that never overflows; its derivative is σ(x)")
_normal_cdf = unary("normal_cdf", "Φ(x), the chance that a standard normal number is below x")

relu.vjp(x=lambda g, y: gate(g, y))
_sigmoid_slope = slope("sigmoid", "a · b · (1 − b): the cotangent a of y = b = σ(x), brought back to x")
_sigmoid_slope.vjp(b=lambda g, a, b: g * a * (1 - 2 * b))
_softplus_slope = slope("softplus", "a · σ(b), b = x").vjp(b=lambda g, a, b: _sigmoid_slope(g * a, sigmoid(b)))
_normal_slope = slope("normal", "a · φ(b), φ(x) = e^(−x²/2) / √(2π) the derivative of Φ").vjp(b=lambda g, b, y: -g * y * b)
_silu_slope = slope("silu", "a · σ(b) · (1 + b · (1 − σ(b))), b = x")


def _silu_bend(g: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """silu″ = σ′ · (2 + x · (1 − 2σ)), and σ′ = σ · (1 − σ)."""
    s = sigmoid(b)
    return g * a * (_sigmoid_slope(2 + b * (1 - 2 * s), s))


_silu_slope.vjp(b=_silu_bend)
sigmoid.vjp(x=lambda g, y: _sigmoid_slope(g, y))
silu.vjp(x=lambda g, x: _silu_slope(g, x))
softplus.vjp(x=lambda g, x: _softplus_slope(g, x))
_normal_cdf.vjp(x=lambda g, x: _normal_slope(g, x))


def _floating(name: str, x: Any) -> Tensor:
    x = as_tensor(name, "x", x)
    return x.astype(floating_result(x.dtype))


@numpy_names
def leaky_relu(x: Any, slope: float = 0.01) -> Tensor:
    """x where x > 0, slope · x elsewhere; the gradient at 0 is `slope`."""
    x = _floating("leaky_relu", x)
    return where(greater(x, 0), x, x * slope)


@numpy_names
def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x where x > 0, alpha · (eˣ − 1) elsewhere; the gradient at 0 is `alpha`."""
    x = _floating("elu", x)
    above = greater(x, 0)
    return where(above, x, expm1(where(above, 0, x)) * alpha)       # e^x only where it is wanted: it would overflow above


@numpy_names
def gelu(x: Any, *, approximate: bool = False) -> Tensor:
    """x · Φ(x), Φ the standard normal distribution: x times the chance that a normal number is smaller (Hendrycks & Gimpel 2016).

    `approximate` takes the paper's ½ x · (1 + tanh(√(2/π) · (x + 0.044715 x³))), which differs by less than 0.0005.
    """
    x = _floating("gelu", x)
    if not approximate:
        return x * _normal_cdf(x)
    inner = (x + 0.044715 * x * square(x)) * (2 / math.pi) ** 0.5
    return x * (tanh(inner) + 1) * 0.5


Tensor.relu = lambda self: relu(self)
Tensor.sigmoid = lambda self: sigmoid(self)
