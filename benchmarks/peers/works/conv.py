"""Convolution, forward and both gradients, of twenty layers that people know.

Both sides record the forward pass, as in training. torch.compile calls the very kernels that these calls do, so it is not tried.
"""
from __future__ import annotations

import tinygradconv as tgc

from ...common import ConvLayer, constant, values, variable
from ..compare import same
from ..torch_side import LAYOUTS, channels_first, channels_last, the_torch
from ..work import Floor, Options, Sides, Work, timed

# LeNet-5 at batch 64, the CIFAR ResNet-20 at 128, ResNet-18 and 50 at 8, VGG-16 at 2:
# N, image size, channels in, window, channels out, stride, padding.
SHAPES = {
    "lenet_c1":             ConvLayer(64, 32, 1, 5, 6),
    "lenet_c3":             ConvLayer(64, 14, 6, 5, 16),
    "resnet20_stem":        ConvLayer(128, 32, 3, 3, 16, 1, 1),
    "resnet20_3x3_16":      ConvLayer(128, 32, 16, 3, 16, 1, 1),
    "resnet20_3x3_16_32":   ConvLayer(128, 32, 16, 3, 32, 2, 1),
    "resnet20_3x3_32":      ConvLayer(128, 16, 32, 3, 32, 1, 1),
    "resnet20_3x3_32_64":   ConvLayer(128, 16, 32, 3, 64, 2, 1),
    "resnet20_3x3_64":      ConvLayer(128, 8, 64, 3, 64, 1, 1),
    "resnet20_1x1_16_32":   ConvLayer(128, 32, 16, 1, 32, 2),
    "resnet_stem":          ConvLayer(8, 224, 3, 7, 64, 2, 3),
    "resnet_3x3_64_56":     ConvLayer(8, 56, 64, 3, 64, 1, 1),
    "resnet_3x3_64_128":    ConvLayer(8, 56, 64, 3, 128, 2, 1),
    "resnet_3x3_128_28":    ConvLayer(8, 28, 128, 3, 128, 1, 1),
    "resnet_3x3_128_256":   ConvLayer(8, 28, 128, 3, 256, 2, 1),
    "resnet_3x3_256_14":    ConvLayer(8, 14, 256, 3, 256, 1, 1),
    "resnet_3x3_256_512":   ConvLayer(8, 14, 256, 3, 512, 2, 1),
    "resnet_3x3_512_7":     ConvLayer(8, 7, 512, 3, 512, 1, 1),
    "resnet_1x1_64_128":    ConvLayer(8, 56, 64, 1, 128, 2),
    "resnet50_1x1_64_256":  ConvLayer(8, 56, 64, 1, 256),
    "vgg_conv1_2":          ConvLayer(2, 224, 64, 3, 64, 1, 1),
}
TOLERANCE = 1e-4             # Winograd's rounding included


def sides(layer: ConvLayer, options: Options) -> Sides:
    """y, dx and dw of one layer."""
    torch = the_torch()
    x, w = variable(layer.x_shape), variable(layer.w_shape, seed=1)
    y_shape = tgc.conv2d(x, w, **layer.options).shape
    g = constant(y_shape, seed=2)

    def ours() -> list[tgc.Tensor]:
        y = tgc.conv2d(x, w, **layer.options)
        return [y, *tgc.grad(y, [x, w], g, retain_graph=False)]

    def torchs(layout: str):
        tx, tg = channels_first(values(*layer.x_shape), layout).requires_grad_(), channels_first(values(*y_shape, seed=2), layout)
        tw = torch.from_numpy(values(*layer.w_shape, seed=1)).permute(3, 2, 0, 1)
        tw = tw.contiguous(memory_format=getattr(torch, layout)).requires_grad_()

        def call():
            y = torch.nn.functional.conv2d(tx, tw, stride=layer.stride, padding=layer.padding)
            return [y, *torch.autograd.grad(y, (tx, tw), tg)]
        return call

    peers = {name: torchs(layout) for name, layout in LAYOUTS.items()}

    def verify() -> None:
        y, dx, dw = ours()
        ty, tdx, tdw = peers["torch"]()
        same("y", y.numpy(), channels_last(ty), TOLERANCE)
        same("dx", dx.numpy(), channels_last(tdx), TOLERANCE)
        same("dw", dw.numpy(), tdw.permute(2, 3, 1, 0).numpy(), TOLERANCE)

    return Sides(ours, peers, verify, floor(layer, y_shape))


def floor(layer: ConvLayer, y_shape: tuple[int, ...]) -> Floor:
    """Three times the multiply-adds of the forward pass; x, w, y, g read or written as often as the three passes must."""
    pixels, size = y_shape[0] * y_shape[1] * y_shape[2], layer.size
    x, y = layer.N * size * size * layer.C, pixels * layer.O
    w = layer.kernel_size**2 * layer.C * layer.O
    return Floor(3 * 2.0 * pixels * w, 4.0 * 3 * (x + w + y))


def works() -> list[Work]:
    """One for each shape."""
    return [timed(f"conv {name}", lambda options, layer=layer: sides(layer, options)) for name, layer in SHAPES.items()]
