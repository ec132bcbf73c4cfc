"""Matrix products of dense layers, as in inference: weights that do not change, so each side may pack them once.

Ours is the kernel `dense`, called through the back end. NumPy and torch.mm write into an array that is there, as ours does; torch's packed
forms are those that torch.compile's freezing puts in place of a Linear.
"""
from __future__ import annotations

import numpy as np

from ...common import values
from ..compare import same
from ..torch_side import the_torch
from ..work import Floor, Options, Sides, Work, timed

SHAPES = [  # images (M), features (I), outputs (O)
    (2048, 2048, 2048), (64, 400, 120), (64, 120, 84), (128, 512, 1000), (64, 1024, 1024), (128, 4096, 4096), (128, 64, 10), (8, 512, 1000),
]


def sides(M: int, I: int, O: int, options: Options) -> Sides:
    """x (M, I) times w (I, O)."""
    torch = the_torch()
    x, w = values(M, I), values(I, O, seed=1)
    tx, tw, by_output = torch.from_numpy(x.copy()), torch.from_numpy(w.copy()), torch.from_numpy(np.ascontiguousarray(w.T))
    made, torch_made = np.empty((M, O), np.float32), torch.empty(M, O)
    ours, y = our_product(x, w)
    peers = {"NumPy": lambda: np.matmul(x, w, out=made),
             "torch": lambda: torch.mm(tx, tw, out=torch_made),
             "torch linear": lambda: torch.nn.functional.linear(tx, by_output)}
    if torch.backends.mkl.is_available():
        by_mkl = torch.ops.mkl._mkl_reorder_linear_weight(by_output, M)
        peers["torch packed by MKL"] = lambda: torch.ops.mkl._mkl_linear(tx, by_mkl, by_output, None, M)
    if torch.backends.mkldnn.is_available():
        by_mkldnn = torch.ops.mkldnn._reorder_linear_weight(by_output, M)
        peers["torch packed by oneDNN"] = lambda: torch.ops.mkldnn._linear_pointwise(tx, by_mkldnn, None, "none", [], "")

    def verify() -> None:
        ours()
        same("y", y, x.astype(np.float64) @ w, 1e-5)
        for name, peer in peers.items():
            same(name, np.asarray(peer()), y, 1e-5)

    return Sides(ours, peers, verify, Floor(2.0 * M * I * O, 4.0 * (M * I + I * O + M * O)))


def our_product(x: np.ndarray, w: np.ndarray):
    """(a call of the kernel that keeps w packed between calls, the array that it fills)."""
    from tinygradconv.backends import CPU
    y, packed = np.empty((len(x), w.shape[1]), np.float32), {}
    return (lambda: CPU.run("dense", x, w, None, y, 0, packed=packed)), y


def works() -> list[Work]:
    """One for each shape."""
    return [timed(f"matmul {M}x{I}x{O}", lambda options, shape=(M, I, O): sides(*shape, options)) for M, I, O in SHAPES]
