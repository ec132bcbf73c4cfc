"""Sums, means and extremes over all values, over the pixels, and over the channels."""
from __future__ import annotations

import tinygradconv as tgc

from .common import ACTIVATIONS, DEVICES, ForwardAndGradient, variable

OPS = {
    "sum":                lambda x: tgc.sum(x),
    "sum_over_pixels":    lambda x: tgc.sum(x, axis=(0, 1, 2)),       # the gradient of a bias
    "mean_over_image":    lambda x: tgc.mean(x, axis=(1, 2)),         # global average pooling, composed
    "max_over_channels":  lambda x: tgc.max(x, axis=-1),
    "var_over_pixels":    lambda x: tgc.var(x, axis=(0, 1, 2)),
    "logsumexp":          lambda x: tgc.logsumexp(x, axis=-1),
}


class Reduce(ForwardAndGradient):
    """One reduction of the output of one layer."""

    params = [DEVICES, list(ACTIVATIONS), list(OPS)]
    param_names = ["device", "layer", "op"]

    def prepare(self, device: str, layer: str, op: str) -> None:
        """The layer's output."""
        self.examine(OPS[op], variable(ACTIVATIONS[layer], device))
