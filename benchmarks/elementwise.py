"""Arithmetic, value by value, on activations of the networks' layers."""
from __future__ import annotations

import tinygradconv as tgc

from .common import ACTIVATIONS, DEVICES, ForwardAndGradient, constant, variable

OPS = {
    "add":      lambda x, c, bias: tgc.add(x, c),
    "add_bias": lambda x, c, bias: x + bias,
    "multiply": lambda x, c, bias: tgc.multiply(x, c),
    "divide":   lambda x, c, bias: tgc.divide(c, x),
    "maximum":  lambda x, c, bias: tgc.maximum(x, c),
    "where":    lambda x, c, bias: tgc.where(c > 0, x, c),
    "clip":     lambda x, c, bias: tgc.clip(x, -1.0, 1.0),
    "exp":      lambda x, c, bias: tgc.exp(x),
    "tanh":     lambda x, c, bias: tgc.tanh(x),
    "power":    lambda x, c, bias: tgc.pow(x, 3.0),
}


class Elementwise(ForwardAndGradient):
    """One op on the output of one layer; `add_bias` broadcasts over the pixels, so its rule sums over them."""

    params = [DEVICES, list(ACTIVATIONS), list(OPS)]
    param_names = ["device", "layer", "op"]

    def prepare(self, device: str, layer: str, op: str) -> None:
        """x, a constant of its shape, and one number per channel."""
        shape = ACTIVATIONS[layer]
        c, bias = constant(shape, device, seed=2), variable(shape[-1:], device, seed=3)
        self.examine(lambda x: OPS[op](x, c, bias), variable(shape, device))
