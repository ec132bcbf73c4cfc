"""Normalisation: statistics over the batch, over groups of channels, over the features of one place, over neighbouring channels."""
from __future__ import annotations

import tinygradconv as tgc

from .common import DEVICES, ForwardAndGradient, constant, variable

NORMS = {
    "layer_norm_lenet_f6":          ((64, 84), lambda x, scale, shift: tgc.layer_norm(x, scale, shift)),
    "batch_norm_resnet20_8_64":     ((128, 8, 8, 64), lambda x, scale, shift: tgc.batch_norm(x, scale, shift)[0]),
    "batch_norm_resnet20_32_16":    ((128, 32, 32, 16), lambda x, scale, shift: tgc.batch_norm(x, scale, shift)[0]),
    "batch_norm_resnet_56_64":      ((8, 56, 56, 64), lambda x, scale, shift: tgc.batch_norm(x, scale, shift)[0]),
    "group_norm_resnet_56_64":      ((8, 56, 56, 64), lambda x, scale, shift: tgc.group_norm(x, 32, scale, shift)),
    "local_response_norm_alexnet":  ((8, 55, 55, 96), lambda x, scale, shift: tgc.local_response_norm(x)),
}


class Norm(ForwardAndGradient):
    """One normalisation with its scale and shift; the gradient is with respect to x."""

    params = [DEVICES, list(NORMS)]
    param_names = ["device", "layer"]

    def prepare(self, device: str, layer: str) -> None:
        """The layer's input, and one scale and shift per channel."""
        shape, op = NORMS[layer]
        scale, shift = constant(shape[-1:], device, seed=2), constant(shape[-1:], device, seed=3)
        self.examine(lambda x: op(x, scale, shift), variable(shape, device))


class BatchNormInference(ForwardAndGradient):
    """Batch norm with running statistics, as in evaluation."""

    params = [DEVICES]
    param_names = ["device"]

    def prepare(self, device: str) -> None:
        """The first stage of ResNet-20."""
        scale, shift, mean = (constant((16,), device, seed=seed) for seed in (2, 3, 4))
        variance = scale * scale + 1.0
        self.examine(lambda x: tgc.batch_norm_inference(x, scale, shift, mean, variance), variable((128, 32, 32, 16), device))
