"""Pooling where the networks do it."""
from __future__ import annotations

import tinygradconv as tgc

from .common import DEVICES, ForwardAndGradient, variable

# The window that stands in the network, on the output of its layer.
POOLS = {
    "lenet_avg_2x2":             ((64, 28, 28, 6), lambda x: tgc.avg_pool2d(x, 2)),
    "lenet_distance_3x3":        ((64, 28, 28, 6), lambda x: tgc.distance_pool2d(x, 3, stride=2)),
    "lenet_l2_2x2":              ((64, 28, 28, 6), lambda x: tgc.lp_pool2d(x, 2, 2.0)),
    "cifar_max_2x2":             ((128, 32, 32, 16), lambda x: tgc.max_pool2d(x, 2)),
    "alexnet_max_3x3_stride_2":  ((8, 55, 55, 96), lambda x: tgc.max_pool2d(x, 3, stride=2)),
    "resnet_max_3x3_stride_2":   ((8, 112, 112, 64), lambda x: tgc.max_pool2d(x, 3, stride=2, padding=1)),
    "resnet_global_avg":         ((8, 7, 7, 512), lambda x: tgc.global_avg_pool(x)),
    "vgg_adaptive_avg":          ((2, 14, 14, 512), lambda x: tgc.adaptive_avg_pool2d(x, 7)),
}


class Pool(ForwardAndGradient):
    """One pooling layer; the gradient of a maximum goes to the saved position."""

    params = [DEVICES, list(POOLS)]
    param_names = ["device", "layer"]

    def prepare(self, device: str, layer: str) -> None:
        """The input of the pooling layer."""
        shape, op = POOLS[layer]
        self.examine(op, variable(shape, device))
