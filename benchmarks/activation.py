"""The non-linear functions between the layers."""
from __future__ import annotations

import tinygradconv as tgc

from .common import ACTIVATIONS, DEVICES, ForwardAndGradient, variable

OPS = {"relu": tgc.relu, "leaky_relu": tgc.leaky_relu, "elu": tgc.elu, "gelu": tgc.gelu, "silu": tgc.silu, "softplus": tgc.softplus,
       "sigmoid": tgc.sigmoid}


class Activation(ForwardAndGradient):
    """One function on the output of one layer."""

    params = [DEVICES, list(ACTIVATIONS), list(OPS)]
    param_names = ["device", "layer", "op"]

    def prepare(self, device: str, layer: str, op: str) -> None:
        """The layer's output."""
        self.examine(OPS[op], variable(ACTIVATIONS[layer], device))
