"""The abstract back end: everything but the work.

Its arrays have a shape and a dtype but all their elements are one and the same zero, so an array of any size takes no
memory; its kernels do nothing. Running a model on such arrays goes through the same ops and the same tape as real
running does: that is how a table can say what a step will keep for its backward pass before anything is allocated.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygradconv.arrays import repeated


class AbstractArray(np.ndarray):
    """An array that is only its shape and dtype: every element is the same memory (all strides are 0)."""


class AbstractBackend:
    """Allocates nothing and computes nothing."""

    name = "abstract"

    def empty(self, shape: tuple[int, ...], dtype: Any) -> AbstractArray:
        """A shape and a dtype in the clothes of an array."""
        return np.broadcast_to(np.zeros((), dtype), shape).view(AbstractArray)

    def like(self, array: Any) -> AbstractArray:
        """A shape and a dtype, as they are known."""
        return self.empty(array.shape, array.dtype)

    repeated = staticmethod(repeated)

    def run(self, kernel: str, *arguments: Any, packed: Any = None, moments: Any = None) -> None:
        """Nothing."""

    def asarray(self, values: np.ndarray) -> AbstractArray:
        """The shape and dtype of `values`."""
        return self.empty(values.shape, values.dtype)

    def to_numpy(self, array: AbstractArray) -> np.ndarray:
        """An abstract array holds no values: always a TypeError."""
        raise TypeError(f"an abstract tensor of shape {array.shape} has a shape but no values")

    def assign(self, array: AbstractArray, values: Any) -> None:
        """Nothing: there are no values to change."""

    def constant(self, values: np.ndarray) -> AbstractArray:
        """The shape and dtype of `values`."""
        return self.asarray(values)

    def adopted(self, arrays: Sequence[Any]) -> Sequence[Any]:
        """Constants with values may stand beside abstract arrays."""
        return arrays

    def whole(self, array: AbstractArray) -> AbstractArray:
        """A view of an abstract array is one too."""
        return array

    def synchronize(self) -> None:
        """Nothing was started."""


ABSTRACT = AbstractBackend()
