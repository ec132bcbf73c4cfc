"""Convolutions of the networks that people know, in the three directions that training needs."""
from __future__ import annotations

import tinygradconv as tgc

from .common import DEVICES, LAYERS, Benchmark, constant, variable


class Conv2d(Benchmark):
    """Forward and both gradients. Each gradient is that of a result which depends on x alone, or on w alone: nothing else is timed."""

    params = [DEVICES, list(LAYERS)]
    param_names = ["device", "layer"]

    def prepare(self, device: str, layer: str) -> None:
        """One tensor of each kind."""
        self.options = LAYERS[layer].options
        x_shape, w_shape = LAYERS[layer].x_shape, LAYERS[layer].w_shape
        self.x, self.w = constant(x_shape, device), constant(w_shape, device, seed=1)
        self.x_leaf, self.w_leaf = variable(x_shape, device), variable(w_shape, device, seed=1)
        self.y_of_x = tgc.conv2d(self.x_leaf, self.w, **self.options)
        self.y_of_w = tgc.conv2d(self.x, self.w_leaf, **self.options)
        self.g = constant(self.y_of_x.shape, device, seed=2)

    def time_forward(self, device: str, layer: str) -> None:
        """y from x and w."""
        tgc.conv2d(self.x, self.w, **self.options)

    def time_grad_input(self, device: str, layer: str) -> None:
        """dx from g and w."""
        tgc.grad(self.y_of_x, self.x_leaf, self.g)

    def time_grad_weight(self, device: str, layer: str) -> None:
        """dw from x and g."""
        tgc.grad(self.y_of_w, self.w_leaf, self.g)


class Conv2dTranspose(Benchmark):
    """The transposed convolution that doubles an image, as in a decoder."""

    params = [DEVICES]
    param_names = ["device"]

    def prepare(self, device: str) -> None:
        """28×28×32 to 56×56×16: w is that of the convolution which it transposes."""
        self.x, self.w = constant((8, 28, 28, 32), device), constant((4, 4, 16, 32), device, seed=1)

    def time_forward(self, device: str) -> None:
        """y from x and w."""
        tgc.conv2d_transpose(self.x, self.w, stride=2, padding=1)


class ConvMemory(Benchmark):
    """The most memory that the process held, one ResNet layer forward and back included."""

    params = [DEVICES]
    param_names = ["device"]

    def prepare(self, device: str) -> None:
        """The 3×3 convolution of 64 channels at 56×56."""
        layer = LAYERS["resnet_3x3_64_56"]
        self.x, self.w, self.options = variable(layer.x_shape, device), variable(layer.w_shape, device, seed=1), layer.options

    def peakmem_forward_and_gradients(self, device: str) -> None:
        """y, dx and dw."""
        y = tgc.conv2d(self.x, self.w, **self.options)
        tgc.grad(y, [self.x, self.w], y.detach())
