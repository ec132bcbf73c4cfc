"""What it costs to call an op: thirty on 8×8 values, forward and back, where the arithmetic is next to nothing.

torch.compile makes one loop of the thirty, after which there is no op left whose call could be timed. So it is no peer here;
its time is told in a note.
"""
from __future__ import annotations

import tinygradconv as tgc

from ...common import constant, values, variable
from ..compare import same
from ..protocol import take_turns
from ..torch_side import compiled, the_torch
from ..work import Options, Sides, Work, timed

ROUNDS, SIZE = 5, 8


def thirty(library, x, w, c):
    """Six ops, five times over, by the names that both libraries share; tanh keeps the values finite."""
    for _ in range(ROUNDS):
        x = library.tanh(library.add(library.matmul(library.multiply(x, c), w), c))
        x = library.subtract(x, c) * x
    return x


def sides(options: Options) -> Sides:
    """The chain's end, and its derivative with respect to its beginning and to w."""
    torch = the_torch()
    shape = (SIZE, SIZE)
    x, w, c, g = variable(shape), variable(shape, seed=1), constant(shape, seed=2), constant(shape, seed=3)
    tx, tw = (torch.from_numpy(values(*shape, seed=seed)).requires_grad_() for seed in (0, 1))
    tc, tg = (torch.from_numpy(values(*shape, seed=seed)) for seed in (2, 3))

    def ours() -> list[tgc.Tensor]:
        return tgc.grad(thirty(tgc, x, w, c), [x, w], g, retain_graph=False)

    def theirs(chain=lambda x, w, c: thirty(torch, x, w, c)):
        return torch.autograd.grad(chain(tx, tw, tc), (tx, tw), tg)

    def verify() -> None:
        for name, got, expected in zip(("dx", "dw"), ours(), theirs()):
            same(name, got.numpy(), expected.numpy(), 1e-3)         # thirty ops amplify rounding

    chain, why = compiled(lambda x, w, c: thirty(torch, x, w, c), theirs, options)
    if chain is not None:
        least = take_turns({"compiled": lambda: theirs(chain)}, options.samples)["compiled"].minimum
        why = f"torch.compile makes one loop of the thirty: {1e3 * least:.3f} ms; that is no call of an op, so no peer"
    return Sides(ours, {"torch": theirs}, verify, notes=[why] if why else [])


def works() -> list[Work]:
    """The one."""
    return [timed("dispatch 30 ops 8x8", sides)]
