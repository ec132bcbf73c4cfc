"""Pooling, forward and back, where networks have it and where they might."""
from __future__ import annotations

from math import prod

import tinygradconv as tgc

from ...common import constant, values, variable
from ..compare import same
from ..torch_side import channels_first, channels_last, in_every_form, the_torch
from ..work import Floor, Options, Sides, Work, timed

# kind, shape (N, H, W, C), window, stride, padding
SHAPES = {
    "max_resnet_3x3_stride_2": ("max", (8, 112, 112, 64), 3, 2, 1),
    "max_cifar_2x2":           ("max", (128, 32, 32, 16), 2, 2, 0),
    "avg_lenet_2x2":           ("avg", (64, 28, 28, 6), 2, 2, 0),
    "avg_2x2":                 ("avg", (128, 32, 32, 64), 2, 2, 0),
}


def sides(kind: str, shape: tuple[int, ...], window: int, stride: int, padding: int, options: Options) -> Sides:
    """y and dx."""
    torch = the_torch()
    pool, theirs = getattr(tgc, f"{kind}_pool2d"), getattr(torch.nn.functional, f"{kind}_pool2d")
    x = variable(shape)
    y_shape = pool(x, window, stride=stride, padding=padding).shape
    g = constant(y_shape, seed=1)

    def ours() -> tuple[tgc.Tensor, tgc.Tensor]:
        y = pool(x, window, stride=stride, padding=padding)
        return y, tgc.grad(y, x, g, retain_graph=False)

    def bound(function, layout: str):
        tx, tg = channels_first(values(*shape), layout).requires_grad_(), channels_first(values(*y_shape, seed=1), layout)

        def call():
            y = function(tx)
            return y, torch.autograd.grad(y, tx, tg)[0]
        return call

    def eager(tx):
        return theirs(tx, window, stride, padding)

    peers, notes = in_every_form(lambda layout: eager, bound, options)

    def verify() -> None:
        y, dx = ours()
        for name, peer in peers.items():
            ty, tdx = peer()
            same(f"y of {name}", y.numpy(), channels_last(ty), 1e-5)
            same(f"dx of {name}", dx.numpy(), channels_last(tdx), 1e-5)

    return Sides(ours, peers, verify, Floor(nbytes=4.0 * 2 * (prod(shape) + prod(y_shape))), notes)


def works() -> list[Work]:
    """One for each shape."""
    return [timed(f"pool {name}", lambda options, shape=shape: sides(*shape, options)) for name, shape in SHAPES.items()]
