"""Values picked by integer arrays; the gradient adds them back where they came from."""
from __future__ import annotations

import numpy as np

import tinygradconv as tgc

from .common import ACTIVATIONS, DEVICES, ForwardAndGradient, variable

OPS = {
    "shuffle_batch":   lambda x, order: tgc.take(x, order, axis=0),
    "pick_one_pixel":  lambda x, order: x[order, 3, 5],
}


class Gather(ForwardAndGradient):
    """One way of picking from the output of one layer."""

    params = [DEVICES, list(ACTIVATIONS), list(OPS)]
    param_names = ["device", "layer", "op"]

    def prepare(self, device: str, layer: str, op: str) -> None:
        """The layer's output, and an order of its images."""
        shape = ACTIVATIONS[layer]
        order = np.random.default_rng(1).permutation(shape[0])
        self.examine(lambda x: OPS[op](x, order), variable(shape, device))
