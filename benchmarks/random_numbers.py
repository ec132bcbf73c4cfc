"""Random numbers: initial weights, and the order of the images of an epoch. Named so because random.py would hide Python's own from asv."""
from __future__ import annotations

from tinygradconv.ops.random import key_of, normal, permutation, random_bits, uniform

from .common import Benchmark

SIZES = {"lenet_c5": 48_000, "resnet_3x3_512": 2_359_296}


class Random(Benchmark):
    """Philox4x32-10 as bits, as floats, and as an order."""

    params = [list(SIZES)]
    param_names = ["weights"]

    def prepare(self, weights: str) -> None:
        """How many numbers, and from which stream."""
        self.count, self.key = SIZES[weights], key_of(0, "benchmark")

    def time_bits(self, weights: str) -> None:
        """64 bits a number."""
        random_bits((self.count,), key=self.key)

    def time_uniform(self, weights: str) -> None:
        """float32 in [0, 1)."""
        uniform((self.count,), key=self.key)

    def time_normal(self, weights: str) -> None:
        """float32, normally distributed."""
        normal((self.count,), key=self.key)

    def time_permutation(self, weights: str) -> None:
        """The numbers from 0 on in random order."""
        permutation(self.count, key=self.key)
