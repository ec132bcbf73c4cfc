"""Batch norm + residual + ReLU, forward and back, in training: one pass each way where it is fused."""
from __future__ import annotations

from math import prod

import tinygradconv as tgc

from ...common import constant, values, variable
from ..compare import same
from ..torch_side import channels_first, channels_last, in_every_form, the_torch
from ..work import Floor, Options, Sides, Work, timed

SHAPES = {
    "resnet20_32_16": (128, 32, 32, 16),
    "resnet20_8_64":  (128, 8, 8, 64),
    "resnet_56_64":   (8, 56, 56, 64),
    "resnet_112_64":  (8, 112, 112, 64),
}
TOLERANCE = 3e-3             # one value on the other side of ReLU's corner, among a million


def fused(x: tgc.Tensor, scale: tgc.Tensor, shift: tgc.Tensor, residual: tgc.Tensor) -> tgc.Tensor:
    """relu(batch_norm(x) + residual)."""
    return tgc.batch_norm(x, scale, shift, residual=residual, activation="relu")[0]


def sides(shape: tuple[int, ...], options: Options) -> Sides:
    """y and the gradients of x, scale, shift and the residual."""
    torch = the_torch()
    functional, channels = torch.nn.functional, shape[-1:]
    inputs = [variable(shape), variable(channels, seed=1), variable(channels, seed=2), variable(shape, seed=3)]
    g = constant(shape, seed=4)

    def ours() -> list[tgc.Tensor]:
        y = fused(*inputs)
        return [y, *tgc.grad(y, inputs, g, retain_graph=False)]

    def eager(x, scale, shift, residual):
        return functional.relu(functional.batch_norm(x, None, None, scale, shift, True) + residual)

    def bound(function, layout: str):
        theirs = [channels_first(values(*like, seed=seed), layout).requires_grad_()
                  for seed, like in enumerate((shape, channels, channels, shape))]
        tg = channels_first(values(*shape, seed=4), layout)

        def call():
            y = function(*theirs)
            return [y, *torch.autograd.grad(y, theirs, tg)]
        return call

    peers, notes = in_every_form(lambda layout: eager, bound, options)

    def verify() -> None:
        got = [tensor.numpy() for tensor in ours()]
        for name, peer in peers.items():
            for what, mine, theirs in zip(("y", "dx", "dscale", "dshift", "dresidual"), got, peer()):
                same(f"{what} of {name}", mine, channels_last(theirs), TOLERANCE)

    # Forward reads x and the residual and writes y; backward reads g and x, and a bit of each value, and writes both gradients.
    return Sides(ours, peers, verify, Floor(nbytes=(4.0 * 7 + 2 / 8) * prod(shape)), notes)


def works() -> list[Work]:
    """One for each shape."""
    return [timed(f"norm {name}", lambda options, shape=shape: sides(shape, options)) for name, shape in SHAPES.items()]
