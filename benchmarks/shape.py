"""Values in another order or another place: what moves memory and computes nothing."""
from __future__ import annotations

import tinygradconv as tgc

from .common import ACTIVATIONS, DEVICES, ForwardAndGradient, variable

OPS = {
    "channels_first": lambda x: tgc.permute_dims(x, (0, 3, 1, 2)) + 0.0,      # + 0: the values are read in their new order
    "flip":           lambda x: tgc.flip(x, axis=2) + 0.0,
    "slice":          lambda x: x[:, 1:-1, 1:-1] + 0.0,
}


class Shape(ForwardAndGradient):
    """One op on the output of one layer."""

    params = [DEVICES, list(ACTIVATIONS), list(OPS)]
    param_names = ["device", "layer", "op"]

    def prepare(self, device: str, layer: str, op: str) -> None:
        """The layer's output."""
        self.examine(OPS[op], variable(ACTIVATIONS[layer], device))
