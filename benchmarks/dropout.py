"""Dropout where AlexNet and VGG have it: on 4096 features."""
from __future__ import annotations

import tinygradconv as tgc
from tinygradconv.ops.random import key_of

from .common import DEVICES, ForwardAndGradient, variable

FEATURES = {"lenet_f6": (64, 84), "alexnet_fc6": (128, 4096)}


class Dropout(ForwardAndGradient):
    """Half of the values dropped; the gradient draws the same random numbers again."""

    params = [DEVICES, list(FEATURES)]
    param_names = ["device", "layer"]

    def prepare(self, device: str, layer: str) -> None:
        """The features, and a key as a model has one per layer."""
        key = key_of(0, "benchmark")
        self.examine(lambda x: tgc.dropout(x, 0.5, key=key, step=0), variable(FEATURES[layer], device))
