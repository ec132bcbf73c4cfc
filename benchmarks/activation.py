"""The non-linear functions between the layers."""
from __future__ import annotations

import tinygradconv as tgc

from .common import ACTIVATIONS, DEVICES, ForwardAndGradient, variable

OPS = {
    "relu":       lambda x: tgc.relu(x),
    "leaky_relu": lambda x: tgc.leaky_relu(x),
    "elu":        lambda x: tgc.elu(x),
    "gelu":       lambda x: tgc.gelu(x),
    "silu":       lambda x: tgc.silu(x),
    "softplus":   lambda x: tgc.softplus(x),
    "sigmoid":    lambda x: tgc.sigmoid(x),
}


class Activation(ForwardAndGradient):
    """One function on the output of one layer."""

    params = [DEVICES, list(ACTIVATIONS), list(OPS)]
    param_names = ["device", "layer", "op"]

    def prepare(self, device: str, layer: str, op: str) -> None:
        """The layer's output."""
        self.examine(OPS[op], variable(ACTIVATIONS[layer], device))
