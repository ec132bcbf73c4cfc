"""Losses at the head of a network: a batch of scores and the right answers."""
from __future__ import annotations

import numpy as np

import tinygradconv as tgc

from .common import DEVICES, ForwardAndGradient, constant, variable

HEADS = {"lenet_10": (64, 10), "imagenet_1000": (128, 1000)}
OPS = {
    "cross_entropy":        lambda x, labels, c: tgc.cross_entropy(x, labels),
    "cross_entropy_smooth": lambda x, labels, c: tgc.cross_entropy(x, labels, label_smoothing=0.1),
    "mse":                  lambda x, labels, c: tgc.mse(x, c),
    "huber":                lambda x, labels, c: tgc.huber(x, c),
    "binary_cross_entropy": lambda x, labels, c: tgc.binary_cross_entropy_with_logits(x, c * c / (c * c + 1.0)),
}


class Loss(ForwardAndGradient):
    """One loss of one batch of scores."""

    params = [DEVICES, list(HEADS), list(OPS)]
    param_names = ["device", "head", "loss"]

    def prepare(self, device: str, head: str, loss: str) -> None:
        """Scores, labels and, for the losses that compare numbers, targets."""
        shape = HEADS[head]
        labels = tgc.Tensor(np.random.default_rng(1).integers(0, shape[1], shape[0])).to(device)
        targets = constant(shape, device, seed=2)
        self.examine(lambda x: OPS[loss](x, labels, targets), variable(shape, device))
