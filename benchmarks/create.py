"""Tensors from nothing."""
from __future__ import annotations

import tinygradconv as tgc

from .common import ACTIVATIONS, Benchmark


class Create(Benchmark):
    """A tensor of the shape of one layer's output."""

    params = [list(ACTIVATIONS)]
    param_names = ["layer"]

    def prepare(self, layer: str) -> None:
        """The shape."""
        self.shape = ACTIVATIONS[layer]

    def time_zeros(self, layer: str) -> None:
        """Filled with 0."""
        tgc.zeros(self.shape)

    def time_full(self, layer: str) -> None:
        """Filled with one value."""
        tgc.full(self.shape, 0.5)
