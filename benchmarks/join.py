"""Tensors put together, and given borders."""
from __future__ import annotations

import tinygradconv as tgc

from .common import ACTIVATIONS, DEVICES, ForwardAndGradient, variable

OPS = {
    "concat_channels": lambda x: tgc.concat([x, x], axis=-1),
    "stack":           lambda x: tgc.stack([x, x]),
    "pad":             lambda x: tgc.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))),
}


class Join(ForwardAndGradient):
    """One op on the output of one layer."""

    params = [DEVICES, list(ACTIVATIONS), list(OPS)]
    param_names = ["device", "layer", "op"]

    def prepare(self, device: str, layer: str, op: str) -> None:
        """The layer's output."""
        self.examine(OPS[op], variable(ACTIVATIONS[layer], device))
