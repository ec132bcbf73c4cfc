"""What an op costs beyond its arithmetic: 30 ops on 8×8 values, where the arithmetic is next to nothing."""
from __future__ import annotations

import tinygradconv as tgc
from tinygradconv.spec.table import Ledger

from .common import Benchmark, constant, tape_nodes, variable

CALLS = 30
OPS = {
    "add": lambda x, c: x + c,
    "multiply": lambda x, c: x * c,
    "tanh": lambda x, c: tgc.tanh(x),
    "matmul": lambda x, c: tgc.matmul(x, c),
}


class Overhead(Benchmark):
    """A chain of 30 calls of one op; for the cost of one, divide by 30."""

    params = [list(OPS)]
    param_names = ["op"]
    repeat = (10, 200, 1.0)

    def prepare(self, op: str) -> None:
        """The chain's beginning and its recorded end; c = 1/8 keeps the values finite along the chain."""
        self.x, self.c = variable((8, 8)), constant((8, 8)) * 0.0 + 0.125
        self.y = self.chain(OPS[op])
        self.g = constant((8, 8), seed=1)

    def chain(self, op) -> tgc.Tensor:
        """op(… op(op(x, c), c) …, c)."""
        y = self.x
        for _ in range(CALLS):
            y = op(y, self.c)
        return y

    def time_forward_unrecorded(self, op: str) -> None:
        """The calls alone."""
        with tgc.no_grad():
            self.chain(OPS[op])

    def time_forward_recorded(self, op: str) -> None:
        """The calls, with a node each."""
        self.chain(OPS[op])

    def time_gradient(self, op: str) -> None:
        """The way back through the nodes."""
        tgc.grad(self.y, self.x, self.g)

    def track_nodes(self, op: str) -> int:
        """Recorded calls per call; exact."""
        return tape_nodes(self.y) / CALLS

    def track_bytes_kept(self, op: str) -> int:
        """What the chain's nodes hold for the backward pass; exact."""
        return Ledger([self.x]).add(self.y)

    track_nodes.unit = "nodes/call"
    track_bytes_kept.unit = "bytes"


class Depth(Benchmark):
    """A tape two thousand nodes deep: backward is a loop, and so is letting it go."""

    repeat = (3, 10, 1.0)

    def prepare(self) -> None:
        """One value."""
        self.x = variable((1,))

    def time_record_and_differentiate(self) -> None:
        """Forward, back, and freed."""
        y = self.x
        for _ in range(2_000):
            y = y + 1.0
        tgc.grad(y, self.x)
