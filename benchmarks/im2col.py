"""The columns of a convolution, and back: what the fast kernels do in their load addresses, done in memory."""
from __future__ import annotations

import tinygradconv as tgc

from .common import DEVICES, LAYERS, ForwardAndGradient, variable


class Im2col(ForwardAndGradient):
    """im2col, and its gradient, which is col2im."""

    params = [DEVICES, ["lenet_c3", "lenet_c1", "resnet20_3x3_16", "resnet_3x3_64_56"]]
    param_names = ["device", "layer"]

    def prepare(self, device: str, layer: str) -> None:
        """The layer's input."""
        at = LAYERS[layer]
        self.examine(lambda x: tgc.im2col(x, at.kernel_size, stride=at.stride, padding=at.padding), variable(at.x_shape, device))
